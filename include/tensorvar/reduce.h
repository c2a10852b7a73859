/* SPDX-License-Identifier: MIT
 * Reductions over axes: `tv_sum(x, TV_AXES(0))`, `tv_mean(x, TV_ALL_AXES)`.
 *
 * Axes count from the end when negative; one out of range is TV_EINDEX, one given twice TV_EVALUE.
 * The order in which elements are added follows their index alone, so neither memory layout nor the
 * number of threads changes a bit. */
#ifndef TENSORVAR_REDUCE_H
#define TENSORVAR_REDUCE_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/** Begin with TV_REDUCE_OPTIONS. */
typedef struct tv_reduce_options {
  size_t size;
  bool keepdims;  /* leave the reduced axes in place, of size 1 */
  tv_dtype dtype; /* convert x first; TV_DTYPE_NONE: as the function says */
} tv_reduce_options;
#define TV_REDUCE_OPTIONS \
  { sizeof(tv_reduce_options), false, TV_DTYPE_NONE }

/** Sum. bool and signed integers give int64, unsigned ones uint64; 0 for no elements.
 *  f16 and bf16 are added in f32. Gradient: g everywhere. Source: array API 2024.12 `sum`. */
TV_API tv_tensor *tv_sum(tv_tensor *x, int n_axes, const int64_t *axes);
TV_API tv_tensor *tv_sum_with(tv_tensor *x, int n_axes, const int64_t *axes,
                              const tv_reduce_options *options);

/** Mean. Integers and bool give float64; NaN for no elements. Gradient: g over the count.
 *  The sum is rounded to the dtype that it is computed in (f32 for f16 and bf16), then divided.
 *  Source: array API 2024.12 `mean`. */
TV_API tv_tensor *tv_mean(tv_tensor *x, int n_axes, const int64_t *axes);
TV_API tv_tensor *tv_mean_with(tv_tensor *x, int n_axes, const int64_t *axes,
                               const tv_reduce_options *options);

/** Largest and smallest element. NaN if there is one; +0 is above -0. TV_ESHAPE if an axis to
 * reduce has no elements; TV_EDTYPE for complex. Gradient: g to the winner, ties in equal parts.
 *  Source: array API 2024.12 `max`, `min`. */
TV_API tv_tensor *tv_max(tv_tensor *x, int n_axes, const int64_t *axes);
TV_API tv_tensor *tv_max_with(tv_tensor *x, int n_axes, const int64_t *axes,
                              const tv_reduce_options *options);
TV_API tv_tensor *tv_min(tv_tensor *x, int n_axes, const int64_t *axes);
TV_API tv_tensor *tv_min_with(tv_tensor *x, int n_axes, const int64_t *axes,
                              const tv_reduce_options *options);

/** Index (int64) of the first largest or smallest element: along one axis, or with TV_ALL_AXES in C
 *  order. The first NaN wins. TV_ESHAPE if there are no elements to choose from, TV_EVALUE for
 *  several axes, TV_EDTYPE for complex. Source: array API 2024.12 `argmax`, `argmin`. */
TV_API tv_tensor *tv_argmax(tv_tensor *x, int n_axes, const int64_t *axes);
TV_API tv_tensor *tv_argmax_with(tv_tensor *x, int n_axes, const int64_t *axes,
                                 const tv_reduce_options *options);
TV_API tv_tensor *tv_argmin(tv_tensor *x, int n_axes, const int64_t *axes);
TV_API tv_tensor *tv_argmin_with(tv_tensor *x, int n_axes, const int64_t *axes,
                                 const tv_reduce_options *options);

TV_END_C
#endif
