/* SPDX-License-Identifier: MIT
 * exp, expm1, log, log1p, sin, cos, tanh and sigmoid of double; pow is libm's. The plan, and what
 * is said of bits and bounds, are those of elementary_f32.h. The logarithm's series in f / (2 + f),
 * and the split of pi / 2 in pieces of 33 bits, are as in Ng's FreeBSD msun (e_log.c,
 * e_rem_pio2.c).
 *
 * sin and cos of arguments beyond TVI_NEAR_F64 take a branch, to integers: loops over them look
 * first (cpu/angles.h). */
#ifndef TVI_ELEMENTARY_F64_H
#define TVI_ELEMENTARY_F64_H

#include "fma.h"

/* e^x --------------------------------------------------------------------------------------------
 */

/* x = n ln 2 + r + rest, |r| <= ln 2 / 2, for |x| < 2^10: n plus 2046, as an integer. */
typedef struct tvi_parts_f64 {
  uint64_t n_plus_2046;
  double r, rest;
} tvi_parts_f64;

TVI_SCALAR tvi_parts_f64 tvi_parts_of_f64(double x) {
  const double shifted = tvi_fma_f64(x, 0x1.71547652b82fep+0, 0x1.8p52 + 2046);
  const double n = shifted - (0x1.8p52 + 2046);
  const double far = tvi_fma_f64(n, -0x1.62e42fefa3p-1, x); /* exact: 41 bits times 12 */
  const double r = tvi_fma_f64(n, -0x1.3de6af278ece6p-42, far);
  const double rest = tvi_fma_f64(n, -0x1.3de6af278ece6p-42, far - r);
  const tvi_parts_f64 parts = {tvi_wide_bits_of(shifted) - UINT64_C(0x4338000000000000), r, rest};
  return parts;
}

/* e^r - 1 - r, for |r| <= ln 2 / 2. */
TVI_SCALAR double tvi_exp_rest_f64(double r) {
  double p = tvi_fma_f64(0x1.ad8177f836f82p-26, r, 0x1.28ada4e089ae3p-22);
  p = tvi_fma_f64(p, r, 0x1.71df247a2dba2p-19);
  p = tvi_fma_f64(p, r, 0x1.a01999d880089p-16);
  p = tvi_fma_f64(p, r, 0x1.a01a012a8616dp-13);
  p = tvi_fma_f64(p, r, 0x1.6c16c1843c403p-10);
  p = tvi_fma_f64(p, r, 0x1.1111111127befp-7);
  p = tvi_fma_f64(p, r, 0x1.555555555082ep-5);
  p = tvi_fma_f64(p, r, 0x1.55555555554fap-3);
  p = tvi_fma_f64(p, r, 0x1.000000000000ap-1);
  return r * r * p;
}

TVI_SCALAR double tvi_exp_f64(double x) {
  const double below = x > 710 ? 710 : x, bounded = below < -746 ? -746 : below; /* NaN stays */
  const tvi_parts_f64 parts = tvi_parts_of_f64(bounded);
  const double power = 1 + (parts.r + tvi_exp_rest_f64(parts.r));
  /* 2^n in two factors, each a normal number: one rounding where the result is subnormal. */
  const uint64_t first = parts.n_plus_2046 >> 1, second = parts.n_plus_2046 - first;
  return power * tvi_double_of(first << 52) * tvi_double_of(second << 52);
}

/* e^x - 1, and what its rounding leaves; 2^n below 2^1024. */
TVI_SCALAR double tvi_expm1_parts_f64(tvi_parts_f64 parts, double two_to_n, double *low) {
  const double whole = two_to_n - 1, tail = tvi_exp_rest_f64(parts.r) + parts.rest;
  const double first = tvi_fma_f64(two_to_n, parts.r, whole);
  const double lost = tvi_fma_f64(two_to_n, parts.r, whole - first);
  const double second = tvi_fma_f64(two_to_n, tail, lost), high = first + second;
  *low = (first - high) + second;
  return high;
}

TVI_SCALAR double tvi_expm1_f64(double x) {
  const double below = x > 710 ? 710 : x, bounded = below < -40 ? -40 : below;
  const tvi_parts_f64 parts = tvi_parts_of_f64(bounded);
  const uint64_t is_top =
      parts.n_plus_2046 > 1023 + 2046; /* then 2^n is too large: twice half of it */
  const double two_to_n = tvi_double_of((parts.n_plus_2046 - 1023 - is_top) << 52);
  double low;
  const double high = tvi_expm1_parts_f64(parts, two_to_n, &low);
  const double lost = two_to_n - (two_to_n - 1) - 1; /* where 1 is not all of it in 2^n - 1 */
  const double y = high + (low + lost);
  return copysign(y * (is_top ? 2.0 : 1.0), x);
}

