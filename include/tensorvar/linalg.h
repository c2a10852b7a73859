/* SPDX-License-Identifier: MIT
 * Linear algebra. */
#ifndef TENSORVAR_LINALG_H
#define TENSORVAR_LINALG_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/** How products of f32 are computed on devices that have a choice; the CPU is always strict. */
typedef enum tv_matmul_precision {
  TV_MATMUL_STRICT, /* in f32 */
  TV_MATMUL_TF32    /* operands rounded to 10 bits after the point, sums in f32: tensor cores */
} tv_matmul_precision;

/** The thread's choice; TV_MATMUL_STRICT at first. TV_EVALUE if it is neither. */
TV_API tv_status tv_matmul_precision_set(tv_matmul_precision precision);

/** The thread's choice. */
TV_API tv_matmul_precision tv_matmul_precision_current(void);

/**
 * Matrix product over the last two axes.
 *
 *     tv_tensor *y = tv_tanh(tv_add(tv_matmul(x, w), b));
 *
 * Shapes    a [..., m, k] with b [..., k, n] gives [..., m, n]; leading axes broadcast. A 1-d a
 *           counts as [1, k], a 1-d b as [k, 1], and the axis so added is dropped from the result.
 *           k = 0 gives zeros.
 * Dtypes    Any, promoted as tv_result_type tells; bool is or-and, integers wrap. f16 and bf16
 *           accumulate in f32.
 * Device    The one that a and b are both on; nothing is moved for you.
 * Gradient  da = g b^H, db = a^H g, summed over axes that were broadcast. Keeps a and b.
 * Errors    - TV_ESHAPE   inner sizes differ, leading axes do not broadcast, or one is 0-d
 *           - TV_EDEVICE  a and b are on different devices
 * Source    array API 2024.12 `matmul`, NumPy `@`.
 */
TV_API tv_tensor *tv_matmul(tv_tensor *a, tv_tensor *b);

/** What tv_dense applies at its end. */
typedef enum tv_activation {
  TV_LINEAR, /* nothing */
  TV_RELU,
  TV_TANH,
  TV_SIGMOID
} tv_activation;

/**
 * A dense layer: activation(x w + bias).
 *
 *     tv_tensor *hidden = tv_dense(x, tv_read(w), tv_read(b), TV_RELU);
 *
 * The bits are those of tv_matmul, tv_add and the activation in turn. On the CPU bias and
 * activation of f32 and f64 are computed while a tile of the product is in cache, and a tape keeps
 * the result instead of what lies between.
 *
 * Shapes    as tv_matmul; bias [n], or NULL for none
 * Dtypes    as tv_matmul and tv_add; tanh and sigmoid as tv_tanh and tv_sigmoid
 * Gradient  As of the three. Keeps x, w and, if there is an activation, the result.
 * Errors    - TV_EVALUE   x or w is NULL, or activation is none
 *           - TV_ESHAPE   as tv_matmul; or bias is not [n]
 *           - TV_EDEVICE  operands are on different devices
 * Source    Keras `Dense`, PyTorch `linear` (which takes w transposed).
 */
TV_API tv_tensor *tv_dense(tv_tensor *x, tv_tensor *w, tv_tensor *bias, tv_activation activation);

TV_END_C
#endif
