/* SPDX-License-Identifier: MIT
 * Normal numbers by Box and Muller (1958): of two uniform ones, r cos t and r sin t, where r is
 * sqrt(-2 log u), 0 < u <= 1, and t is 2 pi v, 0 <= v < 1.
 *
 * log, cos and sin are made here of + - x / and sqrt alone, each correctly rounded, and compiled
 * without contraction, so that every backend gives the same bits. The polynomials are those of
 * FreeBSD's msun (e_log, e_logf, k_sin, k_cos) and of Cephes (sinf, cosf), all on |t| <= pi / 4.
 * The angle is reduced exactly, as v is a short integer over a power of two. Every step is a
 * selection, not a branch: loops over it become vector code. */
#ifndef TVI_NORMAL_H
#define TVI_NORMAL_H

#include <math.h>

#include "philox.h"

/* log of n 2^-24, 1 <= n <= 2^24: n = m 2^e with sqrt(1/2) <= m < sqrt(2). */
TVI_SCALAR float tvi_log_of_24(uint32_t n) {
  const uint32_t bits = tvi_bits_of((float)(int32_t)n) + (0x3f800000u - 0x3f3504f3u);
  const float e = (float)((int32_t)(bits >> 23) - 0x7f - 24);
  const float f = tvi_float_of((bits & 0x7fffffu) + 0x3f3504f3u) - 1;
  const float s = f / (2 + f), z = s * s, w = z * z;
  const float rest =
      w * (0.40000972152f + w * 0.24279078841f) + z * (0.66666662693f + w * 0.28498786688f);
  const float half = f * f * .5f;
  return e * 6.9313812256e-01f - ((half - (s * (half + rest) + e * 9.0580006145e-06f)) - f);
}

/* log of n 2^-53, 1 <= n <= 2^53. */
TVI_SCALAR double tvi_log_of_53(uint64_t n) {
  const double x = (double)(int64_t)n;
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits += UINT64_C(0x3ff0000000000000) - UINT64_C(0x3fe6a09e667f3bcd);
  const double e = (double)((int32_t)(bits >> 52) - 0x3ff - 53);
  bits = (bits & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd);
  double m;
  memcpy(&m, &bits, sizeof m);
  const double f = m - 1, s = f / (2 + f), z = s * s, w = z * z;
  const double even = w * (3.999999999940941908e-01 +
                           w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double odd = z * (6.666666666666735130e-01 +
                          w * (2.857142874366239149e-01 +
                               w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double half = f * f * .5;
  return e * 6.93147180369123816490e-01 -
         ((half - (s * (half + even + odd) + e * 1.90821492927058770002e-10)) - f);
}

/* cos and sin of 2 pi n 2^-24, 0 <= n < 2^24. */
TVI_SCALAR void tvi_turn_24(uint32_t n, float *cosine, float *sine) {
  const uint32_t quadrant = (n + (1u << 21)) >> 22; /* nearest multiple of a quarter turn */
  const float t = (float)((int32_t)n - (int32_t)(quadrant << 22)) * 0x1p-22f * 1.57079632679489662f;
  const float z = t * t;
  const float s = t + t * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
  const float c =
      1 - .5f * z +
      z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
  const float x = quadrant & 1 ? s : c, y = quadrant & 1 ? c : s;
  *cosine = (quadrant + 1) & 2 ? -x : x;
  *sine = quadrant & 2 ? -y : y;
}

/* cos and sin of 2 pi n 2^-53, 0 <= n < 2^53. */
TVI_SCALAR void tvi_turn_53(uint64_t n, double *cosine, double *sine) {
  const uint64_t quadrant = (n + (UINT64_C(1) << 50)) >> 51;
  const double t =
      (double)((int64_t)n - (int64_t)(quadrant << 51)) * 0x1p-51 * 1.57079632679489661923;
  const double z = t * t;
  const double s =
      t + t * z *
              (-1.66666666666666324348e-01 +
               z * (8.33333333332248946124e-03 +
                    z * (-1.98412698298579493134e-04 +
                         z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 +
                                                                z * 1.58969099521155010221e-10)))));
  const double c =
      1 - .5 * z +
      z * z *
          (4.16666666666666019037e-02 +
           z * (-1.38888888888741095749e-03 +
                z * (2.48015872894767294178e-05 +
                     z * (-2.75573143513906633035e-07 +
                          z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  const double x = quadrant & 1 ? s : c, y = quadrant & 1 ? c : s;
  *cosine = (quadrant + 1) & 2 ? -x : x;
  *sine = quadrant & 2 ? -y : y;
}

/* The two normal numbers of a pair of words: elements 2j and 2j + 1. */
TVI_SCALAR void tvi_normal_f32(uint32_t a, uint32_t b, float *first, float *second) {
  float cosine, sine;
  tvi_turn_24(b >> 8, &cosine, &sine);
  const float r = sqrtf(-2 * tvi_log_of_24((a >> 8) + 1));
  *first = r * cosine;
  *second = r * sine;
}

/* Of two 64-bit draws, (a, b) and (c, d). */
TVI_SCALAR void tvi_normal_f64(uint32_t a, uint32_t b, uint32_t c, uint32_t d, double *first,
                               double *second) {
  double cosine, sine;
  tvi_turn_53((uint64_t)(c >> 5) << 26 | d >> 6, &cosine, &sine);
  const double r = sqrt(-2 * tvi_log_of_53(((uint64_t)(a >> 5) << 26 | b >> 6) + 1));
  *first = r * cosine;
  *second = r * sine;
}

#endif
