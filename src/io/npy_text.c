/* SPDX-License-Identifier: MIT */
/* Tokens of a .npy header. */
#include "npy_text.h"

#include <string.h>
#include <tensorvar/tensor.h>

#include "size.h"
#include "status.h"
#include "writer.h"

/* isalnum and the like follow the locale. */
static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_word(uint8_t c) {
  return is_digit(c) || c == '_' || c == '.' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The token at `at`, escaped and cut: a quoted string, a word or number with its sign, or one byte.
 */
const char *tvi_npy_found(const tvi_npy_text *in, const uint8_t *at, char out[TVI_NPY_FOUND]) {
  if (at == in->end) return "the end of the header";
  const uint8_t *end = at + 1;
  if (*at == '\'' || *at == '"') {
    while (end < in->end && *end != *at) end++;
    if (end < in->end) end++;
  } else if (is_word(*at) || *at == '-' || *at == '+') {
    while (end < in->end && is_word(*end)) end++;
  }
  return tvi_escape(out, TVI_NPY_FOUND, at, (size_t)(end - at));
}

tv_status tvi_npy_refuse(const tvi_npy_text *in, const uint8_t *at, const char *expected) {
  char found[TVI_NPY_FOUND];
  return tvi_fail_status(TV_EFORMAT, "%s: header byte %d: found %s, expected %s", in->who,
                         (int)(at - in->begin), tvi_npy_found(in, at, found), expected);
}

void tvi_npy_skip_space(tvi_npy_text *in) {
  while (in->at < in->end &&
         (*in->at == ' ' || *in->at == '\t' || *in->at == '\r' || *in->at == '\n')) {
    in->at++;
  }
}

/* White space before the dict or behind it. */
tv_status tvi_npy_skip_edge(tvi_npy_text *in) {
  const uint8_t *const begin = in->at;
  tvi_npy_skip_space(in);
  bool has_break = false, is_break = false;
  for (const uint8_t *at = begin; at < in->at; at++) {
    is_break = *at == '\r' || *at == '\n';
    has_break |= is_break;
  }
  return has_break == is_break ? TV_OK
                               : tvi_npy_refuse(in, in->at - 1, "no blank behind a line break");
}

/* Whether c comes next, perhaps after space; then it is taken. */
bool tvi_npy_take(tvi_npy_text *in, char c) {
  tvi_npy_skip_space(in);
  if (in->at == in->end || *in->at != (uint8_t)c) return false;
  in->at++;
  return true;
}

tv_status tvi_npy_take_string(tvi_npy_text *in, const char *expected, const uint8_t **text,
                              int64_t *n) {
  tvi_npy_skip_space(in);
  const uint8_t *const open = in->at;
  if (open == in->end || (*open != '\'' && *open != '"')) return tvi_npy_refuse(in, open, expected);
  for (in->at++; in->at < in->end && *in->at != *open; in->at++) {
    if (*in->at < 0x20 || *in->at > 0x7e || *in->at == '\\') {
      return tvi_npy_refuse(in, in->at, "a printable ASCII character other than backslash");
    }
  }
  if (in->at == in->end) return tvi_npy_refuse(in, in->at, "the closing quote");
  *text = open + 1;
  *n = in->at - *text;
  in->at++;
  return TV_OK;
}

/* The word `name` and no longer one. */
bool tvi_npy_take_word(tvi_npy_text *in, const char *name) {
  const int64_t n = (int64_t)strlen(name);
  if (in->end - in->at < n || memcmp(in->at, name, (size_t)n) != 0) return false;
  if (in->end - in->at > n && is_word(in->at[n])) return false;
  in->at += n;
  return true;
}

static tv_status take_size(tvi_npy_text *in, bool may_have_l, int64_t *size) {
  static const char expected[] = "a size: digits, at most 2^63-1";
  tvi_npy_skip_space(in);
  const uint8_t *const begin = in->at;
  int64_t value = 0;
  for (; in->at < in->end && is_digit(*in->at); in->at++) {
    if (!tvi_mul(value, 10, &value) || !tvi_add(value, *in->at - '0', &value)) {
      return tvi_npy_refuse(in, begin, expected);
    }
  }
  if (in->at == begin || (*begin == '0' && in->at > begin + 1))
    return tvi_npy_refuse(in, begin, expected);
  if (may_have_l && in->at < in->end && *in->at == 'L') in->at++;
  if (in->at < in->end && is_word(*in->at)) return tvi_npy_refuse(in, begin, expected);
  *size = value;
  return TV_OK;
}

tv_status tvi_npy_take_shape(tvi_npy_text *in, bool may_have_l, int *rank, int64_t *shape) {
  if (!tvi_npy_take(in, '(')) return tvi_npy_refuse(in, in->at, "a tuple of sizes");
  *rank = 0;
  bool has_comma = false;
  while (!tvi_npy_take(in, ')')) {
    if (*rank && !has_comma) return tvi_npy_refuse(in, in->at, "',' or ')'");
    if (*rank == TV_MAX_RANK) return tvi_npy_refuse(in, in->at, "at most 64 sizes");
    int64_t size = 0;
    const tv_status status = take_size(in, may_have_l, &size);
    if (status) return status;
    shape[(*rank)++] = size;
    has_comma = tvi_npy_take(in, ',');
  }
  /* (3) is a number to Python. */
  if (*rank == 1 && !has_comma) return tvi_npy_refuse(in, in->at - 1, "',' after the only size");
  return TV_OK;
}
