/* SPDX-License-Identifier: MIT
 * Sorting inside the module. */
#ifndef TVI_CUDA_SORT_H
#define TVI_CUDA_SORT_H

#include "gpu.h"

/* The stable ascending order of n keys, none of which is above `most`. */
tv_status tvi_sort_keys(tvi_gpu *gpu, const uint64_t *keys, int64_t n, uint64_t most, int64_t *out,
                        void *stream);

#endif
