/* SPDX-License-Identifier: MIT */
/* The header of a .npy file.
 *
 *     offset 0   93 4E 55 4D 50 59      magic: \x93NUMPY
 *            6   major, minor           (1,0) (2,0) (3,0), nothing else
 *            8   HLEN, little-endian    u16 in version 1, u32 in versions 2 and 3
 *      10 / 12   header, HLEN bytes     text of a Python dict, padded with spaces, ended by \n
 *        +HLEN   data                   elements without gaps, C or Fortran order
 *
 *     header  := edge '{' ws pair (ws ',' ws pair)* ws [','] ws '}' edge    nothing may follow
 *     ws      := any run of space, TAB, CR, LF
 *     edge    := ws, but no space or TAB last if there is CR or LF: to Python that is an indent
 *     pair    := string ws ':' ws value    keys descr, fortran_order, shape: each exactly once
 *     string  := '…' or "…", bytes 0x20 to 0x7E without the quote and without backslash
 *     shape   := '(' ')' | '(' int ',' ')' | '(' int (',' int)+ [','] ')'    ws between all tokens
 *     int     := '0' | [1-9][0-9]*         at most 2^63-1; 'L' may follow in versions 1 and 2
 *     order   := True | False
 *     descr   := string of [< > = |]? and b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16, or V2 if
 * asked
 *
 * Source: numpy.lib.format, and NEP 1. The grammar is what writers emit; NumPy, which evaluates the
 * text as Python, takes more of what nobody writes. The order of checks is that of the functions
 * below, each relying only on those before it: magic, version, HLEN, text, sizes, end of file. One
 * pass by pointer and end pointer, no recursion, no allocation; the text has no NUL at its end and
 * may have some inside. */
#include "npy_header.h"

#include <string.h>

#include "size.h"
#include "status.h"
#include "writer.h"

/* ---- magic, version, HLEN ------------------------------------------------------------------- */

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* What a file that is no .npy looks like, by its first bytes. */
static const char *kind_of(const uint8_t *bytes, int64_t n) {
  static const struct {
    const char *begin;
    int n;
    const char *what;
  } kinds[] = {{"PK\3\4", 4, "a zip archive, perhaps an .npz"},
               {"PK\5\6", 4, "a zip archive, perhaps an .npz"},
               {"\x1f\x8b", 2, "compressed by gzip"},
               {"\x89HDF", 4, "HDF5"},
               {"version ht", 10, "a git-lfs pointer: the data are elsewhere"},
               {"\xc2\x93NUM", 5, "a .npy file damaged by conversion to UTF-8"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (n >= kinds[i].n && !memcmp(bytes, kinds[i].begin, (size_t)kinds[i].n)) return kinds[i].what;
  }
  if (n >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5) return "a Python pickle";
  if (n >= 9 && bytes[8] == '{') return "perhaps safetensors";
  for (int64_t i = 0; i < n; i++) {
    if ((bytes[i] < 0x20 || bytes[i] > 0x7e) && (bytes[i] < '\t' || bytes[i] > '\r'))
      return "unknown";
  }
  return "text";
}

tv_status tvi_npy_magic(const char *who, const uint8_t *bytes, int64_t n, int *prefix) {
  char found[48];
  const size_t known = n < (int64_t)sizeof magic ? (size_t)n : sizeof magic;
  if (memcmp(bytes, magic, known) != 0) {
    return tvi_fail_status(TV_EFORMAT,
                           "%s: byte 0: found %s (%s), expected the magic of a .npy file", who,
                           tvi_escape(found, sizeof found, bytes, (size_t)n), kind_of(bytes, n));
  }
  if (n < TVI_NPY_PREFIX) {
    return tvi_fail_status(
        TV_EFORMAT, "%s: byte %d: found the end of the file, expected magic, version and length",
        who, (int)n);
  }
  if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0) {
    return tvi_fail_status(TV_EFORMAT, "%s: byte 6: found version %d.%d, expected 1.0, 2.0 or 3.0",
                           who, bytes[6], bytes[7]);
  }
  *prefix = bytes[6] == 1 ? 10 : 12;
  return TV_OK;
}

