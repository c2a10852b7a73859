/* SPDX-License-Identifier: MIT
 * Losses, one value per row: wrap them in tv_mean. */
#ifndef TENSORVAR_LOSS_H
#define TENSORVAR_LOSS_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

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
