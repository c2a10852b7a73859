/* SPDX-License-Identifier: MIT
 * Compiled only where there is a cublasLt.h: cublaslt.h says what it says. Its enums travel as ints
 * and its handles as pointers; sizes, values and the number of parameters are compared. */
#include <cublasLt.h>
#include <cuda.h>
#define CUBLASLT_H

#include "cublaslt.h"

#define CHECK_CONSTANT(name, value) _Static_assert((int)(name) == (value), #name);
TVI_CUBLASLT_CONSTANTS(CHECK_CONSTANT)

_Static_assert(sizeof(tvi_lt_algo) == sizeof(cublasLtMatmulAlgo_t), "algo");
_Static_assert(sizeof(tvi_lt_heuristic) == sizeof(cublasLtMatmulHeuristicResult_t), "heuristic");
_Static_assert(offsetof(tvi_lt_heuristic, workspace) ==
                   offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize),
               "workspace");
_Static_assert(offsetof(tvi_lt_heuristic, status) ==
                   offsetof(cublasLtMatmulHeuristicResult_t, state),
               "status");
_Static_assert(sizeof(cublasStatus_t) == sizeof(int) && sizeof(cudaDataType) == sizeof(int) &&
                   sizeof(cublasComputeType_t) == sizeof(int) &&
                   sizeof(cublasLtMatmulDescAttributes_t) == sizeof(int),
               "enums are ints");
#define CHECK_PARAMS(name, params)                                                 \
  _Static_assert(_Generic(&name, cublasStatus_t(*) params : 1, default : 0), #name \
                 ": "                                                              \
                 "parameters");
CHECK_PARAMS(cublasLtCreate, (cublasLtHandle_t *))
CHECK_PARAMS(cublasLtDestroy, (cublasLtHandle_t))
CHECK_PARAMS(cublasLtMatmulDescCreate,
             (cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t))
CHECK_PARAMS(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t))
CHECK_PARAMS(cublasLtMatmulDescSetAttribute,
             (cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *, size_t))
CHECK_PARAMS(cublasLtMatrixLayoutCreate,
             (cublasLtMatrixLayout_t *, cudaDataType, uint64_t, uint64_t, int64_t))
CHECK_PARAMS(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t))
CHECK_PARAMS(cublasLtMatrixLayoutSetAttribute,
             (cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, const void *, size_t))
CHECK_PARAMS(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t *))
CHECK_PARAMS(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t))
CHECK_PARAMS(cublasLtMatmulPreferenceSetAttribute,
             (cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void *,
              size_t))
CHECK_PARAMS(cublasLtMatmulAlgoGetHeuristic,
             (cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
              cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t *, int *))
CHECK_PARAMS(cublasLtMatmul,
             (cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *,
              cublasLtMatrixLayout_t, const void *, cublasLtMatrixLayout_t, const void *,
              const void *, cublasLtMatrixLayout_t, void *, cublasLtMatrixLayout_t,
              const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t))
