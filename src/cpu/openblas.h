/* SPDX-License-Identifier: MIT
 * OpenBLAS, opened at first use. */
#ifndef TVI_CPU_OPENBLAS_H
#define TVI_CPU_OPENBLAS_H

#include "cpu.h"

/* An operand as BLAS takes it: rows `ld` elements apart, or columns if it is transposed. */
typedef struct tvi_blas_matrix {
  const void *data;
  int64_t ld;
  bool is_transposed;
} tvi_blas_matrix;

/* Whether there is a BLAS at all. Opens it at the first call. */
bool tvi_blas_is_there(void);

/* Whether it has kernels that take small products (up to 10^6 multiplications) without copying the
 * operands first. Assumes: there is a BLAS. */
bool tvi_blas_is_direct(void);

/* out [m, n], rows out_ld apart, = a [m, k] b [k, n]; f32, f64, c64 or c128.
 * Assumes: there is a BLAS, and every size and ld is positive and fits an int. */
void tvi_blas_gemm(tv_dtype dtype, int64_t m, int64_t n, int64_t k, tvi_blas_matrix a,
                   tvi_blas_matrix b, void *out, int64_t out_ld);

#endif
