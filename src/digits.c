/* SPDX-License-Identifier: MIT */
/* Decimal digits of binary floats.
 *
 * The algorithm is free-format printing with exact integers: G. L. Steele and J. L. White, "How to
 * print floating-point numbers accurately" (PLDI 1990), in the form of R. G. Burger and
 * R. K. Dybvig, "Printing floating-point numbers quickly and accurately" (PLDI 1996). Cutting and
 * extending the digits follows NumPy 2.2 (_core/src/multiarray/dragon4.c), so that text is equal.
 *
 * The value is r / s, and the gaps to its neighbours reach m_low / s below and m_high / s above:
 * all four are big integers. A digit is the whole part of 10 r / s. Digits end when what is left is
 * within a gap: any number there reads back as x. docs/adr tells why this is not a library. */
#include "digits.h"

#include <string.h>

/* ---- big integers ---------------------------------------------------------------------------
 * The largest is the gap of the smallest f64, 10^324, carried 17 digits further than needed and
 * added to a remainder: 1077 + 57 + 2 bits. 36 words hold 1152. */

enum { WORDS = 36 };

typedef struct big {
  uint32_t word[WORDS]; /* least significant first; those from n on mean nothing */
  int n;                /* no leading zero word; 0 for zero */
} big;

static void big_set(big *x, uint64_t value) {
  x->n = 0;
  for (; value; value >>= 32) x->word[x->n++] = (uint32_t)value;
}

static void big_multiply(big *x, uint32_t by) {
  uint64_t carry = 0;
  for (int i = 0; i < x->n; i++) {
    carry += (uint64_t)x->word[i] * by;
    x->word[i] = (uint32_t)carry;
    carry >>= 32;
  }
  if (carry) x->word[x->n++] = (uint32_t)carry;
}

static void big_multiply_pow10(big *x, int exponent) {
  for (; exponent >= 9; exponent -= 9) big_multiply(x, 1000000000);
  uint32_t rest = 1;
  for (; exponent > 0; exponent--) rest *= 10;
  big_multiply(x, rest);
}

static void big_shift_left(big *x, int bits) {
  if (!x->n) return;
  const int words = bits / 32;
  memmove(x->word + words, x->word, (size_t)x->n * sizeof *x->word);
  memset(x->word, 0, (size_t)words * sizeof *x->word);
  x->n += words;
  big_multiply(x, (uint32_t)1 << bits % 32);
}

static int big_compare(const big *a, const big *b) {
  if (a->n != b->n) return a->n < b->n ? -1 : 1;
  for (int i = a->n - 1; i >= 0; i--) {
    if (a->word[i] != b->word[i]) return a->word[i] < b->word[i] ? -1 : 1;
  }
  return 0;
}

/* Compare a + b with c. */
static int big_compare_sum(const big *a, const big *b, const big *c) {
  big sum;
  uint64_t carry = 0;
  const int n = a->n > b->n ? a->n : b->n;
  for (int i = 0; i < n; i++) {
    carry += (i < a->n ? (uint64_t)a->word[i] : 0) + (i < b->n ? (uint64_t)b->word[i] : 0);
    sum.word[i] = (uint32_t)carry;
    carry >>= 32;
  }
  sum.n = n;
  if (carry) sum.word[sum.n++] = (uint32_t)carry;
  return big_compare(&sum, c);
}

/* a -= b, for a ≥ b. */
static void big_subtract(big *a, const big *b) {
  uint64_t borrow = 0;
  for (int i = 0; i < a->n; i++) {
    const uint64_t take = (i < b->n ? (uint64_t)b->word[i] : 0) + borrow;
    borrow = a->word[i] < take;
    a->word[i] = (uint32_t)(a->word[i] - take);
  }
  while (a->n && !a->word[a->n - 1]) a->n--;
}

/* r mod s stays in r, the quotient (0 to 9) is returned. */
static int big_divide(big *r, const big *s) {
  int quotient = 0;
  for (; big_compare(r, s) >= 0; quotient++) big_subtract(r, s);
  return quotient;
}

