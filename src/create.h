/* SPDX-License-Identifier: MIT
 * Filled tensors inside the library. */
#ifndef TVI_CREATE_H
#define TVI_CREATE_H

#include <tensorvar/tensor.h>

/* A tensor of its own, every element 0; the caller has the one count. `who` names the op. */
tv_tensor *tvi_zeros(const char *who, tv_device device, tv_dtype dtype, int rank,
                     const int64_t *shape);

#endif
