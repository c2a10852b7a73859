/* SPDX-License-Identifier: MIT */
/* The text of an array, equal to NumPy 2.2's repr and str under its default print options.
 *
 * Two passes over the elements that are shown: the first finds the column that all of them fit into
 * (widths, digits, exponent form or not), the second writes rows into lines of at most 75
 * characters. The rules are those of NumPy 2.2 _core/arrayprint.py; names of its functions are
 * given where a rule is not obvious. Digits are made in digits.c; what a tensor or Variable adds is
 * in format.c. */
#include "print.h"

#include <string.h>

#include "digits.h"
#include "half.h"

enum {
  LINE_WIDTH = 75, /* NumPy's defaults: linewidth, threshold, edgeitems, precision */
  THRESHOLD = 1000,
  EDGE = 3,
  PRECISION = 8
};

/* ---- elements ------------------------------------------------------------------------------- */

static bool is_real(tv_dtype dtype) { return tv_dtype_kind(dtype) == 'f'; }
static bool is_complex(tv_dtype dtype) { return tv_dtype_kind(dtype) == 'c'; }

static uint64_t load_bits(const void *from, int64_t bytes) {
  uint8_t b1;
  uint16_t b2;
  uint32_t b4;
  uint64_t b8;
  switch (bytes) {
    case 1:
      return memcpy(&b1, from, 1), b1;
    case 2:
      return memcpy(&b2, from, 2), b2;
    case 4:
      return memcpy(&b4, from, 4), b4;
    default:
      return memcpy(&b8, from, 8), b8;
  }
}

/* A sequence of real numbers: an array's, or the real or imaginary parts of a complex one's. */
typedef struct reals {
  tv_dtype dtype; /* F16, BF16, F32 or F64 */
  const char *first;
  int64_t step, n;
} reals;

static reals reals_of(tv_dtype dtype, const void *elements, int64_t n, bool is_imaginary) {
  reals x = {dtype, elements, tv_dtype_size(dtype), n};
  if (!is_complex(dtype)) return x;
  x.dtype = dtype == TV_C64 ? TV_F32 : TV_F64;
  if (is_imaginary) x.first += x.step / 2;
  return x;
}

static uint64_t bits_at(const reals *x, int64_t i) {
  return load_bits(x->first + i * x->step, tv_dtype_size(x->dtype));
}

static tvi_float float_at(const reals *x, int64_t i) {
  const uint64_t bits = bits_at(x, i);
  switch (x->dtype) {
    case TV_F16:
      return tvi_float_unpack(bits, 5, 10);
    case TV_BF16:
      return tvi_float_unpack(bits, 8, 7);
    case TV_F32:
      return tvi_float_unpack(bits, 8, 23);
    default:
      return tvi_float_unpack(bits, 11, 52);
  }
}

/* The value of positive bits. */
static double value_of(tv_dtype dtype, uint64_t bits) {
  double value;
  switch (dtype) {
    case TV_F16:
      return (double)tvi_f16_load((uint16_t)bits);
    case TV_BF16:
      return (double)tvi_bf16_load((uint16_t)bits);
    case TV_F32:
      return (double)tvi_float_of((uint32_t)bits);
    default:
      return memcpy(&value, &bits, sizeof value), value;
  }
}

/* ---- columns -------------------------------------------------------------------------------- */

/* How all the numbers of an array are written, so that their points stand one below the other. */
typedef struct column {
  bool is_scientific;
  int left, right; /* characters before and after the point */
  tvi_decimal_style style;
} column;

static int larger(int a, int b) { return a > b ? a : b; }

/* FloatingFormat's choice of exponent form, over the finite magnitudes that are not 0.
 *
 * NumPy compares in the array's own dtype: 0.0001 is rounded to it, and so is max / min, which
 * therefore exceeds 1000 from half a unit in the last place above 1000 on. */
static bool wants_exponents(const reals *x) {
  const uint64_t magnitude = UINT64_MAX >> (65 - 8 * tv_dtype_size(x->dtype));
  uint64_t most = 0, least = UINT64_MAX;
  for (int64_t i = 0; i < x->n; i++) {
    const tvi_float f = float_at(x, i);
    if (f.kind != TVI_FINITE || !f.mantissa) continue;
    const uint64_t bits = bits_at(x, i) & magnitude; /* ordered as the values are */
    if (bits > most) most = bits;
    if (bits < least) least = bits;
  }
  if (!most) return false;
  const double max = value_of(x->dtype, most), min = value_of(x->dtype, least);
  const double small = x->dtype == TV_F32 ? (double)0.0001f : 0.0001;
  const double ratio = x->dtype == TV_F16    ? 1000 + 0x1p-2
                       : x->dtype == TV_BF16 ? 1000 + 2
                       : x->dtype == TV_F32  ? 1000 + 0x1p-15
                                             : 1000;
  return max >= 1e8 || min < small || max / min > ratio;
}

