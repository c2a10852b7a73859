/* SPDX-License-Identifier: MIT
 * f16 and bf16 are storage types: loaded to f32, and rounded once, to nearest even, when stored.
 * IEEE 754-2019 binary16; bf16 is the upper half of binary32. Integer arithmetic only, so that the
 * caller's rounding mode and flush-to-zero do not matter. */
#ifndef TVI_HALF_H
#define TVI_HALF_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define TVI_SCALAR __host__ __device__ static inline
#else
#define TVI_SCALAR static inline
#endif

TVI_SCALAR uint32_t tvi_bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
TVI_SCALAR float tvi_float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

TVI_SCALAR float tvi_bf16_load(uint16_t half) { return tvi_float_of((uint32_t)half << 16); }

TVI_SCALAR uint16_t tvi_bf16_store(float x) {
  const uint32_t bits = tvi_bits_of(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40); /* quiet, sign kept */
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

TVI_SCALAR float tvi_f16_load(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return tvi_float_of(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return tvi_float_of(sign | ((magnitude << 13) + 0x38000000u));
  /* A subnormal is its integer times 2^-24, both exact in binary32. */
  const float value = (float)magnitude * 0x1p-24f;
  return sign ? -value : value;
}

/* Drop `shift` low bits of m, rounding to nearest even; 1 <= shift <= 63. */
TVI_SCALAR uint64_t tvi_round_shift(uint64_t m, int shift) {
  const uint64_t kept = m >> shift, rest = m & ((UINT64_C(1) << shift) - 1);
  const uint64_t half = UINT64_C(1) << (shift - 1);
  return kept + (rest > half || (rest == half && (kept & 1)));
}

TVI_SCALAR uint16_t tvi_f16_store(float x) {
  const uint32_t bits = tvi_bits_of(x), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to inf */
  if (magnitude >= 0x38800000u)                                   /* 2^-14: the smallest normal */
    return (uint16_t)(sign | tvi_round_shift(magnitude - 0x38000000u, 13));
  if (magnitude < 0x33000000u) return sign; /* below 2^-25: rounds to zero */
  const int exponent = (int)(magnitude >> 23);
  return (uint16_t)(sign | tvi_round_shift((magnitude & 0x7fffff) | 0x800000, 126 - exponent));
}

/* f64 is rounded once, not through f32: the bits between would be lost. Sticky rounding to odd keeps
 * them for the second step (Boldo and Melquiond, 2008). */
TVI_SCALAR float tvi_round_to_odd(double x) {
  uint64_t wide;
  memcpy(&wide, &x, sizeof wide);
  const uint64_t magnitude = wide & UINT64_C(0x7fffffffffffffff);
  const uint32_t sign = (uint32_t)(wide >> 32) & 0x80000000u;
  if (magnitude >= UINT64_C(0x7ff0000000000000)) /* inf, or NaN kept NaN */
    return tvi_float_of(sign | 0x7f800000u | (magnitude > UINT64_C(0x7ff0000000000000) ? 0x400000u : 0));
  if (magnitude >= UINT64_C(0x47f0000000000000)) return tvi_float_of(sign | 0x7f7fffffu);
  if (magnitude < UINT64_C(0x3810000000000000)) /* below 2^-126: only "not zero" still matters to f16; bf16 needs bits */
    {
      if (magnitude == 0) return tvi_float_of(sign);
      const int exponent = (int)(magnitude >> 52);
      const uint64_t mantissa = (magnitude & UINT64_C(0xfffffffffffff)) | (exponent ? UINT64_C(1) << 52 : 0);
      const int shift = 29 + (897 - (exponent ? exponent : 1));
      if (shift > 63) return tvi_float_of(sign | 1);
      const uint64_t kept = mantissa >> shift;
      return tvi_float_of(sign | (uint32_t)kept | ((mantissa & ((UINT64_C(1) << shift) - 1)) != 0));
    }
  const uint64_t narrow = (magnitude - UINT64_C(0x3800000000000000)) >> 29;
  return tvi_float_of(sign | (uint32_t)narrow | ((magnitude & 0x1fffffff) != 0));
}
TVI_SCALAR uint16_t tvi_f16_of_double(double x) { return tvi_f16_store(tvi_round_to_odd(x)); }
TVI_SCALAR uint16_t tvi_bf16_of_double(double x) { return tvi_bf16_store(tvi_round_to_odd(x)); }

#endif
