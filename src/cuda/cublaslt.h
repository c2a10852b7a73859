/* SPDX-License-Identifier: MIT
 * The part of cuBLASLt that the module uses, declared here as driver.h does for the driver; opened
 * when the first product needs it. cublaslt_check.c compares every line with cublasLt.h where there
 * is one. */
#ifndef TVI_CUDA_CUBLASLT_H
#define TVI_CUDA_CUBLASLT_H

#include <stddef.h>
#include <stdint.h>

#include "gpu.h"

/* The same size as cublasLt.h's opaque structs. */
typedef struct tvi_lt_algo {
  uint64_t data[8];
} tvi_lt_algo;
typedef struct tvi_lt_heuristic {
  tvi_lt_algo algo;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
} tvi_lt_heuristic;

/* clang-format off */
/*       name, value */
#define TVI_CUBLASLT_CONSTANTS(CONSTANT)                  \
  CONSTANT(CUBLAS_STATUS_ALLOC_FAILED, 3)                 \
  CONSTANT(CUBLAS_STATUS_EXECUTION_FAILED, 13)            \
  CONSTANT(CUBLAS_STATUS_INTERNAL_ERROR, 14)              \
  CONSTANT(CUBLAS_STATUS_NOT_SUPPORTED, 15)               \
  CONSTANT(CUBLAS_OP_N, 0)                                \
  CONSTANT(CUBLAS_OP_T, 1)                                \
  CONSTANT(CUBLAS_COMPUTE_32F, 68)                        \
  CONSTANT(CUBLAS_COMPUTE_32F_PEDANTIC, 69)               \
  CONSTANT(CUBLAS_COMPUTE_64F, 70)                        \
  CONSTANT(CUBLAS_COMPUTE_32F_FAST_TF32, 77)              \
  CONSTANT(CUDA_R_32F, 0)                                 \
  CONSTANT(CUDA_R_64F, 1)                                 \
  CONSTANT(CUDA_R_16F, 2)                                 \
  CONSTANT(CUDA_C_32F, 4)                                 \
  CONSTANT(CUDA_C_64F, 5)                                 \
  CONSTANT(CUDA_R_16BF, 14)                               \
  CONSTANT(CUBLASLT_MATMUL_DESC_TRANSA, 3)                \
  CONSTANT(CUBLASLT_MATMUL_DESC_TRANSB, 4)                \
  CONSTANT(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 5)         \
  CONSTANT(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 6) \
  CONSTANT(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1)   \
  CONSTANT(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 3) \
  CONSTANT(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 5) \
  CONSTANT(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 6) \
  CONSTANT(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 7) \
  CONSTANT(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 8)

/*   name, parameters; handles are pointers, enums are ints */
#define TVI_CUBLASLT_CALLS(CALL)                                                             \
  CALL(cublasLtCreate, (void **handle))                                                      \
  CALL(cublasLtDestroy, (void *handle))                                                      \
  CALL(cublasLtMatmulDescCreate, (void **desc, int compute, int scale))                      \
  CALL(cublasLtMatmulDescDestroy, (void *desc))                                              \
  CALL(cublasLtMatmulDescSetAttribute, (void *desc, int which, const void *value, size_t bytes)) \
  CALL(cublasLtMatrixLayoutCreate, (void **layout, int type, uint64_t rows, uint64_t columns, int64_t leading)) \
  CALL(cublasLtMatrixLayoutDestroy, (void *layout))                                          \
  CALL(cublasLtMatrixLayoutSetAttribute, (void *layout, int which, const void *value, size_t bytes)) \
  CALL(cublasLtMatmulPreferenceCreate, (void **preference))                                  \
  CALL(cublasLtMatmulPreferenceDestroy, (void *preference))                                  \
  CALL(cublasLtMatmulPreferenceSetAttribute, (void *preference, int which, const void *value, size_t bytes)) \
  CALL(cublasLtMatmulAlgoGetHeuristic, (void *handle, void *desc, void *a, void *b, void *c, void *d, \
       void *preference, int wanted, tvi_lt_heuristic *results, int *found))                 \
  CALL(cublasLtMatmul, (void *handle, void *desc, const void *alpha, const void *a, void *a_layout, \
       const void *b, void *b_layout, const void *beta, const void *c, void *c_layout, void *d, \
       void *d_layout, const tvi_lt_algo *algo, void *workspace, size_t workspace_bytes, CUstream stream))
/* clang-format on */

#ifndef CUBLASLT_H /* cublasLt.h, included before, has the same names */
#define TVI_LT_CONSTANT(name, value) name = value,
enum { TVI_CUBLASLT_CONSTANTS(TVI_LT_CONSTANT) };
#endif

/* One product in the column-major words of BLAS: d [rows, columns] = op(a) op(b), all of one type.
 */
typedef struct tvi_lt_matrix {
  int64_t rows, columns, leading, batch_stride; /* as it lies in memory; strides in elements */
  const void *data;
  bool is_transposed; /* op turns it round */
} tvi_lt_matrix;

/* Queue it, for `batch` matrices. Within a visit. TV_EDEVICE if there is no cuBLASLt;
 * TV_EUNSUPPORTED if it has no kernel. */
tv_status tvi_lt_product(tvi_gpu *gpu, void *stream, tv_dtype dtype, tv_matmul_precision precision,
                         int64_t inner, int64_t batch, const tvi_lt_matrix *a,
                         const tvi_lt_matrix *b, const tvi_lt_matrix *d);

#endif
