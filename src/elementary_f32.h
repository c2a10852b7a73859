/* SPDX-License-Identifier: MIT
 * exp, expm1, log, log1p, sin, cos, tanh, sigmoid and pow of float, made of + - * / and fma. Worst
 * errors over all floats are in docs/adr/0011-own-elementary-functions.md.
 *
 * Each is free of branches, so that loops over it become vector code, and gives the same bits
 * wherever there is an fma (fma.h). Special values are those of C99 Annex F.
 *
 * Reduction to a short interval is that of Cody and Waite, "Software manual for the elementary
 * functions" (1980), exact sums and their errors are those of Dekker (1971). Adding and subtracting
 * 1.5 * 2^23 rounds to an integer. Polynomials are minimax ones by Remez' exchange, made for these
 * intervals. */
#ifndef TVI_ELEMENTARY_F32_H
#define TVI_ELEMENTARY_F32_H

#include "fma.h"

/* e^x --------------------------------------------------------------------------------------------
 */

/* x = n ln 2 + r + rest, |r| <= ln 2 / 2, for |x| < 2^8: n plus 254, as an integer and as it is. */
typedef struct tvi_parts_f32 {
  uint32_t n_plus_254;
  float r, rest;
} tvi_parts_f32;

TVI_SCALAR tvi_parts_f32 tvi_parts_of_f32(float x) {
  const float shifted = tvi_fma_f32(x, 0x1.715476p+0f, 0x1.8p23f + 254);
  const float n = shifted - (0x1.8p23f + 254);
  const float far = tvi_fma_f32(n, -0x1.62e4p-1f, x); /* exact: 15 bits times 9 */
  const float r = tvi_fma_f32(n, -0x1.7f7d1cp-20f, far);
  const float rest = tvi_fma_f32(n, -0x1.7f7d1cp-20f, far - r);
  const tvi_parts_f32 parts = {tvi_bits_of(shifted) - 0x4b400000u, r, rest};
  return parts;
}

/* e^r - 1 - r, for |r| <= ln 2 / 2. */
TVI_SCALAR float tvi_exp_rest_f32(float r) {
  float p = tvi_fma_f32(0x1.6a25b8p-10f, r, 0x1.123a2cp-7f);
  p = tvi_fma_f32(p, r, 0x1.5558f2p-5f);
  p = tvi_fma_f32(p, r, 0x1.555490p-3f);
  p = tvi_fma_f32(p, r, 0x1.fffffcp-2f);
  return r * r * p;
}

TVI_SCALAR float tvi_exp_f32(float x) {
  const float below = x > 89 ? 89 : x, bounded = below < -104 ? -104 : below; /* NaN stays */
  const tvi_parts_f32 parts = tvi_parts_of_f32(bounded);
  const float power = 1 + (parts.r + tvi_exp_rest_f32(parts.r));
  /* 2^n in two factors, each a normal number: one rounding where the result is subnormal. */
  const uint32_t first = parts.n_plus_254 >> 1, second = parts.n_plus_254 - first;
  return power * tvi_float_of(first << 23) * tvi_float_of(second << 23);
}

/* e^x - 1, and what its rounding leaves; 2^n below 2^128. */
TVI_SCALAR float tvi_expm1_parts_f32(tvi_parts_f32 parts, float two_to_n, float *low) {
  const float whole = two_to_n - 1, tail = tvi_exp_rest_f32(parts.r) + parts.rest;
  const float first = tvi_fma_f32(two_to_n, parts.r, whole);
  const float lost = tvi_fma_f32(two_to_n, parts.r, whole - first);
  const float second = tvi_fma_f32(two_to_n, tail, lost), high = first + second;
  *low = (first - high) + second;
  return high;
}

TVI_SCALAR float tvi_expm1_f32(float x) {
  const float below = x > 89 ? 89 : x, bounded = below < -20 ? -20 : below;
  const tvi_parts_f32 parts = tvi_parts_of_f32(bounded);
  const uint32_t is_top =
      parts.n_plus_254 > 127 + 254; /* then 2^n is too large: twice half of it */
  const float two_to_n = tvi_float_of((parts.n_plus_254 - 127 - is_top) << 23);
  float low;
  const float high = tvi_expm1_parts_f32(parts, two_to_n, &low);
  const float lost = two_to_n - (two_to_n - 1) - 1; /* where 1 is not all of it in 2^n - 1 */
  const float y = high + (low + lost);
  return copysignf(y * (is_top ? 2.0f : 1.0f), x);
}

