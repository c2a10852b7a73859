/* SPDX-License-Identifier: MIT
 * Views and manipulation: the same elements in another shape. Gradients are the inverse movement.
 */
#ifndef TENSORVAR_SHAPE_H
#define TENSORVAR_SHAPE_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/** x with another shape of as many elements, in C order; one size may be -1 and is then worked out.
 *  A view where the steps of x allow it, else a copy. TV_ESHAPE, naming both shapes, if sizes do
 * not agree. Source: array API 2024.12 `reshape`. */
TV_API tv_tensor *tv_reshape(tv_tensor *x, int rank, const int64_t *shape);

/** Axis k of the result is axis axes[k] of x. A view. TV_EVALUE unless axes is a permutation.
 *  Source: array API 2024.12 `permute_dims`. */
TV_API tv_tensor *tv_permute_dims(tv_tensor *x, int n_axes, const int64_t *axes);

/** The last two axes swapped. A view. TV_ESHAPE below two axes. */
TV_API tv_tensor *tv_matrix_transpose(tv_tensor *x);

/** x repeated along new leading axes and axes of size 1. A view. TV_ESHAPE if x does not broadcast.
 *  Source: array API 2024.12 `broadcast_to`. */
TV_API tv_tensor *tv_broadcast_to(tv_tensor *x, int rank, const int64_t *shape);

/** A new axis of size 1 before position `axis` of the result. A view. TV_EINDEX out of range. */
TV_API tv_tensor *tv_expand_dims(tv_tensor *x, int64_t axis);

/** Without these axes, each of size 1. A view. TV_ESHAPE if one is of another size. */
TV_API tv_tensor *tv_squeeze(tv_tensor *x, int n_axes, const int64_t *axes);

/** Reversed along these axes. A view. Source: array API 2024.12 `flip`. */
TV_API tv_tensor *tv_flip(tv_tensor *x, int n_axes, const int64_t *axes);

/** The n tensors one after another along an axis; dtypes are promoted together.
 *  TV_EVALUE if n is below 1; TV_ESHAPE if other axes differ. Source: array API 2024.12 `concat`.
 */
TV_API tv_tensor *tv_concat(int n, tv_tensor *const *tensors, int64_t axis);

/** The n tensors of one shape along a new axis. Source: array API 2024.12 `stack`. */
TV_API tv_tensor *tv_stack(int n, tv_tensor *const *tensors, int64_t axis);

TV_END_C
#endif
