/* SPDX-License-Identifier: MIT
 * Ops of one's own: a forward and a backward in C, or a forward alone that is run again when its
 * gradient is asked for. */
#ifndef TENSORVAR_CUSTOM_H
#define TENSORVAR_CUSTOM_H

#include <tensorvar/tape.h>
TV_BEGIN_C

/**
 * What computes an op and its gradient. Begin with TV_CUSTOM.
 *
 * Callbacks run on the thread that calls the op or asks for the gradient, in a scope of their own,
 * and make their results by any op of the library. They return NULL, or a status, after a failure;
 * one that keeps no error of its own is reported by the name of the op.
 */
typedef struct tv_custom {
  size_t size;
  const char *name; /* for messages and graphs; copied; NULL: "custom" */
  /** The result of n inputs. */
  tv_tensor *(*forward)(void *user, int n, tv_tensor *const *in);
  /** gradients[k] by input k, of its shape and dtype, for `gradient` of the result. One left NULL
   * is zero. Made of public ops it has a gradient itself. */
  tv_status (*backward)(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                        tv_tensor *gradient, tv_tensor **gradients);
  bool keeps_inputs; /* backward reads `in`; false: they are NULL then, and not kept alive */
  bool keeps_output; /* backward reads `out` */
  /** Called once for every call with this struct, with `user`, when no callback of it can follow:
   * by the call itself where nothing is recorded or it fails, else by the end of the last tape.
   * NULL: none. */
  void (*release)(void *user);
  void *user;
} tv_custom;
#define TV_CUSTOM \
  { sizeof(tv_custom), NULL, NULL, NULL, true, true, NULL, NULL }

/**
 * An op with a gradient of one's own.
 *
 * Nothing inside `forward` is recorded: a gradient flows to the n inputs alone, so pass what it
 * reads of Variables as inputs. The result is a new tensor to tapes, also where forward gives back
 * an input.
 *
 * Errors    - TV_EVALUE   a callback is NULL, or an input; forward gave NULL without a reason
 *           - TV_ESHAPE, TV_EDTYPE   by tv_tape_gradient: a gradient that backward gave does not
 *                         have the shape or dtype of its input, naming the op and both
 * Source    TensorFlow `custom_gradient`, PyTorch `autograd.Function`.
 */
TV_API tv_tensor *tv_custom_op(const tv_custom *custom, int n, tv_tensor *const *in);

/**
 * forward(in), of which a tape keeps the inputs alone: what its gradient needs is computed again
 * when that is asked for. Less memory, for one more forward. custom->backward is NULL; n may be 0,
 * where it reads Variables alone.
 *
 * Gradients flow to the inputs and to every Variable that forward reads: again with the values that
 * were read the first time, whatever was assigned since. forward gives the same result for the same
 * inputs: it draws its random numbers by key, and writes to no Variable.
 *
 * Errors    - as tv_custom_op
 *           - TV_EVALUE   by tv_tape_gradient: forward reads other Variables than the first time,
 * or gives another shape or dtype Source    Chen et al., "Training deep nets with sublinear memory
 * cost" (2016); TensorFlow `recompute_grad`, PyTorch `checkpoint`.
 */
TV_API tv_tensor *tv_recompute(const tv_custom *custom, int n, tv_tensor *const *in);

TV_END_C
#endif