/* t / (t + 2) with t = e^2|x| - 1; the quotient is corrected by its remainder. */
TVI_SCALAR float tvi_tanh_f32(float x) {
  const float twice = 2 * fabsf(x), bounded = twice > 19 ? 19 : twice;
  const tvi_parts_f32 parts = tvi_parts_of_f32(bounded);
  float low;
  const float high = tvi_expm1_parts_f32(parts, tvi_float_of((parts.n_plus_254 - 127) << 23), &low);
  const float divisor = high + 2, divisor_low = ((2 - divisor) + high) + low;
  const float inverse = 1 / divisor, quotient = high * inverse;
  const float remainder =
      tvi_fma_f32(-quotient, divisor, high) + tvi_fma_f32(-quotient, divisor_low, low);
  return copysignf(tvi_fma_f32(remainder, inverse, quotient), x);
}

/* 1 / (1 + e) or e / (1 + e) with e = e^-|x|. With an fma the quotient is corrected as in tanh;
 * without, its remainder would have no right digit. */
TVI_SCALAR float tvi_sigmoid_f32(float x) {
  const float e = tvi_exp_f32(-fabsf(x)), divisor = 1 + e, numerator = x < 0 ? e : 1;
#ifdef TVI_HAS_FMA
  const float divisor_low = (1 - divisor) + e;
  const float inverse = 1 / divisor, quotient = numerator * inverse;
  const float remainder =
      tvi_fma_f32(-quotient, divisor_low, tvi_fma_f32(-quotient, divisor, numerator));
  return tvi_fma_f32(remainder, inverse, quotient);
#else
  return numerator / divisor;
#endif
}

/* log x ------------------------------------------------------------------------------------------
 */

/* log (1 + f) - f, for sqrt(1/2) <= 1 + f < sqrt(2). */
TVI_SCALAR float tvi_log_rest_f32(float f) {
  float p = tvi_fma_f32(0x1.144946p-4f, f, -0x1.de3590p-4f);
  p = tvi_fma_f32(p, f, 0x1.e6f30cp-4f);
  p = tvi_fma_f32(p, f, -0x1.fc2342p-4f);
  p = tvi_fma_f32(p, f, 0x1.233754p-3f);
  p = tvi_fma_f32(p, f, -0x1.555c44p-3f);
  p = tvi_fma_f32(p, f, 0x1.99a4b6p-3f);
  p = tvi_fma_f32(p, f, -0x1.000006p-2f);
  p = tvi_fma_f32(p, f, 0x1.555548p-2f);
  p = tvi_fma_f32(p, f, -.5f);
  return f * f * p;
}

/* n ln 2 + f + low, where low is small. */
TVI_SCALAR float tvi_log_sum_f32(float n, float f, float low) {
  const float whole = n * 0x1.62e4p-1f, high = whole + f, lost = (whole - high) + f; /* exact */
  return high + (lost + tvi_fma_f32(n, 0x1.7f7d1cp-20f, low));
}

/* y where x is positive and finite, else what the logarithm is there. */
TVI_SCALAR float tvi_log_or_special_f32(float x, float y) {
  const float not_positive = x == 0 ? -INFINITY : (float)NAN, finite = x < INFINITY ? y : x;
  return x > 0 ? finite : not_positive;
}

TVI_SCALAR float tvi_log_f32(float x) {
  const int32_t is_small = x < 0x1p-126f; /* then it is scaled, which makes subnormals normal */
  const uint32_t bits = tvi_bits_of(is_small ? x * 0x1p23f : x);
  const int32_t n = (int32_t)(bits - 0x3f3504f3u) >> 23;
  const float f = tvi_float_of(bits - ((uint32_t)n << 23)) - 1; /* exact */
  const float y = tvi_log_sum_f32((float)(n - (is_small ? 23 : 0)), f, tvi_log_rest_f32(f));
  return tvi_log_or_special_f32(x, y);
}

