/* SPDX-License-Identifier: MIT
 * What losses share with softmax. */
#ifndef TVI_SOFTMAX_H
#define TVI_SOFTMAX_H

#include "device.h"
#include "tensor.h"

/* f16 and bf16 are computed in f32, and rounded once. */
static inline tv_dtype tvi_wide(tv_dtype dtype) {
  return dtype == TV_F16 || dtype == TV_BF16 ? TV_F32 : dtype;
}

/* x in its wide dtype less its largest element along an axis, which is a constant to the gradient:
 * it cancels out. */
tv_tensor *tvi_lowered(tv_tensor *x, int64_t axis);

/* Whether the device takes whole rows at once. */
static inline bool tvi_has_rows(const tv_tensor *x) {
  return tvi_device_at(tvi_tensor_on(x))->backend.rows != NULL;
}

/* Of the last axis of x, by the device's own slot; retained. labels are positions, int64, on the
 * device; g is of the dtype of x. Both may be NULL where the op has none. */
tv_tensor *tvi_rows(const char *who, tv_row_op op, tv_tensor *x, tv_tensor *g, tv_tensor *labels);

#endif
