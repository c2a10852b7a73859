/* SPDX-License-Identifier: MIT
 * Elementwise ops. Made from src/ops.def by cmake/genops.c: change the table, not this file.
 *
 * Operands broadcast, and meet in one dtype as tv_result_type tells; the condition of tv_where
 * is true where it is not zero. Every entry can fail with TV_ESHAPE (shapes do not broadcast),
 * TV_EDEVICE (operands on different devices), TV_EDTYPE (a dtype that it refuses) and TV_ENOMEM.
 * float16 and bfloat16 are computed in float32 and rounded once; integers wrap.
 *
 * A gradient is written over g, the gradient of the result y, and is summed over axes that were
 * broadcast. An entry without one gives no gradient. Names with tvi_ are internal to it.
 *
 * Source: array API 2024.12; special values as its lists and C99 Annex G. relu and sigmoid are
 * the usual ones of learning. */
#ifndef TENSORVAR_OPS_H
#define TENSORVAR_OPS_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/* Of one tensor: the dtype of x -------------------------------------------------------------- */

/**
 * Minus x.
 *
 * Dtypes    Any but bool, which is TV_EDTYPE.
 * Gradient  dx = tv_negative(g)
 */
TV_API tv_tensor *tv_negative(tv_tensor *x);

/**
 * x times x.
 *
 * Dtypes    Any; bool runs as int8.
 * Gradient  dx = tv_multiply(g, tv_multiply(tv_scalar(2), tv_conj(x)))
 */
TV_API tv_tensor *tv_square(tv_tensor *x);

/**
 * Square root of x; NaN below 0.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_divide(g, tv_multiply(tv_scalar(2), tv_conj(y)))
 */
TV_API tv_tensor *tv_sqrt(tv_tensor *x);

/**
 * e to the x.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_multiply(g, tv_conj(y))
 */
TV_API tv_tensor *tv_exp(tv_tensor *x);

/**
 * e to the x, minus 1, exact near 0.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_multiply(g, tv_add(tv_conj(y), tv_scalar(1)))
 */
TV_API tv_tensor *tv_expm1(tv_tensor *x);

/**
 * Natural logarithm of x.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_divide(g, tv_conj(x))
 */
TV_API tv_tensor *tv_log(tv_tensor *x);

/**
 * Natural logarithm of 1 + x, exact near 0.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_divide(g, tv_add(tv_scalar(1), tv_conj(x)))
 */
TV_API tv_tensor *tv_log1p(tv_tensor *x);

/**
 * Sine of x, in radians.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_multiply(g, tv_cos(tv_conj(x)))
 */
TV_API tv_tensor *tv_sin(tv_tensor *x);

/**
 * Cosine of x, in radians.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_multiply(g, tv_negative(tv_sin(tv_conj(x))))
 */
TV_API tv_tensor *tv_cos(tv_tensor *x);

/**
 * Hyperbolic tangent of x.
 *
 * Dtypes    Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64.
 * Gradient  dx = tv_multiply(g, tv_subtract(tv_scalar(1), tv_square(tv_conj(y))))
 */
TV_API tv_tensor *tv_tanh(tv_tensor *x);

/**
 * Logistic function of x, 1 / (1 + exp(-x)).
 *
 * Dtypes    Any but complex, which is TV_EDTYPE; bool and integers of 8 bits run in float16, of 16
 *           in float32, wider in float64.
 * Gradient  dx = tv_multiply(g, tv_multiply(y, tv_subtract(tv_scalar(1), y)))
 */
TV_API tv_tensor *tv_sigmoid(tv_tensor *x);

/**
 * x, or 0 where x is negative; gradient 0 at 0.
 *
 * Dtypes    Integers and floats; TV_EDTYPE for bool and complex.
 * Gradient  dx = tv_where(tv_greater(x, tv_scalar(0)), g, tv_scalar(0))
 */
TV_API tv_tensor *tv_relu(tv_tensor *x);

/**
 * -1, 0 or 1; x / |x| of a complex number.
 *
 * Dtypes    Any but bool, which is TV_EDTYPE.
 * Gradient  dx = tvi_sign_gradient(g, x, y)
 */
TV_API tv_tensor *tv_sign(tv_tensor *x);

/**
 * Largest integer not above x.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 * Gradient  dx = tv_zeros_like(g)
 */
TV_API tv_tensor *tv_floor(tv_tensor *x);

/**
 * Complex conjugate of x; x if it is real.
 *
 * Dtypes    Any.
 * Gradient  dx = tv_conj(g)
 */
TV_API tv_tensor *tv_conj(tv_tensor *x);

/* Parts of a complex number: its real type --------------------------------------------------- */

/**
 * Magnitude of x; gradient 0 at 0.
 *
 * Dtypes    Any.
 * Gradient  dx = tv_multiply(g, tv_sign(x))
 */
TV_API tv_tensor *tv_abs(tv_tensor *x);

/**
 * Real part of x; x if it is real.
 *
 * Dtypes    Any.
 * Gradient  dx = g
 */
TV_API tv_tensor *tv_real(tv_tensor *x);

/**
 * Imaginary part of x; 0 if it is real.
 *
 * Dtypes    Any.
 * Gradient  dx = tv_multiply(g, tv_scalar_complex(0, 1))
 */
TV_API tv_tensor *tv_imag(tv_tensor *x);

/* Tests of one tensor: bool ------------------------------------------------------------------ */

/**
 * Whether x, or a part of it, is NaN.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_isnan(tv_tensor *x);

/**
 * Whether x, or a part of it, is infinite.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_isinf(tv_tensor *x);

/**
 * Whether x is neither infinite nor NaN.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_isfinite(tv_tensor *x);

/**
 * Whether x is zero.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_logical_not(tv_tensor *x);

/* Of two tensors: their common dtype --------------------------------------------------------- */