TVI_SCALAR float tvi_log1p_f32(float x) {
  const float u = 1 + x;
  const float lost = x >= 1 ? 1 - (u - x) : x - (u - 1); /* u + lost is 1 + x */
  const uint32_t bits = tvi_bits_of(u);
  const int32_t n = (int32_t)(bits - 0x3f3504f3u) >> 23;
  const float f = tvi_float_of(bits - ((uint32_t)n << 23)) - 1;
  /* Over 2^n, which is no normal number at the end of the range: there nothing of it is left. */
  const float rest = lost * tvi_float_of((uint32_t)(127 - (n < 126 ? n : 126)) << 23);
  /* rest / (1 + f), to the 3 digits that count */
  const float slope = tvi_fma_f32(tvi_fma_f32(-.75f, f, .984f), f * f, 1 - f);
  const float y = tvi_log_sum_f32((float)n, f, tvi_fma_f32(rest, slope, tvi_log_rest_f32(f)));
  const float finite = x < INFINITY ? y : x;
  const float not_above = x == -1 ? -INFINITY : (float)NAN;
  const float whole = x > -1 ? finite : not_above;
  return x == 0 ? x : whole;
}

/* sin x and cos x --------------------------------------------------------------------------------
 */

/* The angle in quarter turns, x 2 / pi, as a whole number and what is left of it, in double. For
 * large x the digits of 2 / pi that would make multiples of 4 are left out; as x has 24 bits, two
 * doubles hold the digits that count, for x below 2^46, 2^67, 2^88, 2^109 and 2^128 (Payne and
 * Hanek 1983, on few intervals). Without an fma the first is cut in two, whose products with x are
 * exact. */
#define TVI_NEAR_F32 0x1p46f
TVI_SCALAR double tvi_quarters_of(double x, double p, double q, uint64_t *whole) {
  const double shifted = x * p + 0x1.8p52, n = shifted - 0x1.8p52;
#ifdef TVI_HAS_FMA
  const double near = tvi_fma_f64(x, p, -n);
#else
  const double head = tvi_double_of(tvi_wide_bits_of(p) & ~UINT64_C(0x7ffffff));
  const double near = (x * head - n) + x * (p - head);
#endif
  *whole = tvi_wide_bits_of(shifted);
  return tvi_fma_f64(x, q, near);
}

/* sin of so many quarter turns, rounded once; `whole` counts modulo 4. */
TVI_SCALAR float tvi_sin_of_quarters(double quarters, uint64_t whole) {
  const double r = quarters * 0x1.921fb54442d18p+0, z = r * r;
  double s = tvi_fma_f64(0x1.6cd1880411982p-19, z, -0x1.a00f7d6b4af0bp-13);
  double c = tvi_fma_f64(0x1.991609c24c56bp-16, z, -0x1.6c07eeec54c75p-10);
  s = tvi_fma_f64(s, z, 0x1.111108683a319p-7), c = tvi_fma_f64(c, z, 0x1.55553c724ec2cp-5);
  s = tvi_fma_f64(s, z, -0x1.5555554c6edc8p-3), c = tvi_fma_f64(c, z, -0x1.ffffffcb711f0p-2);
  s = r * tvi_fma_f64(s, z, 1), c = tvi_fma_f64(c, z, 1);
  const uint64_t sign = whole << 62 & UINT64_C(1) << 63;
  return (float)tvi_double_of(tvi_wide_bits_of(whole & 1 ? c : s) ^ sign);
}

TVI_SCALAR float tvi_sin_after_f32(float x, uint64_t turns) {
  const float size = fabsf(x);
  double p = size < TVI_NEAR_F32 ? 0x1.45f306dc9c882p-1 : 0x1.b727220a94fe1p-23;
  double q = size < TVI_NEAR_F32 ? 0x1.4a7f09d5f47d5p-54 : 0x1.d5f47d4d37703p-78;
  p = size < 0x1p67f ? p : 0x1.054a7f09d5f47p-46, q = size < 0x1p67f ? q : 0x1.a9a6ee06db14bp-99;
  p = size < 0x1p88f ? p : 0x1.fc2757d1f534dp-64, q = size < 0x1p88f ? q : 0x1.b81b6c52b3279p-117;
  p = size < 0x1p109f ? p : 0x1.f47d4d377036dp-86, q = size < 0x1p109f ? q : 0x1.14acc9e21c821p-139;
  uint64_t whole;
  const double quarters = tvi_quarters_of((double)x, p, q, &whole);
  return tvi_sin_of_quarters(quarters, whole + turns);
}

/* The same for |x| < TVI_NEAR_F32, in fewer steps. */
TVI_SCALAR float tvi_near_sin_after_f32(float x, uint64_t turns) {
  uint64_t whole;
  const double quarters =
      tvi_quarters_of((double)x, 0x1.45f306dc9c882p-1, 0x1.4a7f09d5f47d5p-54, &whole);
  return tvi_sin_of_quarters(quarters, whole + turns);
}

