/* SPDX-License-Identifier: MIT
 * Digits against what defines them: they read back, and fewer do not. */
#include "digits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "half.h"

static tvi_float f64_parts(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return tvi_float_unpack(bits, 11, 52);
}

static tvi_float f32_parts(float x) { return tvi_float_unpack(tvi_bits_of(x), 8, 23); }

/* The text of a number, in one of two buffers in turn. */
static const char *text(bool is_scientific, tvi_float x, tvi_decimal_style style) {
  static char out[2][TVI_DECIMAL_SIZE + 1];
  static int turn;
  tvi_decimal d;
  (is_scientific ? tvi_decimal_scientific : tvi_decimal_positional)(&x, &style, &d);
  turn = !turn;
  memcpy(out[turn], d.text, (size_t)d.n);
  out[turn][d.n] = '\0';
  EQUAL(d.n, d.whole + (memchr(d.text, '.', (size_t)d.n) ? 1 : 0) + d.fraction +
                 (d.exponent ? d.exponent + 2 : 0));
  return out[turn];
}

static const tvi_decimal_style bare = {TVI_TRIM_ALL, -1, -1, false, 2};

static const char *scientific(double x) { return text(true, f64_parts(x), bare); }
static const char *positional(double x) { return text(false, f64_parts(x), bare); }

TEST(known_f64_are_right) {
  SAME_TEXT(scientific(5e-324), "5e-324");
  SAME_TEXT(scientific(2.2250738585072014e-308), "2.2250738585072014e-308");
  SAME_TEXT(scientific(1.7976931348623157e308), "1.7976931348623157e+308");
  SAME_TEXT(scientific(9007199254740992), "9.007199254740992e+15");
  SAME_TEXT(scientific(9.5367431640625e-07), "9.5367431640625e-07");
  SAME_TEXT(scientific(5e-1), "5e-01");
  SAME_TEXT(scientific(-123456), "-1.23456e+05");
  SAME_TEXT(scientific(1e23), "1e+23");
  SAME_TEXT(scientific(0x1p-1022), "2.2250738585072014e-308");
  SAME_TEXT(positional(0), "0");
  SAME_TEXT(positional(-0.), "-0");
  SAME_TEXT(positional(0.1), "0.1");
  SAME_TEXT(positional(0.1 + 0.2), "0.30000000000000004");
  SAME_TEXT(positional(1e22), "10000000000000000000000");
  SAME_TEXT(positional(0.001), "0.001");
  SAME_TEXT(positional(5e-324) + 321, "00005"); /* behind "0." and 318 zeros */
}

TEST(each_width_has_its_own_digits) {
  SAME_TEXT(text(false, f32_parts(0.1f), bare), "0.1");
  SAME_TEXT(text(false, f64_parts((double)0.1f), bare), "0.10000000149011612");
  SAME_TEXT(text(false, tvi_float_unpack(0x2e66, 5, 10), bare), "0.1");
  SAME_TEXT(text(false, tvi_float_unpack(0x3dcd, 8, 7), bare), "0.1");
  SAME_TEXT(text(true, tvi_float_unpack(1, 5, 10), bare), "6e-08");
  SAME_TEXT(text(true, tvi_float_unpack(1, 8, 7), bare), "9e-41");
  SAME_TEXT(text(true, f32_parts(0x1p-149f), bare), "1e-45");
}

TEST(trimming_follows_the_style) {
  const tvi_float one = f64_parts(1), more = f64_parts(1.25);
  const tvi_decimal_style keep = {TVI_TRIM_KEEP, 4, 4, true, 3},
                          point = {TVI_TRIM_POINT, 8, -1, false, 2},
                          zero = {TVI_TRIM_ZERO, -1, -1, false, 2};
  SAME_TEXT(text(false, one, keep), "+1.0000");
  SAME_TEXT(text(true, more, keep), "+1.2500e+000");
  SAME_TEXT(text(false, one, point), "1.");
  SAME_TEXT(text(true, one, point), "1.e+00");
  SAME_TEXT(text(false, one, zero), "1.0");
  SAME_TEXT(text(false, more, zero), "1.25");
}

TEST(cut_digits_are_rounded_half_to_even) {
  tvi_decimal_style two = {TVI_TRIM_POINT, 2, -1, false, 2};
  SAME_TEXT(text(false, f64_parts(0.125), two), "0.12");
  SAME_TEXT(text(false, f64_parts(0.375), two), "0.38");
  SAME_TEXT(text(false, f64_parts(9.999), two), "10.");
  SAME_TEXT(text(true, f64_parts(9.9999e9), two), "1.e+10");
  SAME_TEXT(text(false, f64_parts(0.004), two), "0.");
  SAME_TEXT(text(false, f64_parts(0.006), two), "0.01");
  SAME_TEXT(text(false, f64_parts(0.0006), two), "0.");
}

