/* SPDX-License-Identifier: MIT */
/* Names of arrays. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "memory.h"
#include "status.h"
#include "writer.h"

enum { MOST_NAME = 65000 /* bytes; zip counts them in 16 bits, with ".npy" */ };

int64_t tvi_utf8(const uint8_t *at, int64_t n) {
  static const struct {
    uint8_t low, high, second_low, second_high;
    int64_t bytes;
  } forms[] = {
      {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (*at < forms[i].low || *at > forms[i].high) continue;
    if (forms[i].bytes > n) return 0;
    if (forms[i].bytes > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high))
      return 0;
    for (int64_t k = 2; k < forms[i].bytes; k++)
      if ((at[k] & 0xC0) != 0x80) return 0;
    return forms[i].bytes;
  }
  return 0;
}

static bool is_slash(char c) { return c == '/' || c == '\\'; }

const char *tvi_name_fault(const char *name, int64_t n) {
  if (n == 0) return "a name without characters";
  if (n > MOST_NAME) return "a name of more than 65000 bytes";
  if (memchr(name, 0, (size_t)n)) return "a name with NUL in it";
  if (is_slash(*name)) return "a name that is an absolute path";
  for (int64_t i = 0; i < n;) {
    const int64_t bytes = tvi_utf8((const uint8_t *)name + i, n - i);
    if (!bytes) return "a name that is not UTF-8";
    const bool is_part = (i == 0 || is_slash(name[i - 1])) && n - i >= 2 && name[i] == '.' &&
                         name[i + 1] == '.' && (n - i == 2 || is_slash(name[i + 2]));
    if (is_part) return "a name with '..' as a part of its path";
    i += bytes;
  }
  return NULL;
}

static int compare(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

tv_status tvi_names_check(const char *who, int64_t n, const char *const *names,
                          tv_tensor *const *tensors) {
  char text[64];
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %lld", who, (long long)n);
  if (n == 0) return TV_OK;
  if (!names || !tensors) return tvi_null_status(who, names ? "tensors" : "names");
  for (int64_t i = 0; i < n; i++) {
    if (!names[i] || !tensors[i]) return tvi_null_status(who, names[i] ? "a tensor" : "a name");
    const size_t bytes = strlen(names[i]);
    const char *const fault = tvi_name_fault(names[i], (int64_t)bytes);
    if (fault)
      return tvi_fail_status(TV_EVALUE, "%s: found %s: '%s'", who, fault,
                             tvi_escape(text, sizeof text, names[i], bytes));
  }
  const char **const sorted = tvi_calloc(n, sizeof *sorted);
  if (!sorted)
    return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for %lld names", who, (long long)n);
  memcpy(sorted, names, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, compare);
  tv_status status = TV_OK;
  for (int64_t i = 1; i < n && !status; i++)
    if (!strcmp(sorted[i - 1], sorted[i]))
      status = tvi_fail_status(TV_EVALUE, "%s: the name '%s' is given twice", who,
                               tvi_escape(text, sizeof text, sorted[i], strlen(sorted[i])));
  tvi_free(sorted);
  return status;
}

const char *tvi_named_text(tvi_named *who, const char *what, const char *path, const char *name) {
  tvi_who file;
  tvi_who_text(&file, what, path);
  const size_t n = strlen(file.text);
  memcpy(who->text, file.text, n);
  memcpy(who->text + n, ": ", 2);
  tvi_escape(who->text + n + 2, sizeof who->text - n - 2, name, strlen(name));
  return who->text;
}