/* t / (t + 2) with t = e^2|x| - 1; the quotient is corrected by its remainder. */
TVI_SCALAR double tvi_tanh_f64(double x) {
  const double twice = 2 * fabs(x), bounded = twice > 40 ? 40 : twice;
  const tvi_parts_f64 parts = tvi_parts_of_f64(bounded);
  double low;
  const double high =
      tvi_expm1_parts_f64(parts, tvi_double_of((parts.n_plus_2046 - 1023) << 52), &low);
  const double divisor = high + 2, divisor_low = ((2 - divisor) + high) + low;
  const double inverse = 1 / divisor, quotient = high * inverse;
  const double remainder =
      tvi_fma_f64(-quotient, divisor, high) + tvi_fma_f64(-quotient, divisor_low, low);
  return copysign(tvi_fma_f64(remainder, inverse, quotient), x);
}

/* 1 / (1 + e) or e / (1 + e) with e = e^-|x|. With an fma the quotient is corrected as in tanh;
 * without, its remainder would have no right digit. */
TVI_SCALAR double tvi_sigmoid_f64(double x) {
  const double e = tvi_exp_f64(-fabs(x)), divisor = 1 + e, numerator = x < 0 ? e : 1;
#ifdef TVI_HAS_FMA
  const double divisor_low = (1 - divisor) + e;
  const double inverse = 1 / divisor, quotient = numerator * inverse;
  const double remainder =
      tvi_fma_f64(-quotient, divisor_low, tvi_fma_f64(-quotient, divisor, numerator));
  return tvi_fma_f64(remainder, inverse, quotient);
#else
  return numerator / divisor;
#endif
}

/* log x ------------------------------------------------------------------------------------------
 */

/* log (1 + f) - f, for sqrt(1/2) <= 1 + f < sqrt(2). */
TVI_SCALAR double tvi_log_rest_f64(double f) {
  const double s = f / (2 + f), z = s * s, half = .5 * f * f;
  double p = tvi_fma_f64(0x1.2f03e6faedf14p-3, z, 0x1.39a1e34f3f5dap-3);
  p = tvi_fma_f64(p, z, 0x1.74663d37e2b26p-3);
  p = tvi_fma_f64(p, z, 0x1.c71c52123418ep-3);
  p = tvi_fma_f64(p, z, 0x1.24924941e578fp-2);
  p = tvi_fma_f64(p, z, 0x1.999999997fe9ap-2);
  p = tvi_fma_f64(p, z, 0x1.5555555555592p-1);
  return tvi_fma_f64(s, tvi_fma_f64(p, z, half), -half);
}

/* n ln 2 + f + low, where low is small. */
TVI_SCALAR double tvi_log_sum_f64(double n, double f, double low) {
  const double whole = n * 0x1.62e42fefa3p-1, high = whole + f, lost = (whole - high) + f;
  return high + (lost + tvi_fma_f64(n, 0x1.3de6af278ece6p-42, low));
}

/* The bits of a positive number as those of m, sqrt(1/2) <= m < sqrt(2), and the exponent of 2.
 * There is no shift of 64-bit vectors that keeps the sign, nor a conversion, before AVX-512. */
TVI_SCALAR uint64_t tvi_mantissa_of_f64(uint64_t bits, uint64_t *n_plus_2048) {
  const uint64_t from = bits - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(2048) << 52);
  *n_plus_2048 = from >> 52;
  return (from & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd);
}
TVI_SCALAR double tvi_exponent_of_f64(uint64_t n_plus_2048) {
  return tvi_double_of(n_plus_2048 | UINT64_C(0x4330000000000000)) - (0x1p52 + 2048);
}

TVI_SCALAR double tvi_log_f64(double x) {
  const int is_small = x < 0x1p-1022; /* then it is scaled, which makes subnormals normal */
  uint64_t n;
  const uint64_t bits = tvi_wide_bits_of(is_small ? x * 0x1p52 : x);
  const double f = tvi_double_of(tvi_mantissa_of_f64(bits, &n)) - 1; /* exact */
  const double exponent = tvi_exponent_of_f64(n) - (is_small ? 52.0 : 0.0);
  const double y = tvi_log_sum_f64(exponent, f, tvi_log_rest_f64(f));
  const double not_positive = x == 0 ? -(double)INFINITY : (double)NAN;
  const double finite = x < (double)INFINITY ? y : x;
  return x > 0 ? finite : not_positive;
}