/* FloatingFormat.fillFormat. */
static column column_of(const reals *x, bool has_plus) {
  column c = {.is_scientific = wants_exponents(x),
              .style = {TVI_TRIM_POINT, PRECISION, -1, has_plus, 2}};
  bool has_special = false, has_minus_inf = false;
  int exponent = 0;
  for (int64_t i = 0; i < x->n; i++) {
    const tvi_float f = float_at(x, i);
    tvi_decimal d;
    if (f.kind != TVI_FINITE) {
      has_special = true;
      has_minus_inf |= f.kind == TVI_INFINITE && f.is_negative;
      continue;
    }
    (c.is_scientific ? tvi_decimal_scientific : tvi_decimal_positional)(&f, &c.style, &d);
    c.left = larger(c.left, d.whole);
    c.right = larger(c.right, d.fraction);
    exponent = larger(exponent, d.exponent);
  }
  c.style.least = 0;     /* whole numbers are exact: 58464., not the shorter 58460. */
  if (c.is_scientific) { /* all have the same digits; positional ones are filled with spaces */
    c.style = (tvi_decimal_style){TVI_TRIM_KEEP, c.right, c.right, has_plus, exponent};
    c.right += exponent + 2;
  }
  if (has_special) {
    c.left = larger(c.left, 3 - (c.right + 1));
    c.left = larger(c.left, 3 + (has_plus || has_minus_inf) - (c.right + 1));
  }
  return c;
}

static const char *special_text(const tvi_float *f, bool has_plus) {
  if (f->kind == TVI_NAN) return has_plus ? "+nan" : "nan";
  return f->is_negative ? "-inf" : has_plus ? "+inf" : "inf";
}

/* `unit` follows the digits, before the spaces that fill the column: "j" or nothing. */
static void put_real(tvi_writer *out, const column *c, const tvi_float *f, const char *unit) {
  if (f->kind != TVI_FINITE) {
    const char *text = special_text(f, c->style.has_plus);
    tvi_writer_put_repeated(out, ' ', c->left + c->right + 1 - (int)strlen(text));
    tvi_writer_put_string(out, text);
    tvi_writer_put_string(out, unit);
    return;
  }
  tvi_decimal d;
  (c->is_scientific ? tvi_decimal_scientific : tvi_decimal_positional)(f, &c->style, &d);
  tvi_writer_put_repeated(out, ' ', c->left - d.whole);
  tvi_writer_put(out, d.text, d.n);
  tvi_writer_put_string(out, unit);
  if (!c->is_scientific) tvi_writer_put_repeated(out, ' ', c->right - d.fraction);
}

static int integer_text(tv_dtype dtype, const void *element, char *out) {
  const int64_t bytes = tv_dtype_size(dtype);
  uint64_t value = load_bits(element, bytes);
  const bool is_negative = tv_dtype_kind(dtype) == 'i' && value >> (8 * bytes - 1);
  if (is_negative) value = (0 - value) & UINT64_MAX >> (64 - 8 * bytes);
  return tvi_integer_text(value, is_negative, out);
}

/* ---- an array in lines ---------------------------------------------------------------------- */

typedef struct job {
  tvi_writer *out;
  tv_dtype dtype;
  int rank;
  const int64_t *shape, *shown;
  const char *next; /* element */
  column real, imaginary;
  int width;             /* of an integer */
  const char *separator; /* ", " or " " */
  int indent;            /* of the outermost bracket's content */
  int line_width;
  tvi_writer word;
} job;

/* Write the next element into j->word. */
static void make_word(job *j) {
  char digits[TVI_INTEGER_SIZE];
  const int64_t size = tv_dtype_size(j->dtype);
  const char *element = j->next;
  j->next += size;
  j->word.n = 0;
  if (j->dtype == TV_BOOL) {
    tvi_writer_put_string(&j->word, !*element ? "False" : j->rank ? " True" : "True");
  } else if (is_real(j->dtype) || is_complex(j->dtype)) {
    const reals re = reals_of(j->dtype, element, 1, false),
                im = reals_of(j->dtype, element, 1, true);
    const tvi_float f = float_at(&re, 0);
    put_real(&j->word, &j->real, &f, "");
    if (!is_complex(j->dtype)) return;
    const tvi_float g = float_at(&im, 0);
    put_real(&j->word, &j->imaginary, &g, "j");
  } else {
    const int n = integer_text(j->dtype, element, digits);
    tvi_writer_put_repeated(&j->word, ' ', j->width - n);
    tvi_writer_put(&j->word, digits, n);
  }
}

