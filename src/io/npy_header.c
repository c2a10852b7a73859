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
 *     descr   : npy_descr.c
 *
 * Source: numpy.lib.format, and NEP 1. The grammar is what writers emit; NumPy, which evaluates the
 * text as Python, takes more of what nobody writes. The order of checks is that of the functions
 * below, each relying only on those before it: magic, version, HLEN, text, sizes, end of file. One
 * pass by pointer and end pointer; the text has no NUL at its end and
 * may have some inside. */
#include "npy_header.h"

#include <string.h>

#include "npy_descr.h"
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

static tv_status take_order(tvi_npy_text *in, tv_npy_layout *layout) {
  tvi_npy_skip_space(in);
  layout->is_fortran = tvi_npy_take_word(in, "True");
  if (layout->is_fortran || tvi_npy_take_word(in, "False")) return TV_OK;
  return tvi_npy_refuse(in, in->at, "True or False");
}

enum { DESCR = 1, ORDER = 2, SHAPE = 4, ALL_KEYS = 7 };

static int key_of(const uint8_t *text, int64_t n) {
  if (n == 5 && !memcmp(text, "descr", 5)) return DESCR;
  if (n == 13 && !memcmp(text, "fortran_order", 13)) return ORDER;
  if (n == 5 && !memcmp(text, "shape", 5)) return SHAPE;
  return 0;
}

static tv_status take_pair(tvi_npy_text *in, const tv_npy_options *options, int *seen,
                           tvi_npy_descr *descr, tv_npy_layout *layout) {
  const uint8_t *text = in->at;
  int64_t n = 0;
  tv_status status = tvi_npy_take_string(in, "a key in quotes", &text, &n);
  if (status) return status;
  const int key = key_of(text, n);
  if (!key) return tvi_npy_refuse(in, text - 1, "the key descr, fortran_order or shape");
  if (*seen & key) return tvi_npy_refuse(in, text - 1, "each key once");
  *seen |= key;
  if (!tvi_npy_take(in, ':')) return tvi_npy_refuse(in, in->at, "':'");
  if (key == DESCR) return tvi_npy_take_descr(in, options, descr);
  if (key == ORDER) return take_order(in, layout);
  return tvi_npy_take_shape(in, layout->version < 3, &layout->rank, layout->shape);
}

/* Both keys together: sizes, and a field's own axes behind those of the array. */
static tv_status combine(const char *who, const tvi_npy_descr *descr, tv_npy_layout *layout) {
  const int64_t item = descr->is_record ? descr->record_bytes : tv_dtype_size(descr->dtype);
  int64_t elements, end;
  layout->dtype = descr->dtype;
  layout->is_big_endian = descr->is_big_endian;
  layout->record_bytes = descr->record_bytes;
  layout->field_offset = descr->field_offset;
  layout->field_rank = descr->field_rank;
  if (!tvi_product(layout->rank, layout->shape, item, &elements, &layout->bytes) ||
      !tvi_add(layout->offset, layout->bytes, &end)) {
    tvi_text shape;
    return tvi_fail_status(
        TV_EFORMAT, "%s: header: found shape %s of %s, expected at most 2^63-1 bytes", who,
        tvi_shape_text(&shape, layout->rank, layout->shape), tv_dtype_name(layout->dtype));
  }
  if (layout->rank + descr->field_rank > TV_MAX_RANK)
    return tvi_fail_status(TV_EFORMAT, "%s: header: found %d axes with the field's, expected 64",
                           who, layout->rank + descr->field_rank);
  for (int k = 0; k < descr->field_rank; k++) layout->shape[layout->rank++] = descr->field_shape[k];
  return TV_OK;
}

tv_status tvi_npy_header_parse(const char *who, const uint8_t *text, int64_t n,
                               const tv_npy_options *options, tv_npy_layout *layout) {
  tvi_npy_text in = {who, text, text, text + n};
  tvi_npy_descr descr = {.dtype = TV_DTYPE_NONE};
  int seen = 0;
  tv_status status = tvi_npy_skip_edge(&in);
  if (status) return status;
  if (!tvi_npy_take(&in, '{')) return tvi_npy_refuse(&in, in.at, "'{'");
  do {
    status = take_pair(&in, options, &seen, &descr, layout);
    if (status) return status;
    if (!tvi_npy_take(&in, ',')) {
      if (tvi_npy_take(&in, '}')) break;
      return tvi_npy_refuse(&in, in.at, "',' or '}'");
    }
  } while (!tvi_npy_take(&in, '}'));
  if (seen != ALL_KEYS) {
    return tvi_npy_refuse(&in, in.at - 1,
                          !(seen & DESCR)   ? "the key descr"
                          : !(seen & ORDER) ? "the key fortran_order"
                                            : "the key shape");
  }
  status = tvi_npy_skip_edge(&in);
  if (status) return status;
  if (in.at < in.end) return tvi_npy_refuse(&in, in.at, "nothing after '}'");
  return combine(who, &descr, layout);
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

static int put(char *out, int at, const char *text, size_t n) {
  memcpy(out + at, text, n);
  return at + (int)n;
}

static int put_string(char *out, int at, const char *text) {
  return put(out, at, text, strlen(text));
}

/* numpy.lib.format._write_array_header: keys sorted, room for the axis that appending grows to
 * reach 21 digits, then spaces and a line feed up to a multiple of 64, at least one space. */
int tvi_npy_header_write(tv_dtype dtype, bool is_big_endian, bool is_fortran, int rank,
                         const int64_t *shape, char out[TVI_NPY_HEADER_ROOM]) {
  const int growing = is_fortran ? rank - 1 : 0;
  int at = put(out, 0, "\x93NUMPY\1\0", TVI_NPY_PREFIX - 2) + 2, room = 0;
  at = put_string(out, at, "{'descr': '");
  const char *const code = tvi_npy_code_of(dtype);
  at = put_string(out, at, is_big_endian && *code == '<' ? ">" : "");
  at = put_string(out, at, code + (is_big_endian && *code == '<'));
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
