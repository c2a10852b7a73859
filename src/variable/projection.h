/* SPDX-License-Identifier: MIT
 * Projections inside: what a constraint makes of a value, and what it finds wrong with one. */
#ifndef TVI_PROJECTION_H
#define TVI_PROJECTION_H

#include "variable.h"

/* The projected value, of the dtype, shape and device of x; elements that need not move keep every
 * bit. NULL after a failure. Needs an open scope, which owns it. */
tv_tensor *tvi_project(const char *who, const tv_constraint *c, tv_tensor *x);

/* What is wrong with a value: bools in the shape of x, or of x with `is_reduced` axes of size 1,
 * and numbers of the same shape to be named where they are true. */
typedef struct {
  tv_tensor *is_wrong, *shown;
  const char *noun;             /* "element", "the norm", "the sum" */
  bool is_reduced[TV_MAX_RANK]; /* axes that the numbers were taken over */
} tvi_finding;

/* false after a failure. A constraint may be broken in two ways: `at` 0 and 1; the second may find
 * nothing, is_wrong NULL. */
bool tvi_find_wrong(const char *who, const tv_constraint *c, tv_tensor *x, int at,
                    tvi_finding *found);

#endif
