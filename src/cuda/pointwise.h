/* SPDX-License-Identifier: MIT
 * Runs plans by the kernels that work element by element: vector.h has their variants. */
#ifndef TVI_CUDA_POINTWISE_H
#define TVI_CUDA_POINTWISE_H

#include "gpu.h"
#include "plan.h"

/* Queue the kernel, which is named but for its variant, over the plan. `width` is its vector's, in
 * elements. */
tv_status tvi_pointwise_run(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                            const tvi_plan *plan);

/* Queue a copy of operand 1, which has the same item, to operand 0. */
tv_status tvi_pointwise_copy(tvi_gpu *gpu, void *stream, const tvi_plan *plan);

/* Bytes of an element. */
int64_t tvi_item_of(tv_dtype dtype);

/* The dtype that stands for all of so many bytes in the names of kernels that move them. */
static inline tv_dtype tvi_dtype_of_size(int64_t item) {
  switch (item) {
    case 1:
      return TV_U8;
    case 2:
      return TV_U16;
    case 4:
      return TV_U32;
    case 8:
      return TV_U64;
    default:
      return TV_C128;
  }
}

#endif
