/* SPDX-License-Identifier: MIT
 * f16 and bf16 are storage types: loaded to f32, and rounded once, to nearest even, when stored.
 * IEEE 754-2019 binary16; bf16 is the upper half of binary32. No step of the arithmetic has a
 * subnormal result, so that the caller's flush-to-zero does not matter. Free of branches: loops
 * over these become vector code, also before AVX2, which has no shifts by many counts. */
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
  /* Below it the unit is 2^-24, which is that of 1/2 in binary32: a sum with it rounds. */
  const uint32_t subnormal = tvi_bits_of(tvi_float_of(magnitude) + .5f) - 0x3f000000u;
  const uint32_t finite = tvi_choose(magnitude >= 0x38800000u, normal, subnormal);
  return (uint16_t)(sign | tvi_choose(magnitude > 0x7f800000u, nan, finite));
#endif
}

/* f64 is rounded once, not through f32, in the same steps. */
TVI_SCALAR uint64_t tvi_choose_wide(int condition, uint64_t a, uint64_t b) {
  const uint64_t mask = 0 - (uint64_t)condition;
  return (a & mask) | (b & ~mask);
}

TVI_SCALAR uint16_t tvi_f16_of_double(double x) {
  const uint64_t bits = tvi_wide_bits_of(x), sign = bits >> 48 & 0x8000;
  const uint64_t magnitude = bits & UINT64_C(0x7fffffffffffffff);
  const uint64_t narrow = magnitude - UINT64_C(0x3f00000000000000);
  const uint64_t rounded = (narrow + UINT64_C(0x1ffffffffff) + (narrow >> 42 & 1)) >> 42;
  const uint64_t normal =
      tvi_choose_wide(magnitude >= UINT64_C(0x40effe0000000000), 0x7c00, rounded);
  /* The unit of 2^28 is 2^-24. */
  const uint64_t subnormal =
      tvi_wide_bits_of(tvi_double_of(magnitude) + 0x1p28) - UINT64_C(0x41b0000000000000);
  const uint64_t finite =
      tvi_choose_wide(magnitude >= UINT64_C(0x3f10000000000000), normal, subnormal);
  const int is_nan = magnitude > UINT64_C(0x7ff0000000000000);
  return (uint16_t)(sign | tvi_choose_wide(is_nan, 0x7e00, finite));
}

TVI_SCALAR uint16_t tvi_bf16_of_double(double x) {
  const uint64_t bits = tvi_wide_bits_of(x), sign = bits >> 48 & 0x8000;
  const uint64_t magnitude = bits & UINT64_C(0x7fffffffffffffff);
  const uint64_t narrow = magnitude - UINT64_C(0x3800000000000000);
  const uint64_t rounded = (narrow + UINT64_C(0xfffffffffff) + (narrow >> 45 & 1)) >> 45;
  const uint64_t normal =
      tvi_choose_wide(magnitude >= UINT64_C(0x47eff00000000000), 0x7f80, rounded);
  /* The unit of 2^-81 is 2^-133. */
  const uint64_t subnormal =
      tvi_wide_bits_of(tvi_double_of(magnitude) + 0x1p-81) - UINT64_C(0x3ae0000000000000);
  const uint64_t finite =
      tvi_choose_wide(magnitude >= UINT64_C(0x3810000000000000), normal, subnormal);
  const int is_nan = magnitude > UINT64_C(0x7ff0000000000000);
  return (uint16_t)(sign | tvi_choose_wide(is_nan, 0x7fc0, finite));
}

#endif
