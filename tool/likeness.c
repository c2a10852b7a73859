/* SPDX-License-Identifier: MIT
 * Words that look alike: by the distance of Damerau and Levenshtein between neighbours, the number
 * of letters to insert, drop, change or swap. */
#include "likeness.h"

#include <string.h>

enum { LONGEST = 63 };

static int least(int a, int b, int c) {
  const int low = a < b ? a : b;
  return low < c ? low : c;
}

bool is_like(const char *word, const char *name) {
  const size_t n = strlen(word), m = strlen(name);
  if (n == 0 || m == 0 || n > LONGEST || m > LONGEST) return false;
  const size_t shorter = n < m ? n : m;
  if (shorter >= 3 && !strncmp(word, name, shorter)) return true;
  int d[LONGEST + 1][LONGEST + 1]; /* d[i][j]: between the first i letters and the first j */
  for (size_t i = 0; i <= n; i++) d[i][0] = (int)i;
  for (size_t j = 0; j <= m; j++) d[0][j] = (int)j;
  for (size_t i = 1; i <= n; i++) {
    for (size_t j = 1; j <= m; j++) {
      d[i][j] =
          least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (word[i - 1] != name[j - 1]));
      if (i > 1 && j > 1 && word[i - 1] == name[j - 2] && word[i - 2] == name[j - 1] &&
          d[i - 2][j - 2] + 1 < d[i][j]) {
        d[i][j] = d[i - 2][j - 2] + 1;
      }
    }
  }
  return d[n][m] <= (m <= 4 ? 1 : 2);
}
