/* SPDX-License-Identifier: MIT
 * What the kernels that add share: element types, and sums over half warps and blocks in the order
 * that src/cpu/reduce.c documents.
 *
 * Lane a of a half warp is accumulator a of a run. Halves are added by exchanges with the lane 8, 4,
 * 2 and 1 away, runs pairwise by exchanges the other way round; addition of two does not care who is
 * first, so all lanes come out alike. What a tree lacks at its end counts as -0, which changes
 * nothing: that is the documented counter. */
#ifndef TVI_CUDA_FOLD_H
#define TVI_CUDA_FOLD_H

#include "dtypes.def"
#include "jobs.h"
#include "kernel.h"
#include "scalar.h"

#define TVI_INLINE __device__ __forceinline__

template <class S>
TVI_INLINE S tvi_flipped(S x, uint64_t mask) {
  return (S)(x ^ (S)mask);
}
TVI_INLINE float tvi_flipped(float x, uint64_t mask) {
  return tvi_float_of(tvi_bits_of(x) ^ (uint32_t)mask);
}
TVI_INLINE double tvi_flipped(double x, uint64_t mask) {
  return tvi_double_of(tvi_wide_bits_of(x) ^ mask);
}

/* How an element lies in memory, and the type that computes. */
#define TVI_ELEMENT(tag, TAG, S, C, load, store, ...)       \
  struct of_##tag {                                         \
    typedef S Stored;                                       \
    typedef C Value;                                        \
    static TVI_INLINE C get(S x) { return load(x); }        \
    static TVI_INLINE S put(C x) { return (S)(store(x)); }  \
    static TVI_INLINE S flipped(S x, uint64_t mask) { return tvi_flipped(x, mask); } \
  };
UNSIGNED(TVI_ELEMENT, )
FLOAT(TVI_ELEMENT, )

/* A complex number is two sums side by side. */
template <class T>
struct alignas(2 * sizeof(T)) tvi_pair {
  T re, im;
};
template <class T>
TVI_INLINE tvi_pair<T> operator+(tvi_pair<T> a, tvi_pair<T> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
struct tvi_of_pair {
  typedef tvi_pair<T> Stored, Value;
  static TVI_INLINE Value get(Stored x) { return x; }
  static TVI_INLINE Stored put(Value x) { return x; }
};
typedef tvi_of_pair<float> of_c64;
typedef tvi_of_pair<double> of_c128;

/* The quotient; `rest` is changed from n to what is left. */
TVI_INLINE int64_t tvi_divide(const tvi_divider &by, int64_t *rest) {
  const uint64_t n = (uint64_t)*rest, quotient = (__umul64hi(n, by.multiplier) + n) >> by.shift;
  *rest = (int64_t)(n - quotient * by.divisor);
  return (int64_t)quotient;
}

constexpr unsigned tvi_all_lanes = 0xffffffffu;

template <class T>
TVI_INLINE T tvi_exchange(T x, unsigned bits) {
  return (T)__shfl_xor_sync(tvi_all_lanes, x, bits);
}
template <class T>
TVI_INLINE tvi_pair<T> tvi_exchange(tvi_pair<T> x, unsigned bits) {
  return {tvi_exchange(x.re, bits), tvi_exchange(x.im, bits)};
}

/* The accumulators of each half warp, joined: the same in all 16 lanes. Assumes: whole warps. */
template <class Op>
TVI_INLINE typename Op::State tvi_join_lanes(typename Op::State x) {
  for (unsigned bits = 8; bits; bits /= 2) x = Op::join(x, tvi_exchange(x, bits));
  return x;
}

/* Nodes in `width` adjacent lanes, joined pairwise: the same in all of them. */
template <class Op>
TVI_INLINE typename Op::State tvi_join_nodes(typename Op::State x, unsigned width) {
  for (unsigned bits = 1; bits < width; bits *= 2) x = Op::join(x, tvi_exchange(x, bits));
  return x;
}

#endif