TVI_SCALAR double tvi_log1p_f64(double x) {
  const double u = 1 + x;
  const double lost = x >= 1 ? 1 - (u - x) : x - (u - 1); /* u + lost is 1 + x */
  uint64_t n;
  const double f = tvi_double_of(tvi_mantissa_of_f64(tvi_wide_bits_of(u), &n)) - 1;
  /* What is lost, over 1 + f in the scale of f. From 2^54 on there is nothing. */
  const double exponent = tvi_exponent_of_f64(n);
  const double rest = x < 0x1p60 ? lost / u : 0;
  const double y = tvi_log_sum_f64(exponent, f, tvi_log_rest_f64(f) + rest);
  const double finite = x < (double)INFINITY ? y : x;
  const double not_above = x == -1 ? -(double)INFINITY : (double)NAN;
  const double whole = x > -1 ? finite : not_above;
  return x == 0 ? x : whole;
}

/* sin x and cos x --------------------------------------------------------------------------------
 */

#define TVI_NEAR_F64 0x1p20

/* An angle of at most pi / 4 and a little, as a sum, behind so many quarter turns. */
typedef struct tvi_angle_f64 {
  double high, low;
  uint64_t quadrant;
} tvi_angle_f64;

/* For |x| < TVI_NEAR_F64: the first two products are exact, of 20 bits and 33. */
TVI_SCALAR tvi_angle_f64 tvi_near_angle(double x) {
  const double shifted = x * 0x1.45f306dc9c883p-1 + 0x1.8p52, n = shifted - 0x1.8p52;
  const double first = x - n * 0x1.921fb544p+0, piece = n * 0x1.0b4611a6p-34;
  const double second = first - piece, lost = (first - second) - piece;
  const double rest = n * 0x1.3198a2e037073p-69 - lost, high = second - rest;
  const tvi_angle_f64 angle = {high, (second - high) - rest, tvi_wide_bits_of(shifted)};
  return angle;
}

/* sin of the angle and so many quarter turns. */
TVI_SCALAR double tvi_sin_of_angle(tvi_angle_f64 angle, uint64_t turns) {
  const double r = angle.high, low = angle.low, z = r * r;
  double s = tvi_fma_f64(0x1.5d8f8640d1a64p-33, z, -0x1.ae5e5994e33b1p-26);
  double c = tvi_fma_f64(-0x1.8fa445b58c51ep-37, z, 0x1.1ee9d715af60cp-29);
  s = tvi_fma_f64(s, z, 0x1.71de35669ac3fp-19), c = tvi_fma_f64(c, z, -0x1.27e4f7e9e00b8p-22);
  s = tvi_fma_f64(s, z, -0x1.a01a019bfc92fp-13), c = tvi_fma_f64(c, z, 0x1.a01a019c831aap-16);
  s = tvi_fma_f64(s, z, 0x1.111111110f7c6p-7), c = tvi_fma_f64(c, z, -0x1.6c16c16c14f85p-10);
  s = tvi_fma_f64(s, z, -0x1.5555555555548p-3), c = tvi_fma_f64(c, z, 0x1.555555555554bp-5);
  /* sin (r + low) = r + (r^3 S + low (1 - r^2 / 2)); the other 1 - r^2 / 2 + (r^4 C - r low) */
  const double half = .5 * z, one = 1 - half, lost = (1 - one) - half;
  s = r + tvi_fma_f64(s, z * r, tvi_fma_f64(-half, low, low));
  c = one + tvi_fma_f64(c, z * z, tvi_fma_f64(-r, low, lost));
  const uint64_t quadrant = angle.quadrant + turns, sign = quadrant << 62 & UINT64_C(1) << 63;
  return tvi_double_of(tvi_wide_bits_of(quadrant & 1 ? c : s) ^ sign);
}

TVI_SCALAR double tvi_near_sin_f64(double x) {
  const double y = tvi_sin_of_angle(tvi_near_angle(x), 0);
  return x == 0 ? x : y;
}
TVI_SCALAR double tvi_near_cos_f64(double x) { return tvi_sin_of_angle(tvi_near_angle(x), 1); }