TVI_SCALAR float tvi_sin_f32(float x) {
  const float y = tvi_sin_after_f32(x, 0);
  return x == 0 ? x : y;
}
TVI_SCALAR float tvi_near_sin_f32(float x) {
  const float y = tvi_near_sin_after_f32(x, 0);
  return x == 0 ? x : y;
}
TVI_SCALAR float tvi_cos_f32(float x) { return tvi_sin_after_f32(x, 1); }
TVI_SCALAR float tvi_near_cos_f32(float x) { return tvi_near_sin_after_f32(x, 1); }

/* a^b --------------------------------------------------------------------------------------------
 */

/* log2 |a|, in double to 35 bits, for a finite and not 0. */
TVI_SCALAR double tvi_log2_of_f32(float a) {
  const uint64_t from = tvi_wide_bits_of((double)fabsf(a)) - UINT64_C(0x3fe6a09e667f3bcd);
  const uint64_t n_plus_1024 = ((from >> 52) + 1024) & 2047; /* as 2^52 more than it, in a double */
  const double n = tvi_double_of(n_plus_1024 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1024);
  const double f =
      tvi_double_of((from & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd)) - 1;
  double p = tvi_fma_f64(0x1.3cd3eb5fef75ep-4, f, -0x1.24832635f1286p-3);
  p = tvi_fma_f64(p, f, 0x1.28741be1f8c33p-3), p = tvi_fma_f64(p, f, -0x1.2530ad13f48a2p-3);
  p = tvi_fma_f64(p, f, 0x1.4528edbba7c29p-3), p = tvi_fma_f64(p, f, -0x1.71414e4ec5a21p-3);
  p = tvi_fma_f64(p, f, 0x1.a63f45e5d4745p-3), p = tvi_fma_f64(p, f, -0x1.ec72b700f5ff0p-3);
  p = tvi_fma_f64(p, f, 0x1.277651f8c0accp-2), p = tvi_fma_f64(p, f, -0x1.7154709495126p-2);
  p = tvi_fma_f64(p, f, 0x1.ec709ebb9c94fp-2), p = tvi_fma_f64(p, f, -0x1.715476565f00ap-1);
  return n + f * tvi_fma_f64(p, f, 0x1.71547652a1e89p+0);
}

/* 2^y, rounded once. */
TVI_SCALAR float tvi_exp2_to_f32(double y) {
  const double below = y > 200 ? 200 : y, bounded = below < -200 ? -200 : below; /* NaN stays */
  const double shifted = bounded + (0x1.8p52 + 1023), g = bounded - (shifted - (0x1.8p52 + 1023));
  double p = tvi_fma_f64(0x1.c035b189dcf24p-17, g, 0x1.443fdd179f839p-13);
  p = tvi_fma_f64(p, g, 0x1.5dc069a2b7092p-10), p = tvi_fma_f64(p, g, 0x1.3b2a1baeade7ap-7);
  p = tvi_fma_f64(p, g, 0x1.c6b054fcd1539p-5), p = tvi_fma_f64(p, g, 0x1.ebfbe045a5452p-3);
  p = tvi_fma_f64(p, g, 0x1.62e4300bb1f13p-1), p = tvi_fma_f64(p, g, 1);
  return (float)(p * tvi_double_of(tvi_wide_bits_of(shifted) << 52));
}

TVI_SCALAR float tvi_pow_f32(float a, float b) {
  const float size = fabsf(a);
  const double bound = size == 0 ? -(double)INFINITY : (double)INFINITY;
  const double log2 = size > 0 && size < INFINITY ? tvi_log2_of_f32(a) : bound;
  const float power = tvi_exp2_to_f32((double)b * log2);
  /* From 2^24 on b is even. */
  const double shifted = (double)b + 0x1.8p52;
  const int is_short = fabsf(b) < 0x1p24f;
  const int is_whole = !is_short | (shifted - 0x1.8p52 == (double)b);
  const int is_odd = is_short & is_whole & (int)(tvi_wide_bits_of(shifted) & 1);
  const float turned = is_odd ? copysignf(power, a) : power;
  const int is_complex = (a < 0) & (size < INFINITY) & !is_whole;
  const float real = is_complex ? (float)NAN : turned;
  const float known = a != a || b != b ? a + b : real; /* |a| of a NaN is compared above */
  const int is_one = (b == 0) | (a == 1) | ((size == 1) & (fabsf(b) == INFINITY));
  return is_one ? 1 : known;
}

#endif
