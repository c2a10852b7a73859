/* SPDX-License-Identifier: MIT */
/* The dtype of plain elements in a .npy header.
 *
 *     descr   := string holding [< > = |]? and a code, or what npy_record.c reads
 *     code    := b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16, or V2 if asked
 *
 * Codes of what no tensor holds are known by their size, as fields of records are passed over. */
#include "npy_descr.h"

#include <string.h>

#include "status.h"

static const struct {
  char code[4];
  tv_dtype dtype;
} known[] = {{"b1", TV_BOOL}, {"i1", TV_I8},  {"i2", TV_I16}, {"i4", TV_I32},  {"i8", TV_I64},
             {"u1", TV_U8},   {"u2", TV_U16}, {"u4", TV_U32}, {"u8", TV_U64},  {"f2", TV_F16},
             {"f4", TV_F32},  {"f8", TV_F64}, {"c8", TV_C64}, {"c16", TV_C128}};

static bool is(const uint8_t *text, int64_t n, const char *word) {
  return n == (int64_t)strlen(word) && !memcmp(text, word, (size_t)n);
}

/* The number that all of a text of one byte or more is, 0 to 2^31 - 1; -1. */
static int64_t number(const uint8_t *text, int64_t n) {
  int64_t value = 0;
  if (n > 10 || (*text == '0' && n > 1)) return -1;
  for (int64_t i = 0; i < n; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = 10 * value + (text[i] - '0');
  }
  return value <= INT32_MAX ? value : -1;
}

/* Whether a date's unit follows it: nothing, "[us]" or so many of it, "[25us]". */
static bool is_unit(const uint8_t *text, int64_t n) {
  static const char *const units[] = {"Y]",  "M]",  "W]",  "D]",  "h]",  "m]", "s]",
                                      "ms]", "us]", "ns]", "ps]", "fs]", "as]"};
  if (n == 0) return true;
  if (*text != '[') return false;
  int64_t at = 1;
  while (at < n && text[at] >= '0' && text[at] <= '9') at++;
  if (at > 1 && number(text + 1, at - 1) < 1) return false;
  bool found = false;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    found |= is(text + at, n - at, units[i]);
  return found;
}

/* What no tensor holds: bytes and why. */
static tvi_npy_code foreign(const uint8_t *text, int64_t n) {
  tvi_npy_code code = {TV_DTYPE_NONE, false, "unknown", -1};
  const int64_t size = n > 1 ? number(text + 1, n - 1) : -1;
  switch (n ? *text : 0) {
    case 'S':
    case 'a':
      code.why = "text";
      code.bytes = size;
      break;
    case 'U':
      code.why = "text";
      code.bytes = size >= 0 && size <= INT32_MAX / 4 ? 4 * size : -1;
      break;
    case 'V':
      code.why = is(text, n, "V2") ? "2-byte void; if this is bfloat16, ask for it" : "void";
      code.bytes = size;
      break;
    case 'M':
    case 'm':
      code.why = *text == 'M' ? "date" : "time span";
      code.bytes = n > 1 && text[1] == '8' && is_unit(text + 2, n - 2) ? 8 : -1;
      break;
    case 'O':
      code.why = "Python objects";
      break;
    case 'f':
      if (!is(text, n, "f16")) break;
      code.why = "long double";
      code.bytes = 16;
      break;
    case 'c':
      if (!is(text, n, "c32")) break;
      code.why = "complex long double";
      code.bytes = 32;
      break;
    default:
      break;
  }
  return code;
}

tvi_npy_code tvi_npy_code_read(const uint8_t *text, int64_t n, bool void2_is_bf16) {
  const uint8_t order = n ? *text : 0;
  const bool has_order = order == '<' || order == '>' || order == '=' || order == '|';
  if (has_order) {
    text++;
    n--;
  }
  tvi_npy_code code = foreign(text, n);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (is(text, n, known[i].code)) code.dtype = known[i].dtype;
  if (void2_is_bf16 && is(text, n, "V2")) code.dtype = TV_BF16;
  if (code.dtype == TV_DTYPE_NONE) return code;
  code.bytes = tv_dtype_size(code.dtype);
  /* '=' and '|' name no order: little-endian on every host, so that a file means the same. */
  code.is_big_endian = order == '>' && code.bytes > 1;
  return code;
}

const char *tvi_npy_code_of(tv_dtype dtype) {
  switch (dtype) {
    case TV_BOOL:
      return "|b1";
    case TV_I8:
      return "|i1";
    case TV_I16:
      return "<i2";
    case TV_I32:
      return "<i4";
    case TV_I64:
      return "<i8";
    case TV_U8:
      return "|u1";
    case TV_U16:
      return "<u2";
    case TV_U32:
      return "<u4";
    case TV_U64:
      return "<u8";
    case TV_F16:
      return "<f2";
    case TV_BF16:
      return "<V2"; /* NumPy has no name for it, and writes ml_dtypes' arrays so */
    case TV_F32:
      return "<f4";
    case TV_F64:
      return "<f8";
    case TV_C64:
      return "<c8";
    default:
      return "<c16";
  }
}

tv_status tvi_npy_take_descr(tvi_npy_text *in, const tv_npy_options *options,
                             tvi_npy_descr *descr) {
  char found[TVI_NPY_FOUND];
  const uint8_t *text = NULL;
  int64_t n = 0;
  if (tvi_npy_take(in, '[')) return tvi_npy_take_record(in, options, descr);
  const uint8_t *const begin = in->at;
  const tv_status status = tvi_npy_take_string(in, "a dtype in quotes, or records", &text, &n);
  if (status) return status;
  const tvi_npy_code code = tvi_npy_code_read(text, n, options->void2_is_bf16);
  if (code.dtype == TV_DTYPE_NONE)
    return tvi_fail_status(TV_EFORMAT, "%s: header byte %d: descr %s is not supported (%s)",
                           in->who, (int)(begin - in->begin), tvi_npy_found(in, begin, found),
                           code.why);
  if (options->field)
    return tvi_fail_status(TV_EVALUE, "%s: a field is asked for, but descr %s has none", in->who,
                           tvi_npy_found(in, begin, found));
  *descr = (tvi_npy_descr){.dtype = code.dtype, .is_big_endian = code.is_big_endian};
  return TV_OK;
}
