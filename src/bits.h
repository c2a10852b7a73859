/* SPDX-License-Identifier: MIT
 * Floats as their bits and back, and what marks the functions that GPUs have too. */
#ifndef TVI_BITS_H
#define TVI_BITS_H

#include <stdint.h>
#include <string.h>

/* TVI_FAR: long functions on rare paths, which are called. */
#ifdef __CUDACC__
#define TVI_SCALAR __host__ __device__ static inline
#define TVI_MEMBER __host__ __device__
#define TVI_FAR __host__ __device__ __noinline__ static
#else
#define TVI_SCALAR static inline
#define TVI_MEMBER
#define TVI_FAR __attribute__((noinline, unused)) static
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
TVI_SCALAR uint64_t tvi_wide_bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
TVI_SCALAR double tvi_double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

#endif
