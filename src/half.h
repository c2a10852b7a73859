/* SPDX-License-Identifier: MIT
 * f16 and bf16 are storage types: loaded to f32, and rounded once, to nearest even, when stored.
 * IEEE 754-2019 binary16; bf16 is the upper half of binary32. Integer arithmetic only, so that the
 * caller's rounding mode and flush-to-zero do not matter. */
#ifndef TVI_HALF_H
#define TVI_HALF_H

#include "bits.h"

TVI_SCALAR float tvi_bf16_load(uint16_t half) { return tvi_float_of((uint32_t)half << 16); }

/* On a GPU these are instructions, with the same values but one NaN for all. */
TVI_SCALAR uint16_t tvi_bf16_store(float x) {
#ifdef __CUDA_ARCH__
  uint16_t half;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(half) : "f"(x));
  return half;
#else
  const uint32_t bits = tvi_bits_of(x);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const uint32_t nan = bits >> 16 | 0x40; /* quiet, sign kept */
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
#endif
}

/* a if the condition holds, else b. By masks: loops over what follows become vector code, which
 * they do not with branches, nor (gcc 12) with selections that end in 16 bits. */
TVI_SCALAR uint32_t tvi_choose(int condition, uint32_t a, uint32_t b) {
  const uint32_t mask = 0 - (uint32_t)condition;
  return (a & mask) | (b & ~mask);
}

TVI_SCALAR float tvi_f16_load(uint16_t half) {
#ifdef __CUDA_ARCH__
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
  return x;
#else
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
  /* A subnormal is its integer times 2^-24, both exact in binary32. */
  const uint32_t tiny = tvi_bits_of((float)(int32_t)magnitude * 0x1p-24f);
  const uint32_t other = (magnitude << 13) + (magnitude >= 0x7c00 ? 0x70000000u : 0x38000000u);
  return tvi_float_of(sign | (magnitude < 0x400 ? tiny : other));
#endif
}

TVI_SCALAR uint16_t tvi_f16_store(float x) {
#ifdef __CUDA_ARCH__
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
  return half;
#else
  const uint32_t bits = tvi_bits_of(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  const uint32_t nan = 0x7e00 | (magnitude >> 13 & 0x1ff);
  /* From 2^-14 on: 13 bits are dropped, rounding to nearest even; 65520 and above round to inf. */
  const uint32_t narrow = magnitude - 0x38000000u;
  const uint32_t rounded = (narrow + 0xfff + (narrow >> 13 & 1)) >> 13;
  const uint32_t normal = tvi_choose(magnitude >= 0x477ff000u, 0x7c00, rounded);
  /* Below it more are dropped; from 25 on, which is below 2^-25, nothing is left. */
  const uint32_t exponent = magnitude >> 23, mantissa = (magnitude & 0x7fffff) | 0x800000;
  const uint32_t shift = exponent - 102 < 24 ? 126 - exponent : 25;
  const uint32_t subnormal =
      (mantissa + ((1u << (shift - 1)) - 1) + (mantissa >> shift & 1)) >> shift;
  const uint32_t finite = tvi_choose(magnitude >= 0x38800000u, normal, subnormal);
  return (uint16_t)(sign | tvi_choose(magnitude > 0x7f800000u, nan, finite));
#endif
}

/* f64 is rounded once, not through f32: the bits between would be lost. Sticky rounding to odd
 * keeps them for the second step (Boldo and Melquiond, 2008). */
TVI_SCALAR float tvi_round_to_odd(double x) {
  uint64_t wide;
  memcpy(&wide, &x, sizeof wide);
  const uint64_t magnitude = wide & UINT64_C(0x7fffffffffffffff);
  const uint32_t sign = (uint32_t)(wide >> 32) & 0x80000000u;
  if (magnitude >= UINT64_C(0x7ff0000000000000)) /* inf, or NaN kept NaN */
    return tvi_float_of(sign | 0x7f800000u |
                        (magnitude > UINT64_C(0x7ff0000000000000) ? 0x400000u : 0));
  if (magnitude >= UINT64_C(0x47f0000000000000)) return tvi_float_of(sign | 0x7f7fffffu);
  if (magnitude < UINT64_C(0x3810000000000000)) /* below 2^-126: only "not zero" still matters to
                                                   f16; bf16 needs bits */
  {
    if (magnitude == 0) return tvi_float_of(sign);
    const int exponent = (int)(magnitude >> 52);
    const uint64_t mantissa =
        (magnitude & UINT64_C(0xfffffffffffff)) | (exponent ? UINT64_C(1) << 52 : 0);
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
