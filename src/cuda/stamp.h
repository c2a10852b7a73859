/* SPDX-License-Identifier: MIT
 * Stamps kernels from rows of ops.def and dtypes.def. An includer says TVI_STAMP_REAL or
 * TVI_STAMP_COMPLEX, which leaves the other dtypes out, gives the rows it wants, and includes
 * ops.def. */
#ifndef TVI_CUDA_STAMP_H
#define TVI_CUDA_STAMP_H

#include "dtypes.def"
#include "scalar.h"
#include "vector.h"

/* Formulas compare unsigned numbers with 0, as they do signed ones, and multiply bool. */
#ifdef __CUDACC__
#pragma nv_diag_suppress 186
#else
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wint-in-bool-context"
#endif

#ifdef TVI_STAMP_REAL
#undef COMPLEX
#define COMPLEX(...)
#endif
#ifdef TVI_STAMP_COMPLEX
#undef BOOLEAN
#undef INTEGER
#undef FLOAT
#define BOOLEAN(...)
#define INTEGER(...)
#define FLOAT(...)
#endif

/* By class: those of libm and quotients are long, other divisions and powers longer. */
#define WEIGHT_ANY 0
#define WEIGHT_NUMBER 0
#define WEIGHT_REAL 0
#define WEIGHT_ORDERED 0
#define WEIGHT_POWER 2
#define WEIGHT_DIVISION 2
#define WEIGHT_FLOATING 1
#define WEIGHT_REALFLOAT 1
#define WEIGHT_QUOTIENT 1

template <int n, int heft, class Result, class First, class Second = tvi_none,
          class Third = tvi_none>
struct tvi_op_of {
  typedef Result Out;
  typedef First A;
  typedef Second B;
  typedef Third C;
  static constexpr int inputs = n;
  static constexpr int weight = heft;
};

/* S, T: storage and computing type of the inputs; O, V: those of the result. */
#define OF_ONE(kernel, weight, S, T, load, O, V, keep, formula) \
  struct op_##kernel : tvi_op_of<1, weight, O, S> {             \
    static constexpr int width = 16 / sizeof(S);                \
    static TVI_INLINE O value(S from, tvi_none, tvi_none) {     \
      const T x = load(from);                                   \
      (void)x;                                                  \
      return keep((V)(formula));                                \
    }                                                           \
  };                                                            \
  TVI_POINTWISE_KERNELS(kernel)

#define OF_TWO(kernel, weight, S, T, load, O, V, keep, formula) \
  struct op_##kernel : tvi_op_of<2, weight, O, S, S> {          \
    static constexpr int width = 16 / sizeof(S);                \
    static TVI_INLINE O value(S left, S right, tvi_none) {      \
      const T a = load(left), b = load(right);                  \
      return keep((V)(formula));                                \
    }                                                           \
  };                                                            \
  TVI_POINTWISE_KERNELS(kernel)

#define STAMP_UNARY(tag, TAG, S, T, load, store, R, P, name, weight, value) \
  OF_ONE(name##_##tag, weight, S, T, load, S, T, store, value)
/* The real part's type keeps as the type does, but for complex types, where both are empty. */
#define STAMP_PART(tag, TAG, S, T, load, store, R, P, name, weight, value) \
  OF_ONE(name##_##tag, weight, S, T, load, R, P, store, value)
#define STAMP_TEST(tag, TAG, S, T, load, store, R, P, name, weight, value) \
  OF_ONE(name##_##tag, weight, S, T, load, uint8_t, bool, , value)
#define STAMP_BINARY(tag, TAG, S, T, load, store, R, P, name, weight, value) \
  OF_TWO(name##_##tag, weight, S, T, load, S, T, store, value)
#define STAMP_COMPARE(tag, TAG, S, T, load, store, R, P, name, weight, value) \
  OF_TWO(name##_##tag, weight, S, T, load, uint8_t, bool, , value)

#endif
