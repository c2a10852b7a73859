/* SPDX-License-Identifier: MIT
 * What the kernels that add share: element types, and sums over half warps and blocks in the order
 * that src/cpu/reduce.c documents.
 *
 * Lane a of a half warp is accumulator a of a run. Halves are added by exchanges with the lane 8,
 * 4, 2 and 1 away, runs pairwise by exchanges the other way round; addition of two does not care
 * who is first, so all lanes come out alike. What a tree lacks at its end counts as -0, which
 * changes nothing: that is the documented counter. */
#ifndef TVI_CUDA_FOLD_H
#define TVI_CUDA_FOLD_H

#include "dtypes.def"
#include "jobs.h"
#include "kernel.h"
#include "scalar.h"

/* How an element lies in memory, and the type that computes. */
#define TVI_ELEMENT(tag, TAG, S, C, load, store, ...)      \
  struct of_##tag {                                        \
    typedef S Stored;                                      \
    typedef C Value;                                       \
    static TVI_INLINE C get(S x) { return load(x); }       \
    static TVI_INLINE S put(C x) { return (S)(store(x)); } \
  };
UNSIGNED(TVI_ELEMENT, )
FLOAT(TVI_ELEMENT, )
COMPLEX(TVI_ELEMENT, )

/* The quotient; `rest` is changed from n to what is left. */
TVI_INLINE int64_t tvi_divide(const tvi_divider &by, int64_t *rest) {
  const uint64_t n = (uint64_t)*rest, quotient = (__umul64hi(n, by.multiplier) + n) >> by.shift;
  *rest = (int64_t)(n - quotient * by.divisor);
  return (int64_t)quotient;
}

/* Elements of a run, when so many are left. */
TVI_INLINE int64_t tvi_run_of(int64_t left) {
  return left < TVI_RUN_ELEMENTS ? left : (int64_t)TVI_RUN_ELEMENTS;
}

/* tvi_maximum, for which a GPU has an instruction: NaN stays, and +0 is above -0 (PTX ISA, max). */
template <class T>
TVI_INLINE T tvi_larger(T a, T b) {
  return tvi_maximum(a, b);
}
#ifdef __CUDA_ARCH__
TVI_INLINE float tvi_larger(float a, float b) {
  float c;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b));
  return c;
}
#endif

constexpr unsigned tvi_all_lanes = 0xffffffffu;

template <class T>
TVI_INLINE T tvi_exchange(T x, unsigned bits) {
  return (T)__shfl_xor_sync(tvi_all_lanes, x, bits);
}
template <class T>
TVI_INLINE tvi_complex<T> tvi_exchange(tvi_complex<T> z, unsigned bits) {
  return tvi_complex<T>(tvi_exchange(z.x, bits), tvi_exchange(z.y, bits));
}

/* Sums in the documented order. */
template <class T>
struct tvi_sum {
  typedef T State;
  static TVI_INLINE T none() { return (T)-0.0; }
  static TVI_INLINE T join(T a, T b) { return (T)(a + b); }
};
template <class T>
struct tvi_sum<tvi_complex<T>> {
  typedef tvi_complex<T> State;
  static TVI_INLINE State none() { return State((T)-0.0, (T)-0.0); }
  static TVI_INLINE State join(State a, State b) { return State(a.x + b.x, a.y + b.y); }
};

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
