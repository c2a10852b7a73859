/* SPDX-License-Identifier: MIT
 * L-BFGS: steps along a direction that is made of the last gradients, as far as a line search says.
 * For smooth losses of all the data, whose gradients have no noise; without constraints.
 *
 *     static tv_status loss_of(void *user, int n, tv_variable *const *variables, double *loss,
 *                              tv_tensor **gradients) {
 *       tv_tape *tape = tv_tape_begin(NULL);
 *       tv_tensor *y = ...;                            // of tv_read(variables[0]), ...
 *       tv_tape_gradient(tape, y, n, variables, gradients);
 *       tv_tape_end(tape);
 *       return tv_item_f64(y, loss);
 *     }
 *
 *     tv_lbfgs *lbfgs = tv_lbfgs_new(NULL);
 *     tv_lbfgs_step(lbfgs, n, variables, loss_of, NULL, &loss);
 *
 * Source: Liu and Nocedal (1989); Nocedal and Wright, "Numerical Optimization", algorithms 7.4, 3.5
 * and 3.6; the choices that those leave open are PyTorch's `LBFGS`. */
#ifndef TENSORVAR_LBFGS_H
#define TENSORVAR_LBFGS_H

#include <tensorvar/variable.h>
TV_BEGIN_C

typedef struct tv_lbfgs tv_lbfgs;

/** The loss of the Variables as they are, and its gradients: of their shapes, dtypes and devices.
 *  Called in a scope of its own, which may own them. May not use the tv_lbfgs that calls it. */
typedef tv_status (*tv_loss_callback)(void *user, int n, tv_variable *const *variables,
                                      double *loss, tv_tensor **gradients);

/** Begin with TV_LBFGS_OPTIONS. */
typedef struct tv_lbfgs_options {
  size_t size;
  double learning_rate;  /* the first length that is tried along a direction */
  int iterations;        /* of a step, at most */
  int evaluations;       /* of the loss in a step, about; 0: 5/4 of the iterations */
  double least_gradient; /* stop where no element of the gradient is larger */
  double least_change;   /* stop where the loss, or no element of a Variable, changes by more */
  int history;           /* pairs of changes that are kept */
  bool line_search;      /* by the strong Wolfe conditions; else always learning_rate */
} tv_lbfgs_options;
#define TV_LBFGS_OPTIONS \
  { sizeof(tv_lbfgs_options), 1, 20, 0, 1e-7, 1e-9, 100, true }

/** NULL options are the defaults. TV_EVALUE: a number is negative or not finite, or iterations or
 *  history below 1. */
TV_API tv_lbfgs *tv_lbfgs_new(const tv_lbfgs_options *options);

/**
 * Up to `iterations` iterations, all for the same Variables; *loss, if not NULL, is what it was at
 * the beginning.
 *
 * The Variables are written at each point that is tried, all together, for the callback reads them
 * there: versions rise with each, and readers on other threads see the points. Half precision is
 * computed in float32. The callback may not ask this tv_lbfgs anything: others wait for the step.
 *
 * Errors    - TV_EVALUE       n is below 1; other Variables than in the first step; one is given
 *                             twice; the first loss or gradient is not finite; something is NULL
 *           - TV_ECONSTRAINT  a Variable has a constraint
 *           - TV_ESHAPE, TV_EDTYPE, TV_EDEVICE  a gradient does not fit its Variable
 *           - TV_EBUSY        a Variable is mapped
 *           - what the callback returned
 *           On any of them the Variables have the values that they had before, written back, bit by
 *           bit (but one that is mapped by then), and what is kept of earlier steps is as it was.
 */
TV_API tv_status tv_lbfgs_step(tv_lbfgs *lbfgs, int n, tv_variable *const *variables,
                               tv_loss_callback callback, void *user, double *loss);

/** Iterations until now, and evaluations of the loss. */
TV_API int64_t tv_lbfgs_iterations(tv_lbfgs *lbfgs);
TV_API int64_t tv_lbfgs_evaluations(tv_lbfgs *lbfgs);

TV_API tv_lbfgs *tv_lbfgs_retain(tv_lbfgs *lbfgs);
TV_API void tv_lbfgs_release(tv_lbfgs *lbfgs);

TV_END_C
#endif