/**
 * a plus b; or, of bool.
 *
 * Dtypes    Any.
 * Gradient  da = g
 *           db = g
 */
TV_API tv_tensor *tv_add(tv_tensor *a, tv_tensor *b);

/**
 * a minus b.
 *
 * Dtypes    Any but bool, which is TV_EDTYPE.
 * Gradient  da = g
 *           db = tv_negative(g)
 */
TV_API tv_tensor *tv_subtract(tv_tensor *a, tv_tensor *b);

/**
 * a times b; and, of bool.
 *
 * Dtypes    Any.
 * Gradient  da = tv_multiply(g, tv_conj(b))
 *           db = tv_multiply(g, tv_conj(a))
 */
TV_API tv_tensor *tv_multiply(tv_tensor *a, tv_tensor *b);

/**
 * a over b.
 *
 * Dtypes    Any; bool and integers run in float64.
 * Gradient  da = tv_divide(g, tv_conj(b))
 *           db = tv_negative(tv_divide(tv_multiply(g, tv_conj(y)), tv_conj(b)))
 */
TV_API tv_tensor *tv_divide(tv_tensor *a, tv_tensor *b);

/**
 * a over b, rounded down; integers by 0 give 0.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE; bool runs as int8.
 * Gradient  da = tv_zeros_like(g)
 *           db = tv_zeros_like(g)
 */
TV_API tv_tensor *tv_floor_divide(tv_tensor *a, tv_tensor *b);

/**
 * a - b floor(a / b), with the sign of b; integers by 0 give 0.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE; bool runs as int8.
 * Gradient  da = g
 *           db = tv_negative(tv_multiply(g, tv_floor_divide(a, b)))
 */
TV_API tv_tensor *tv_remainder(tv_tensor *a, tv_tensor *b);

/**
 * a to the b; integers wrap, and refuse negative b.
 *
 * Dtypes    Any; bool runs as int8.
 * Gradient  da = tvi_pow_base_gradient(g, a, b)
 *           db = tvi_pow_exponent_gradient(g, a, b, y)
 */
TV_API tv_tensor *tv_pow(tv_tensor *a, tv_tensor *b);

/**
 * Larger of a and b; NaN if one is; +0 above -0; ties share the gradient.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 * Gradient  da = tv_multiply(g, tvi_share(a, b))
 *           db = tv_multiply(g, tvi_share(b, a))
 */
TV_API tv_tensor *tv_maximum(tv_tensor *a, tv_tensor *b);

/**
 * Smaller of a and b; NaN if one is; -0 below +0; ties share the gradient.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 * Gradient  da = tv_multiply(g, tvi_share(tv_negative(a), tv_negative(b)))
 *           db = tv_multiply(g, tvi_share(tv_negative(b), tv_negative(a)))
 */
TV_API tv_tensor *tv_minimum(tv_tensor *a, tv_tensor *b);

/* Comparisons: bool -------------------------------------------------------------------------- */

/**
 * Whether a equals b; integers exactly.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_equal(tv_tensor *a, tv_tensor *b);

/**
 * Whether a differs from b; integers exactly.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_not_equal(tv_tensor *a, tv_tensor *b);

/**
 * Whether a is below b; integers exactly.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 */
TV_API tv_tensor *tv_less(tv_tensor *a, tv_tensor *b);

/**
 * Whether a is at most b; integers exactly.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 */
TV_API tv_tensor *tv_less_equal(tv_tensor *a, tv_tensor *b);

/**
 * Whether a is above b; integers exactly.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 */
TV_API tv_tensor *tv_greater(tv_tensor *a, tv_tensor *b);

/**
 * Whether a is at least b; integers exactly.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 */
TV_API tv_tensor *tv_greater_equal(tv_tensor *a, tv_tensor *b);

/**
 * Whether neither a nor b is zero.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_logical_and(tv_tensor *a, tv_tensor *b);

/**
 * Whether a or b is not zero.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_logical_or(tv_tensor *a, tv_tensor *b);

/**
 * Whether one of a and b is zero, the other not.
 *
 * Dtypes    Any.
 */
TV_API tv_tensor *tv_logical_xor(tv_tensor *a, tv_tensor *b);

/* Choice: the common dtype of a and b -------------------------------------------------------- */

/**
 * a where c is true, else b.
 *
 * Dtypes    Any.
 * Gradient  da = tv_where(c, g, tv_scalar(0))
 *           db = tv_where(c, tv_scalar(0), g)
 */
TV_API tv_tensor *tv_where(tv_tensor *c, tv_tensor *a, tv_tensor *b);

/* Bounds: the common dtype of x, a and b ----------------------------------------------------- */

/**
 * x, at least a and at most b; b if a is above b; the gradient is x's on the bounds.
 *
 * Dtypes    Any but complex, which is TV_EDTYPE.
 * Gradient  dx = tv_where(tv_logical_and(tv_logical_and(tv_less_equal(a, x), tv_less_equal(x, b)),
 *               tv_less_equal(a, b)), g, tv_scalar(0))
 *           da = tv_where(tv_logical_and(tv_less(x, a), tv_less_equal(a, b)), g, tv_scalar(0))
 *           db = tv_where(tv_logical_or(tv_less(b, a), tv_greater(x, b)), g, tv_scalar(0))
 */
TV_API tv_tensor *tv_clip(tv_tensor *x, tv_tensor *a, tv_tensor *b);

TV_END_C
#endif