TEST(digits_beyond_the_needed_are_exact) {
  const tvi_decimal_style three = {TVI_TRIM_KEEP, 3, 3, false, 2},
                          whole = {TVI_TRIM_POINT, 8, 0, false, 2};
  SAME_TEXT(text(true, tvi_float_unpack(0x2e66, 5, 10), three), "9.998e-02"); /* not 1.000e-01 */
  SAME_TEXT(text(false, tvi_float_unpack(0x7bff, 5, 10), whole), "65504.");
  SAME_TEXT(text(false, tvi_float_unpack(0x7bff, 5, 10), bare), "65500");
  const tvi_decimal_style most = {TVI_TRIM_KEEP, 16, 16, false, 2};
  SAME_TEXT(text(true, f64_parts(5e-324), most), "4.9406564584124654e-324");
}

TEST(special_values_are_known) {
  EQUAL(f64_parts(HUGE_VAL).kind, TVI_INFINITE);
  EQUAL(f64_parts(-HUGE_VAL).is_negative, true);
  EQUAL(f64_parts((double)NAN).kind, TVI_NAN);
  EQUAL(tvi_float_unpack(0x7c00, 5, 10).kind, TVI_INFINITE);
  EQUAL(tvi_float_unpack(0x7f81, 8, 7).kind, TVI_NAN);
}

/* Every finite half reads back, and no decimal of one digit less does. */
static void sweep_half(int exponent_bits, int mantissa_bits, uint16_t (*of_double)(double)) {
  for (uint32_t bits = 0; bits < 0x8000; bits++) {
    const tvi_float x = tvi_float_unpack(bits, exponent_bits, mantissa_bits);
    if (x.kind != TVI_FINITE) continue;
    tvi_digits d;
    tvi_digits_find(&x, TVI_CUT_TOTAL, -1, -1, &d);
    long long whole = 0;
    for (int i = 0; i < d.n; i++) whole = 10 * whole + (d.digit[i] - '0');
    const int last = d.exponent - d.n + 1;
    char out[64];
    snprintf(out, sizeof out, "%lldE%d", whole, last);
    EQUAL(of_double(strtod(out, NULL)), bits);
    for (int up = 0; d.n > 1 && up < 2; up++) {
      snprintf(out, sizeof out, "%lldE%d", whole / 10 + up, last + 1);
      CHECK(of_double(strtod(out, NULL)) != bits);
    }
  }
}

TEST(every_f16_reads_back_and_no_shorter) { sweep_half(5, 10, tvi_f16_of_double); }
TEST(every_bf16_reads_back_and_no_shorter) { sweep_half(8, 7, tvi_bf16_of_double); }

/* A stream of numbers that is the same everywhere. */
static uint64_t next(uint64_t *state) {
  *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64, Steele, Lea and Flood 2014 */
  uint64_t z = *state;
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

TEST(random_f64_and_f32_read_back_from_no_more_digits_than_printf_needs) {
  uint64_t state = 1;
  for (int i = 0; i < 20000; i++) {
    const uint64_t bits = next(&state);
    double wide;
    memcpy(&wide, &bits, sizeof wide);
    const float narrow = tvi_float_of((uint32_t)(bits >> 20));
    tvi_digits d;
    char out[64];
    if (isfinite(wide) && wide != 0) {
      CHECK(strtod(scientific(wide), NULL) == wide);
      const tvi_float x = f64_parts(wide);
      tvi_digits_find(&x, TVI_CUT_TOTAL, -1, -1, &d);
      snprintf(out, sizeof out, "%.*e", d.n > 1 ? d.n - 2 : 0, wide);
      CHECK(d.n == 1 || strtod(out, NULL) != wide);
    }
    if (isfinite(narrow) && narrow != 0) {
      CHECK(strtof(text(true, f32_parts(narrow), bare), NULL) == narrow);
      const tvi_float x = f32_parts(narrow);
      tvi_digits_find(&x, TVI_CUT_TOTAL, -1, -1, &d);
      snprintf(out, sizeof out, "%.*e", d.n > 1 ? d.n - 2 : 0, (double)narrow);
      CHECK(d.n == 1 || strtof(out, NULL) != narrow);
    }
  }
}

TEST_MAIN("digits", CASE(known_f64_are_right), CASE(each_width_has_its_own_digits),
          CASE(trimming_follows_the_style), CASE(cut_digits_are_rounded_half_to_even),
          CASE(digits_beyond_the_needed_are_exact), CASE(special_values_are_known),
          CASE(every_f16_reads_back_and_no_shorter), CASE(every_bf16_reads_back_and_no_shorter),
          CASE(random_f64_and_f32_read_back_from_no_more_digits_than_printf_needs))
