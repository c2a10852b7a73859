/* SPDX-License-Identifier: MIT */
/* Decimal digits of binary floats: the fewest that read back to the same float, or a given number
 * of them, and their two layouts (positional, scientific). No locale, no tables, no allocation. */
#ifndef TVI_DIGITS_H
#define TVI_DIGITS_H
#include <stdbool.h>
#include <stdint.h>

typedef enum tvi_float_kind { TVI_FINITE, TVI_INFINITE, TVI_NAN } tvi_float_kind;

/** A binary float taken apart: mantissa * 2^exponent. */
typedef struct tvi_float {
  uint64_t mantissa; /* the hidden bit included; 0 for both zeros */
  int exponent;
  tvi_float_kind kind;
  bool is_negative;
  bool is_binade_start; /* its lower neighbour is half as far away as its upper one */
} tvi_float;

/** Take apart an IEEE 754 binary interchange format of these field widths; f32 has 8 and 23. */
tvi_float tvi_float_unpack(uint64_t bits, int exponent_bits, int mantissa_bits);

/** What `most` and `least` count. */
typedef enum tvi_cut {
  TVI_CUT_TOTAL,   /* all digits, from the first that is not 0 */
  TVI_CUT_FRACTION /* digits behind the decimal point */
} tvi_cut;

enum {
  TVI_DIGITS_MAX = 32,   /* f64 needs 17 */
  TVI_DECIMAL_SIZE = 384 /* -4.9e-324 in positional layout: sign, "0.", 323 zeros, 17 digits */
};

/** Digits d0 d1 d2 … with the value d0.d1d2… * 10^exponent. */
typedef struct tvi_digits {
  char digit[TVI_DIGITS_MAX]; /* '0' to '9', no NUL */
  int n;
  int exponent;
} tvi_digits;

/**
 * The fewest digits that identify |x| among its neighbours, cut at `most` and extended to `least`
 * digits (each -1 for no bound), and never more than 17 beyond those needed nor TVI_DIGITS_MAX in
 * all. The last digit is rounded half to even.
 *
 * x is finite. Zero gives the one digit 0.
 */
void tvi_digits_find(const tvi_float *x, tvi_cut cut, int most, int least, tvi_digits *out);

/** What becomes of zeros at the end of the fraction, in NumPy's words. */
typedef enum tvi_trim {
  TVI_TRIM_KEEP,  /* 'k': fill with zeros up to `least` */
  TVI_TRIM_POINT, /* '.': none, the point stays: "1." */
  TVI_TRIM_ZERO,  /* '0': one zero stays: "1.0" */
  TVI_TRIM_ALL    /* '-': neither zero nor point: "1" */
} tvi_trim;

typedef struct tvi_decimal_style {
  tvi_trim trim;
  int most;            /* digits behind the point at most, -1 for as many as needed */
  int least;           /* and at least, -1 for none */
  bool has_plus;       /* a sign before positive values too */
  int exponent_digits; /* scientific: at least so many */
} tvi_decimal_style;

/** A number as text, with the sizes that aligning columns needs. */
typedef struct tvi_decimal {
  char text[TVI_DECIMAL_SIZE]; /* no NUL */
  int n;
  int whole;    /* characters before the point, sign included */
  int fraction; /* digits after it */
  int exponent; /* digits of the exponent; 0 in positional layout */
} tvi_decimal;

/** x as 12.5; x is finite. */
void tvi_decimal_positional(const tvi_float *x, const tvi_decimal_style *style, tvi_decimal *out);

/** x as 1.25e+01; x is finite. */
void tvi_decimal_scientific(const tvi_float *x, const tvi_decimal_style *style, tvi_decimal *out);

#endif
