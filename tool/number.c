/* SPDX-License-Identifier: MIT
 * Numbers and shapes as text. The locale is "C": the program never sets another. */
#include "number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *number_text(double value, bool is_single, char text[NUMBER_SIZE]) {
  if (isnan(value)) value = (double)NAN; /* whose sign says nothing */
  const int most = is_single ? 9 : 17;   /* digits that always come back: Goldberg, 1991 */
  for (int digits = is_single ? 6 : 15; digits <= most; digits++) {
    snprintf(text, NUMBER_SIZE, "%.*g", digits, value);
    const double back = is_single ? (double)strtof(text, NULL) : strtod(text, NULL);
    if (back == value) break;
  }
  /* A real number has a point, and -0.0 keeps its sign. */
  const size_t n = strlen(text);
  if (n == strcspn(text, ".en")) snprintf(text + n, NUMBER_SIZE - n, ".0");
  return text;
}

const char *bytes_text(int64_t bytes, char text[NUMBER_SIZE]) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double size = (double)bytes;
  int unit = 0;
  for (; size >= 1024 && unit < 6; unit++) size /= 1024;
  snprintf(text, NUMBER_SIZE, unit ? "%.2f %s" : "%.0f %s", size, units[unit]);
  return text;
}

static const char *list(int rank, const int64_t *sizes, const char *brackets, bool ends_in_comma,
                        char text[SHAPE_SIZE]) {
  int n = snprintf(text, SHAPE_SIZE, "%c", brackets[0]);
  for (int k = 0; k < rank; k++) {
    n += snprintf(text + n, (size_t)(SHAPE_SIZE - n), k ? ", %" PRId64 : "%" PRId64, sizes[k]);
  }
  snprintf(text + n, (size_t)(SHAPE_SIZE - n), "%s%c", ends_in_comma ? "," : "", brackets[1]);
  return text;
}

const char *shape_text(int rank, const int64_t *shape, char text[SHAPE_SIZE]) {
  return list(rank, shape, "()", rank == 1, text);
}

const char *index_text(int rank, const int64_t *index, char text[SHAPE_SIZE]) {
  return list(rank, index, "[]", false, text);
}

void index_of(int64_t position, int rank, const int64_t *shape, int64_t *index) {
  for (int k = rank - 1; k >= 0; k--) {
    const int64_t size = shape[k] ? shape[k] : 1;
    index[k] = position % size;
    position /= size;
  }
}