/* ---- digits --------------------------------------------------------------------------------- */

tvi_float tvi_float_unpack(uint64_t bits, int exponent_bits, int mantissa_bits) {
  const uint64_t fraction = bits & (((uint64_t)1 << mantissa_bits) - 1);
  const int largest = (1 << exponent_bits) - 1;
  const int field = (int)(bits >> mantissa_bits) & largest;
  const int bias = largest / 2 + mantissa_bits;
  tvi_float x = {.mantissa = fraction, .exponent = 1 - bias};
  x.is_negative = bits >> (exponent_bits + mantissa_bits) & 1;
  if (field == largest) {
    x.kind = fraction ? TVI_NAN : TVI_INFINITE;
  } else if (field) {
    x.mantissa |= (uint64_t)1 << mantissa_bits;
    x.exponent = field - bias;
    /* The smallest normal number has a subnormal neighbour at the same distance. */
    x.is_binade_start = !fraction && field > 1;
  }
  return x;
}

static int top_bit(uint64_t x) {
  int bit = 0;
  while (x >>= 1) bit++;
  return bit;
}

/* ⌈b log10 2 - 0.69⌉, which is the decimal exponent of a number in [2^b, 2^(b+1)), or that plus 1:
 * (b + 1) log10 2 exceeds b log10 2 by 0.3011, and 0.69 + 0.3011 < 1 leaves room for the error of
 * the factor, 4.4e-9 b < 5e-6. */
static int estimate_exponent(int b) {
  const int scaled = b * 30103 - 69000;
  return scaled > 0 ? (scaled + 99999) / 100000 : -(-scaled / 100000);
}

/* Add 1 in the last place. */
static void round_up(tvi_digits *out) {
  while (out->n && out->digit[out->n - 1] == '9') out->n--;
  if (out->n) {
    out->digit[out->n - 1]++;
  } else {
    out->digit[out->n++] = '1';
    out->exponent++;
  }
}

void tvi_digits_find(const tvi_float *x, tvi_cut cut, int most, int least, tvi_digits *out) {
  out->n = 0;
  out->exponent = 0;
  if (!x->mantissa) {
    out->digit[out->n++] = '0';
    return;
  }

  /* Scaled by 2, or by 4 where the lower gap is half the upper one, so that half gaps are whole. */
  big r, s, m_low;
  const int scale = x->is_binade_start ? 2 : 1;
  big_set(&r, x->mantissa);
  big_set(&s, 1);
  big_set(&m_low, 1);
  if (x->exponent > 0) {
    big_shift_left(&r, x->exponent + scale);
    big_shift_left(&s, scale);
    big_shift_left(&m_low, x->exponent);
  } else {
    big_shift_left(&r, scale);
    big_shift_left(&s, scale - x->exponent);
  }
  int exponent = estimate_exponent(top_bit(x->mantissa) + x->exponent);
  if (exponent > 0) {
    big_multiply_pow10(&s, exponent);
  } else {
    big_multiply_pow10(&r, -exponent);
    big_multiply_pow10(&m_low, -exponent);
  }
  big m_high = m_low;
  if (x->is_binade_start) big_multiply(&m_high, 2);

  if (big_compare(&r, &s) >= 0) {
    exponent++;
  } else {
    big_multiply(&r, 10);
    big_multiply(&m_low, 10);
    big_multiply(&m_high, 10);
  }

  /* Exponents of the last digit that may, and of the last that must, be written. */
  int last = exponent - TVI_DIGITS_MAX;
  const int origin = cut == TVI_CUT_TOTAL ? exponent : 0;
  if (most >= 0 && origin - most > last) last = origin - most;
  int must = exponent;
  if (least >= 0 && origin - least < must) must = origin - least;
  out->exponent = --exponent;

  if (exponent < last) { /* the cut lies before the first digit: 0, or 1 in the last place */
    big_multiply(&s, 5);
    const bool is_up = exponent == last - 1 && big_compare(&r, &s) > 0;
    out->digit[out->n++] = is_up ? '1' : '0';
    out->exponent = is_up ? last : 0;
    return;
  }
  /* A tie goes to the even mantissa on reading, so the ends of an even x's interval are its own. */
  const int edge = x->mantissa & 1 ? 1 : 0;
  for (;; exponent--) {
    const int digit = big_divide(&r, &s);
    const bool is_low = big_compare(&r, &m_low) <= -edge;
    const bool is_high = big_compare_sum(&r, &m_high, &s) >= edge;
    if (((is_low || is_high) && exponent <= must) || exponent == last) {
      bool is_up = is_high;
      if (is_low == is_high) { /* both, or cut before either: the nearer, and even if halfway */
        const int half = big_compare_sum(&r, &r, &s);
        is_up = half > 0 || (half == 0 && digit % 2);
      }
      out->digit[out->n++] = (char)('0' + digit);
      if (is_up) round_up(out);
      return;
    }
    out->digit[out->n++] = (char)('0' + digit);
    big_multiply(&r, 10);
    big_multiply(&m_low, 10);
    big_multiply(&m_high, 10);
  }
}