tv_status tvi_npy_header_length(const char *who, const uint8_t *bytes, int prefix, int64_t left,
                                int64_t *length) {
  int64_t n = 0;
  for (int i = prefix - 1; i >= 8; i--) n = n << 8 | bytes[i];
  if (left >= 0 && n > left) {
    return tvi_fail_status(
        TV_EFORMAT, "%s: byte 8: found a header of %lld bytes, expected at most the %lld left", who,
        (long long)n, (long long)left);
  }
  if (n > TVI_NPY_HEADER_MAX) {
    return tvi_fail_status(TV_EFORMAT,
                           "%s: byte 8: found a header of %lld bytes, expected at most %d", who,
                           (long long)n, TVI_NPY_HEADER_MAX);
  }
  *length = n;
  return TV_OK;
}

/* ---- the text ------------------------------------------------------------------------------- */

typedef struct cursor {
  const char *who;
  const uint8_t *begin, *at, *end;
} cursor;

enum { FOUND = 44 }; /* 40 characters, "..." and NUL */

/* isalnum and the like follow the locale. */
static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_order(uint8_t c) { return c == '<' || c == '>' || c == '=' || c == '|'; }
static bool is_word(uint8_t c) {
  return is_digit(c) || c == '_' || c == '.' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The token at `at`, escaped and cut: a quoted string, a word or number with its sign, or one byte.
 */
static const char *token_text(const cursor *in, const uint8_t *at, char out[FOUND]) {
  if (at == in->end) return "the end of the header";
  const uint8_t *end = at + 1;
  if (*at == '\'' || *at == '"') {
    while (end < in->end && *end != *at) end++;
    if (end < in->end) end++;
  } else if (is_word(*at) || *at == '-' || *at == '+') {
    while (end < in->end && is_word(*end)) end++;
  }
  return tvi_escape(out, FOUND, at, (size_t)(end - at));
}

static tv_status refuse(const cursor *in, const uint8_t *at, const char *expected) {
  char found[FOUND];
  return tvi_fail_status(TV_EFORMAT, "%s: header byte %d: found %s, expected %s", in->who,
                         (int)(at - in->begin), token_text(in, at, found), expected);
}

static void skip_space(cursor *in) {
  while (in->at < in->end &&
         (*in->at == ' ' || *in->at == '\t' || *in->at == '\r' || *in->at == '\n')) {
    in->at++;
  }
}

/* White space before the dict or behind it. */
static tv_status skip_edge(cursor *in) {
  const uint8_t *const begin = in->at;
  skip_space(in);
  bool has_break = false, is_break = false;
  for (const uint8_t *at = begin; at < in->at; at++) {
    is_break = *at == '\r' || *at == '\n';
    has_break |= is_break;
  }
  return has_break == is_break ? TV_OK : refuse(in, in->at - 1, "no blank behind a line break");
}

/* Whether c comes next, perhaps after space; then it is taken. */
static bool take(cursor *in, char c) {
  skip_space(in);
  if (in->at == in->end || *in->at != (uint8_t)c) return false;
  in->at++;
  return true;
}

static tv_status take_string(cursor *in, const char *expected, const uint8_t **text, int64_t *n) {
  skip_space(in);
  const uint8_t *const open = in->at;
  if (open == in->end || (*open != '\'' && *open != '"')) return refuse(in, open, expected);
  for (in->at++; in->at < in->end && *in->at != *open; in->at++) {
    if (*in->at < 0x20 || *in->at > 0x7e || *in->at == '\\') {
      return refuse(in, in->at, "a printable ASCII character other than backslash");
    }
  }
  if (in->at == in->end) return refuse(in, in->at, "the closing quote");
  *text = open + 1;
  *n = in->at - *text;
  in->at++;
  return TV_OK;
}

/* The word `name` and no longer one. */
static bool take_word(cursor *in, const char *name) {
  const int64_t n = (int64_t)strlen(name);
  if (in->end - in->at < n || memcmp(in->at, name, (size_t)n) != 0) return false;
  if (in->end - in->at > n && is_word(in->at[n])) return false;
  in->at += n;
  return true;
}

static tv_status take_size(cursor *in, bool may_have_l, int64_t *size) {
  static const char expected[] = "a size: digits, at most 2^63-1";
  skip_space(in);
  const uint8_t *const begin = in->at;
  int64_t value = 0;
  for (; in->at < in->end && is_digit(*in->at); in->at++) {
    if (!tvi_mul(value, 10, &value) || !tvi_add(value, *in->at - '0', &value)) {
      return refuse(in, begin, expected);
    }
  }
  if (in->at == begin || (*begin == '0' && in->at > begin + 1)) return refuse(in, begin, expected);
  if (may_have_l && in->at < in->end && *in->at == 'L') in->at++;
  if (in->at < in->end && is_word(*in->at)) return refuse(in, begin, expected);
  *size = value;
  return TV_OK;
}

static tv_status take_shape(cursor *in, tv_npy_layout *layout) {
  if (!take(in, '(')) return refuse(in, in->at, "a tuple of sizes");
  layout->rank = 0;
  bool has_comma = false;
  while (!take(in, ')')) {
    if (layout->rank && !has_comma) return refuse(in, in->at, "',' or ')'");
    if (layout->rank == TV_MAX_RANK) return refuse(in, in->at, "at most 64 sizes");
    int64_t size = 0;
    const tv_status status = take_size(in, layout->version < 3, &size);
    if (status) return status;
    layout->shape[layout->rank++] = size;
    has_comma = take(in, ',');
  }
  /* (3) is a number to Python. */
  if (layout->rank == 1 && !has_comma) return refuse(in, in->at - 1, "',' after the only size");
  return TV_OK;
}

/* Why a dtype is refused, by its letter and what follows. */
static const char *reason(const uint8_t *code, int64_t n) {
  if (n == 2 && !memcmp(code, "V2", 2)) return "2-byte void; if this is bfloat16, ask for it";
  if (n == 3 && !memcmp(code, "f16", 3)) return "long double";
  if (n == 3 && !memcmp(code, "c32", 3)) return "complex long double";
  switch (n ? *code : 0) {
    case 'S':
    case 'U':
    case 'a':
      return "text";
    case 'M':
      return "date";
    case 'm':
      return "time span";
    case 'O':
      return "Python objects";
    case 'V':
      return "void";
    default:
      return "unknown";
  }
}

static tv_status take_descr(cursor *in, bool void2_is_bf16, tv_npy_layout *layout) {
  static const struct {
    char code[4];
    tv_dtype dtype;
  } known[] = {{"b1", TV_BOOL}, {"i1", TV_I8},  {"i2", TV_I16}, {"i4", TV_I32},  {"i8", TV_I64},
               {"u1", TV_U8},   {"u2", TV_U16}, {"u4", TV_U32}, {"u8", TV_U64},  {"f2", TV_F16},
               {"f4", TV_F32},  {"f8", TV_F64}, {"c8", TV_C64}, {"c16", TV_C128}};
  skip_space(in);
  const uint8_t *const begin = in->at, *text = begin;
  if (begin < in->end && (*begin == '[' || *begin == '(')) {
    return refuse(in, begin, "a dtype in quotes: structured dtypes are not supported");
  }
  int64_t n = 0;
  const tv_status status = take_string(in, "a dtype in quotes", &text, &n);
  if (status) return status;
  const uint8_t order = n && is_order(*text) ? *text : '|';
  if (n && is_order(*text)) {
    text++;
    n--;
  }
  layout->dtype = TV_DTYPE_NONE;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (n == (int64_t)strlen(known[i].code) && !memcmp(text, known[i].code, (size_t)n)) {
      layout->dtype = known[i].dtype;
    }
  }
  if (void2_is_bf16 && n == 2 && !memcmp(text, "V2", 2)) layout->dtype = TV_BF16;
  if (layout->dtype == TV_DTYPE_NONE) {
    char found[FOUND];
    return tvi_fail_status(TV_EFORMAT, "%s: header byte %d: descr %s is not supported (%s)",
                           in->who, (int)(begin - in->begin), token_text(in, begin, found),
                           reason(text, n));
  }
  /* '=' and '|' name no order: little-endian on every host, so that a file means the same. */
  layout->is_big_endian = order == '>' && tv_dtype_size(layout->dtype) > 1;
  return TV_OK;
}

