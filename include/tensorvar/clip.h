/* SPDX-License-Identifier: MIT
 * Clipping of gradients. Gradients that are rows (rows.h) stay rows, with duplicates summed before
 * anything is compared with a limit.
 *
 * In each, clipped[i] belongs to the innermost scope, and may be the same array as gradients. After
 * an error it is all NULL, unless it is the same array, which is kept. TV_EVALUE: limit is not
 * above 0 or not finite, n is negative, or something is NULL. */
#ifndef TENSORVAR_CLIP_H
#define TENSORVAR_CLIP_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/** Each element to at least -limit and at most limit; NaN stays NaN. TV_EDTYPE: complex. */
TV_API tv_status tv_clip_by_value(int n, tv_tensor *const *gradients, double limit,
                                  tv_tensor **clipped);

/** Each gradient by itself to a 2-norm of at most limit: g limit / max(norm, limit). TV_EVALUE: a
 *  norm is not finite. Source: TensorFlow `clip_by_norm`. */
TV_API tv_status tv_clip_by_norm(int n, tv_tensor *const *gradients, double limit,
                                 tv_tensor **clipped);

/** All together to a joint 2-norm of at most limit: by limit min(1 / norm, 1 / limit). `norm`, if
 *  not NULL, is the norm before. TV_EVALUE: it is not finite. Source: TensorFlow
 *  `clip_by_global_norm`; Pascanu et al. (2013). */
TV_API tv_status tv_clip_by_global_norm(int n, tv_tensor *const *gradients, double limit,
                                        tv_tensor **clipped, double *norm);

TV_END_C
#endif
