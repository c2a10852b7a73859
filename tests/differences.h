/* SPDX-License-Identifier: MIT
 * Gradients against central differences, in f64:
 *
 *     static tv_tensor *flipped(tv_tensor *x) { return tv_flip(x, TV_AXES(0)); }
 *     TEST(...) { DIFFERENCES(flipped, x); }
 *
 * What is differentiated is a weighted sum of the squares of what the op gives, so that linear ops
 * have a second gradient too, which is held against differences of the first. */
#ifndef TV_TESTS_DIFFERENCES_H
#define TV_TESTS_DIFFERENCES_H

#include "check.h"

typedef tv_tensor *check_op(tv_tensor *x);

/** The gradient and the second gradient of an op at x (f64), to 1e-6 of their size. */
#define DIFFERENCES(op, x) check_differences(CHECK_HERE, #op, op, x)

/** The op and its gradient with the first allocation failing, then the second, and so on: every
 * time TV_ENOMEM and no result. What was left behind the case finds. */
#define STARVED(op, x) check_starved(CHECK_HERE, #op, op, x)

/** The gradient of the sum of op(x), times 1, 2, 3, ... in C order, by x. */
tv_tensor *check_gradient(check_op *op, tv_tensor *x);

void check_differences(const char *file, int line, const char *what, check_op *op, tv_tensor *x);
void check_starved(const char *file, int line, const char *what, check_op *op, tv_tensor *x);

#endif