/* Upper half of a product. */
TVI_SCALAR uint64_t tvi_multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

/* For any finite x beyond 1, after Payne and Hanek, "Radian reduction for trigonometric functions"
 * (1983): of 2 / pi the 192 binary digits that count. */
TVI_FAR tvi_angle_f64 tvi_far_angle(double x) {
  static const uint64_t two_over_pi[] = {
      UINT64_C(0x0000000000000000), UINT64_C(0xa2f9836e4e441529), UINT64_C(0xfc2757d1f534ddc0),
      UINT64_C(0xdb6295993c439041), UINT64_C(0xfe5163abdebbc561), UINT64_C(0xb7246e3a424dd2e0),
      UINT64_C(0x06492eea09d1921c), UINT64_C(0xfe1deb1cb129a73e), UINT64_C(0xe88235f52ebb4484),
      UINT64_C(0xe99c7026b45f7e41), UINT64_C(0x3991d639835339f4), UINT64_C(0x9c845f8bbdf9283b),
      UINT64_C(0x1ff897ffde05980f), UINT64_C(0xef2f118b5a0a6d1f), UINT64_C(0x6d367ecf27cb09b7),
      UINT64_C(0x4f463f669e5fea2d), UINT64_C(0x7527bac7ebe5f17b), UINT64_C(0x3d0739f78a5292ea),
      UINT64_C(0x6bfb5fb11f8d5d08), UINT64_C(0x56033046fc7b6bab)};
  const uint64_t bits = tvi_wide_bits_of(x);
  const uint64_t mantissa = (bits & UINT64_C(0xfffffffffffff)) | UINT64_C(1) << 52;
  /* x = mantissa 2^e. The first digit kept is the one that makes 2 quarter turns: 2^(1 - e). The
   * table begins 64 digits before the point. */
  const int e = (int)(bits >> 52 & 2047) - 1075, from = 64 + e - 2;
  const int word = from / 64, shift = from % 64;
  uint64_t digits[3];
  for (int k = 0; k < 3; k++) {
    const uint64_t next = shift ? two_over_pi[word + k + 1] >> (64 - shift) : 0;
    digits[k] = two_over_pi[word + k] << shift | next;
  }
  /* The product modulo 4: 2 digits before the point, 126 behind it, and some that only carry. */
  const uint64_t low = digits[1] * mantissa, carry = tvi_multiply_high(digits[2], mantissa);
  const uint64_t tail = low + carry;
  const uint64_t head =
      digits[0] * mantissa + tvi_multiply_high(digits[1], mantissa) + (uint64_t)(tail < low);
  /* To the nearest whole number; what is left is a fraction of 128 digits and a sign. */
  const uint64_t whole = (head >> 62) + (head >> 61 & 1), is_above = head >> 61 & 1;
  uint64_t high = head << 2 | tail >> 62, rest = tail << 2;
  if (is_above) high = ~high + (rest == 0), rest = 0 - rest;
  int zeros = 0;
  if (high == 0) high = rest, rest = 0, zeros = 64;
  for (int step = 32; step; step >>= 1)
    if (!(high >> (64 - step))) {
      high = high << step | rest >> (64 - step);
      rest <<= step;
      zeros += step;
    }
  /* Times pi / 2: 1 digit before the point, 63 behind it. */
  const uint64_t product = tvi_multiply_high(high, UINT64_C(0xc90fdaa22168c235));
  const double unit = tvi_double_of((uint64_t)(1023 - 63 - zeros) << 52);
  const double size = (double)(product & ~UINT64_C(0x7ff)) * unit;
  const double size_low = (double)(product & 0x7ff) * unit;
  const int is_negative = (int)(bits >> 63) ^ (int)is_above;
  const tvi_angle_f64 angle = {is_negative ? -size : size, is_negative ? -size_low : size_low,
                               bits >> 63 ? 0 - whole : whole};
  return angle;
}

TVI_SCALAR double tvi_sin_f64(double x) {
  if (fabs(x) < TVI_NEAR_F64) return tvi_near_sin_f64(x);
  return fabs(x) < (double)INFINITY ? tvi_sin_of_angle(tvi_far_angle(x), 0) : x - x;
}
TVI_SCALAR double tvi_cos_f64(double x) {
  if (fabs(x) < TVI_NEAR_F64) return tvi_near_cos_f64(x);
  return fabs(x) < (double)INFINITY ? tvi_sin_of_angle(tvi_far_angle(x), 1) : x - x;
}

#endif