static void put_indent(job *j, int axis) { tvi_writer_put_repeated(j->out, ' ', j->indent + axis); }

/* What stands between two parts of an axis: a comma perhaps, and line feeds. */
static void put_gap(job *j, int axis) {
  tvi_writer_put(j->out, j->separator, (int64_t)strlen(j->separator) - 1);
  tvi_writer_put_repeated(j->out, '\n', j->rank - 1 - axis);
}

static bool is_cut(const job *j, int axis) { return j->shown[axis] < j->shape[axis]; }

/* _extendLine. `line` is the position where the line began. */
static void put_word(job *j, const char *word, int64_t n, int64_t *line) {
  const int hang = j->indent + j->rank - 1;
  const int64_t width = j->out->n - *line;
  if (width + n > j->line_width && width > hang) {
    tvi_writer_trim(j->out, *line);
    tvi_writer_put(j->out, "\n", 1);
    *line = j->out->n;
    put_indent(j, j->rank - 1);
  }
  tvi_writer_put(j->out, word, n);
}

/* One run along the last axis, without its brackets. The line so far is as long as the indent of
 * the row, brackets being as wide as the spaces that they replace. */
static void put_row(job *j) {
  const int axis = j->rank - 1;
  int64_t line = j->out->n - (j->indent + axis);
  for (int64_t i = 0; i < j->shown[axis]; i++) {
    if (i) tvi_writer_put_string(j->out, j->separator);
    if (i == EDGE && is_cut(j, axis)) {
      put_word(j, "...", 3, &line);
      tvi_writer_put_string(j->out, j->separator);
    }
    make_word(j);
    put_word(j, j->word.bytes, j->word.n, &line);
  }
}

/* _formatArray, without its recursion. */
static void put_rows(job *j) {
  int64_t index[TV_MAX_RANK] = {0};
  const int last = j->rank - 1;
  tvi_writer_put_repeated(j->out, '[', j->rank);
  while (!j->out->has_failed && !j->word.has_failed) {
    put_row(j);
    tvi_writer_put(j->out, "]", 1);
    int axis = last - 1;
    for (; axis >= 0 && ++index[axis] == j->shown[axis]; axis--) {
      index[axis] = 0;
      tvi_writer_put(j->out, "]", 1);
    }
    if (axis < 0) break;
    put_gap(j, axis);
    put_indent(j, axis);
    if (index[axis] == EDGE && is_cut(j, axis)) {
      tvi_writer_put_string(j->out, "...");
      put_gap(j, axis);
      put_indent(j, axis);
    }
    tvi_writer_put_repeated(j->out, '[', last - axis);
  }
}

static int64_t size_of(int rank, const int64_t *shape) {
  int64_t size = 1;
  for (int i = 0; i < rank; i++) size *= shape[i];
  return size;
}

int64_t tvi_print_shown(int rank, const int64_t *shape, int64_t *shown) {
  const bool is_long = size_of(rank, shape) > THRESHOLD;
  for (int i = 0; i < rank; i++) shown[i] = is_long && shape[i] > 2 * EDGE ? 2 * EDGE : shape[i];
  return size_of(rank, shown);
}

/* array2string. */
static void put_elements(tvi_writer *out, tv_dtype dtype, int rank, const int64_t *shape,
                         const void *elements, tv_text_style style) {
  int64_t shown[TV_MAX_RANK];
  const int64_t n = tvi_print_shown(rank, shape, shown);
  if (!n) {
    tvi_writer_put_string(out, "[]");
    return;
  }
  job j = {.out = out,
           .dtype = dtype,
           .rank = rank,
           .shape = shape,
           .shown = shown,
           .next = elements,
           .separator = style == TV_REPR ? ", " : " ",
           .indent = style == TV_REPR ? (int)strlen("array([") : 1,
           /* each bracket that will close takes a column, and so does a comma or the repr's ")" */
           .line_width = LINE_WIDTH - (style == TV_REPR) - rank,
           .word = TVI_WRITER};
  if (is_real(dtype) || is_complex(dtype)) {
    const reals re = reals_of(dtype, elements, n, false), im = reals_of(dtype, elements, n, true);
    j.real = column_of(&re, false);
    if (is_complex(dtype)) j.imaginary = column_of(&im, true);
  } else if (dtype != TV_BOOL) {
    char digits[TVI_INTEGER_SIZE];
    const char *element = elements;
    for (int64_t i = 0; i < n; i++, element += tv_dtype_size(dtype)) {
      j.width = larger(j.width, integer_text(dtype, element, digits));
    }
  }
  if (rank) {
    put_rows(&j);
  } else {
    make_word(&j);
    tvi_writer_put(out, j.word.bytes, j.word.n);
  }
  out->has_failed |= j.word.has_failed;
  tvi_writer_free(&j.word);
}