static tv_status take_order(cursor *in, tv_npy_layout *layout) {
  skip_space(in);
  layout->is_fortran = take_word(in, "True");
  if (layout->is_fortran || take_word(in, "False")) return TV_OK;
  return refuse(in, in->at, "True or False");
}

enum { DESCR = 1, ORDER = 2, SHAPE = 4, ALL_KEYS = 7 };

static int key_of(const uint8_t *text, int64_t n) {
  if (n == 5 && !memcmp(text, "descr", 5)) return DESCR;
  if (n == 13 && !memcmp(text, "fortran_order", 13)) return ORDER;
  if (n == 5 && !memcmp(text, "shape", 5)) return SHAPE;
  return 0;
}

static tv_status take_pair(cursor *in, bool void2_is_bf16, int *seen, tv_npy_layout *layout) {
  const uint8_t *text = in->at;
  int64_t n = 0;
  tv_status status = take_string(in, "a key in quotes", &text, &n);
  if (status) return status;
  const int key = key_of(text, n);
  if (!key) return refuse(in, text - 1, "the key descr, fortran_order or shape");
  if (*seen & key) return refuse(in, text - 1, "each key once");
  *seen |= key;
  if (!take(in, ':')) return refuse(in, in->at, "':'");
  if (key == DESCR) return take_descr(in, void2_is_bf16, layout);
  return key == ORDER ? take_order(in, layout) : take_shape(in, layout);
}