/* ---- layouts -------------------------------------------------------------------------------- */

static void put(tvi_decimal *out, char c) { out->text[out->n++] = c; }

static void put_sign(tvi_decimal *out, const tvi_float *x, const tvi_decimal_style *style) {
  memset(out, 0, sizeof *out);
  if (x->is_negative) put(out, '-');
  if (!x->is_negative && style->has_plus) put(out, '+');
}

/* What follows the whole part; `zeros` stand between the point and digit `from`. */
static void put_fraction(tvi_decimal *out, const tvi_decimal_style *style, const tvi_digits *digits,
                         int zeros, int from) {
  out->whole = out->n;
  put(out, '.');
  for (int i = 0; i < zeros; i++) put(out, '0');
  for (int i = from; i < digits->n; i++) put(out, digits->digit[i]);
  out->fraction = out->n - out->whole - 1;
  if (style->trim == TVI_TRIM_KEEP) {
    for (; out->fraction < style->least; out->fraction++) put(out, '0');
    return;
  }
  for (; out->fraction && out->text[out->n - 1] == '0'; out->fraction--) out->n--;
  if (out->fraction) return;
  if (style->trim == TVI_TRIM_ALL) out->n--;
  if (style->trim == TVI_TRIM_ZERO) {
    put(out, '0');
    out->fraction = 1;
  }
}

void tvi_decimal_positional(const tvi_float *x, const tvi_decimal_style *style, tvi_decimal *out) {
  tvi_digits digits;
  tvi_digits_find(x, TVI_CUT_FRACTION, style->most, style->least, &digits);
  put_sign(out, x, style);
  if (digits.exponent < 0) {
    put(out, '0');
    put_fraction(out, style, &digits, -digits.exponent - 1, 0);
    return;
  }
  for (int i = 0; i <= digits.exponent; i++) put(out, i < digits.n ? digits.digit[i] : '0');
  put_fraction(out, style, &digits, 0, digits.exponent + 1);
}

void tvi_decimal_scientific(const tvi_float *x, const tvi_decimal_style *style, tvi_decimal *out) {
  const int most = style->most < 0 ? -1 : style->most + 1;
  const int least = style->least < 0 ? -1 : style->least + 1;
  tvi_digits digits;
  tvi_digits_find(x, TVI_CUT_TOTAL, most, least, &digits);
  put_sign(out, x, style);
  put(out, digits.digit[0]);
  put_fraction(out, style, &digits, 0, 1);
  put(out, 'e');
  put(out, digits.exponent < 0 ? '-' : '+');
  int exponent = digits.exponent < 0 ? -digits.exponent : digits.exponent;
  char reversed[8];
  while (exponent || out->exponent < style->exponent_digits) {
    reversed[out->exponent++] = (char)('0' + exponent % 10);
    exponent /= 10;
  }
  for (int i = out->exponent; i > 0; i--) put(out, reversed[i - 1]);
}