/* ---- a 0-d array's str: the text of a NumPy scalar ------------------------------------------ */

static void put_scalar_real(tvi_writer *out, const reals *x, bool has_plus, tvi_trim trim) {
  const tvi_float f = float_at(x, 0);
  if (f.kind != TVI_FINITE) {
    tvi_writer_put_string(out, special_text(&f, has_plus));
    return;
  }
  const uint64_t magnitude = UINT64_MAX >> (65 - 8 * tv_dtype_size(x->dtype));
  const double size = value_of(x->dtype, bits_at(x, 0) & magnitude);
  tvi_decimal d;
  if (!f.mantissa || (size < 1e16 && size >= 1e-4)) {
    const tvi_decimal_style style = {trim, -1, -1, has_plus, 2};
    tvi_decimal_positional(&f, &style, &d);
  } else {
    const tvi_decimal_style style = {TVI_TRIM_ALL, -1, -1, has_plus, 2};
    tvi_decimal_scientific(&f, &style, &d);
  }
  tvi_writer_put(out, d.text, d.n);
}

static void put_scalar(tvi_writer *out, tv_dtype dtype, const void *element) {
  const reals re = reals_of(dtype, element, 1, false), im = reals_of(dtype, element, 1, true);
  if (is_real(dtype)) {
    put_scalar_real(out, &re, false, TVI_TRIM_ZERO);
  } else if (!is_complex(dtype)) {
    put_elements(out, dtype, 0, NULL, element, TV_STR);
  } else if (!bits_at(&re, 0)) { /* +0: "2j" */
    put_scalar_real(out, &im, false, TVI_TRIM_ALL);
    tvi_writer_put(out, "j", 1);
  } else {
    tvi_writer_put(out, "(", 1);
    put_scalar_real(out, &re, false, TVI_TRIM_ALL);
    put_scalar_real(out, &im, true, TVI_TRIM_ALL);
    tvi_writer_put(out, "j)", 2);
  }
}

/* ---- the whole text ------------------------------------------------------------------------- */

/* _array_repr_implementation: the elements, then what they do not tell. */
static void put_repr(tvi_writer *out, tv_dtype dtype, int rank, const int64_t *shape,
                     const void *elements) {
  const int64_t size = size_of(rank, shape);
  const bool has_shape = size > THRESHOLD || (!size && rank != 1);
  const bool is_implied =
      dtype == TV_BOOL || dtype == TV_I64 || dtype == TV_F64 || dtype == TV_C128;
  const bool has_dtype = !size || !is_implied;
  int64_t line = out->n;
  tvi_writer_put_string(out, "array(");
  put_elements(out, dtype, rank, shape, elements, TV_REPR);
  if (has_shape || has_dtype) {
    tvi_writer more = TVI_WRITER;
    if (has_shape) {
      tvi_writer_put_string(&more, "shape=");
      tvi_writer_put_tuple(&more, rank, shape);
    }
    if (has_shape && has_dtype) tvi_writer_put(&more, ", ", 2);
    if (has_dtype) {
      tvi_writer_put_string(&more, "dtype=");
      tvi_writer_put_string(&more, tv_dtype_name(dtype));
    }
    tvi_writer_put(out, ",", 1);
    for (int64_t i = out->n; i > line; i--) {
      if (out->bytes[i - 1] == '\n') line = i;
    }
    const bool fits = out->n - line + 1 + more.n + 1 <= LINE_WIDTH;
    tvi_writer_put_string(out, fits ? " " : "\n      ");
    tvi_writer_put(out, more.bytes, more.n);
    out->has_failed |= more.has_failed;
    tvi_writer_free(&more);
  }
  tvi_writer_put(out, ")", 1);
}

void tvi_print_array(tvi_writer *out, tv_dtype dtype, int rank, const int64_t *shape,
                     const void *elements, tv_text_style style) {
  if (style == TV_REPR) {
    put_repr(out, dtype, rank, shape, elements);
  } else if (rank) {
    put_elements(out, dtype, rank, shape, elements, style);
  } else {
    put_scalar(out, dtype, elements);
  }
}