tv_status tvi_npy_header_parse(const char *who, const uint8_t *text, int64_t n, bool void2_is_bf16,
                               tv_npy_layout *layout) {
  cursor in = {who, text, text, text + n};
  int seen = 0;
  tv_status status = skip_edge(&in);
  if (status) return status;
  if (!take(&in, '{')) return refuse(&in, in.at, "'{'");
  do {
    status = take_pair(&in, void2_is_bf16, &seen, layout);
    if (status) return status;
    if (!take(&in, ',')) {
      if (take(&in, '}')) break;
      return refuse(&in, in.at, "',' or '}'");
    }
  } while (!take(&in, '}'));
  if (seen != ALL_KEYS) {
    return refuse(&in, in.at - 1,
                  !(seen & DESCR)   ? "the key descr"
                  : !(seen & ORDER) ? "the key fortran_order"
                                    : "the key shape");
  }
  status = skip_edge(&in);
  if (status) return status;
  if (in.at < in.end) return refuse(&in, in.at, "nothing after '}'");

  int64_t elements, end;
  if (!tvi_product(layout->rank, layout->shape, tv_dtype_size(layout->dtype), &elements,
                   &layout->bytes) ||
      !tvi_add(layout->offset, layout->bytes, &end)) {
    tvi_text shape;
    return tvi_fail_status(
        TV_EFORMAT, "%s: header: found shape %s of %s, expected at most 2^63-1 bytes", who,
        tvi_shape_text(&shape, layout->rank, layout->shape), tv_dtype_name(layout->dtype));
  }
  return TV_OK;
}

tv_status tvi_npy_size_check(const char *who, const tv_npy_layout *layout, int64_t size) {
  if (size < 0 || layout->bytes <= size - layout->offset) return TV_OK;
  tvi_text shape;
  return tvi_fail_status(
      TV_EFORMAT, "%s: byte %lld: found %lld bytes, expected %lld for shape %s of %s", who,
      (long long)layout->offset, (long long)(size - layout->offset), (long long)layout->bytes,
      tvi_shape_text(&shape, layout->rank, layout->shape), tv_dtype_name(layout->dtype));
}

/* ---- writing -------------------------------------------------------------------------------- */

static const char *code_of(tv_dtype dtype) {
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

static int put(char *out, int at, const char *text, size_t n) {
  memcpy(out + at, text, n);
  return at + (int)n;
}

static int put_string(char *out, int at, const char *text) {
  return put(out, at, text, strlen(text));
}

/* numpy.lib.format._write_array_header: keys sorted, room for the axis that appending grows to
 * reach 21 digits, then spaces and a line feed up to a multiple of 64, at least one space. */
int tvi_npy_header_write(tv_dtype dtype, bool is_fortran, int rank, const int64_t *shape,
                         char out[TVI_NPY_HEADER_ROOM]) {
  const int growing = is_fortran ? rank - 1 : 0;
  int at = put(out, 0, "\x93NUMPY\1\0", TVI_NPY_PREFIX - 2) + 2, room = 0;
  at = put_string(out, at, "{'descr': '");
  at = put_string(out, at, code_of(dtype));
  at = put_string(out, at, is_fortran ? "', 'fortran_order': True" : "', 'fortran_order': False");
  at = put_string(out, at, ", 'shape': (");
  for (int k = 0; k < rank; k++) {
    char digits[TVI_INTEGER_SIZE];
    const int n = tvi_integer_text((uint64_t)shape[k], false, digits);
    at = put(out, at, digits, (size_t)n);
    at = put_string(out, at, rank == 1 ? "," : k + 1 < rank ? ", " : "");
    if (k == growing) room = 21 - n;
  }
  at = put_string(out, at, "), }");
  const int end = at + room + 64 - (at + room + 1) % 64;
  memset(out + at, ' ', (size_t)(end - at));
  out[end] = '\n';
  const int length = end + 1 - TVI_NPY_PREFIX;
  out[8] = (char)(length & 255);
  out[9] = (char)(length >> 8);
  return end + 1;
}
