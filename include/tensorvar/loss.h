/* SPDX-License-Identifier: MIT
 * Softmax, and losses: these give one value per row, wrap them in tv_mean. */
#ifndef TENSORVAR_LOSS_H
#define TENSORVAR_LOSS_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/**
 * Shares of one along an axis: exp(x) / sum(exp(x)).
 *
 *     tv_tensor *p = tv_softmax(logits, -1);
 *
 * Shapes    x with an axis gives the shape of x
 * Dtypes    Real floating, kept; f16 and bf16 are computed in f32 and rounded once
 * Gradient  y (g - sum(g y)). Keeps the result. The largest element along the axis is subtracted
 *           first, so nothing overflows.
 * Errors    - TV_EDTYPE   x is complex, an integer or bool
 *           - TV_EINDEX   no such axis
 * Source    PyTorch `softmax`, SciPy `special.softmax`.
 */
TV_API tv_tensor *tv_softmax(tv_tensor *x, int64_t axis);

/**
 * Logarithm of tv_softmax: x - log(sum(exp(x))), without the digits that log(tv_softmax(x)) loses.
 *
 * Shapes    x with an axis gives the shape of x
 * Dtypes    Real floating, kept; f16 and bf16 are computed in f32 and rounded once
 * Gradient  g - exp(y) sum(g). Keeps the result.
 * Errors    - TV_EDTYPE   x is complex, an integer or bool
 *           - TV_EINDEX   no such axis
 * Source    PyTorch `log_softmax`, SciPy `special.log_softmax`.
 */
TV_API tv_tensor *tv_log_softmax(tv_tensor *x, int64_t axis);

/**
 * Cross entropy of softmax(logits) against integer labels: logsumexp(row) - row[label].
 *
 *     tv_tensor *loss = tv_mean(tv_softmax_cross_entropy(logits, labels), TV_ALL_AXES);
 *
 * Shapes    logits [..., classes] with labels [...] gives [...]
 * Dtypes    logits: real floating; labels: any integer, 0 <= label < classes
 * Gradient  of logits: g (softmax(logits) - one_hot(labels)). The largest logit of a row is
 *           subtracted first, so nothing overflows.
 * Errors    - TV_EINDEX   a label out of range, naming its position and value
 *           - TV_ESHAPE   shapes do not fit, or no classes
 *           - TV_EDTYPE   logits not real floating, or labels not integers
 */
TV_API tv_tensor *tv_softmax_cross_entropy(tv_tensor *logits, tv_tensor *labels);

TV_END_C
#endif
