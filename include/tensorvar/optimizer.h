/* SPDX-License-Identifier: MIT
 * Optimizers: one step over several Variables, all of them or none, then their constraints.
 * Formulas and defaults are PyTorch's, which are those of the papers. */
#ifndef TENSORVAR_OPTIMIZER_H
#define TENSORVAR_OPTIMIZER_H

#include <tensorvar/variable.h>
TV_BEGIN_C

typedef struct tv_optimizer tv_optimizer;

/** Begin with TV_SGD_OPTIONS. b = momentum b + g, first b = g; w -= rate b, or with nesterov
 *  w -= rate (g + momentum b). */
typedef struct tv_sgd_options {
  size_t size;
  double learning_rate, momentum;
  bool nesterov;
} tv_sgd_options;
#define TV_SGD_OPTIONS \
  { sizeof(tv_sgd_options), .01, 0, false }

/** Begin with TV_ADAM_OPTIONS. m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) |g|^2;
 *  w -= rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon), t from 1.
 *  Source: Kingma and Ba, "Adam" (2015). */
typedef struct tv_adam_options {
  size_t size;
  double learning_rate, beta1, beta2, epsilon;
} tv_adam_options;
#define TV_ADAM_OPTIONS \
  { sizeof(tv_adam_options), 1e-3, .9, .999, 1e-8 }

/** An optimizer; NULL options are the defaults. TV_EVALUE: a rate negative or not finite, a
 * momentum or beta outside [0, 1), epsilon negative. */
TV_API tv_optimizer *tv_sgd_new(const tv_sgd_options *options);
TV_API tv_optimizer *tv_adam_new(const tv_adam_options *options);

/**
 * One step: prepare every new value and slot, then commit them all.
 *
 * An optimizer keeps its slots (momentum, moments) per Variable, f32 for f16 and bf16, and holds
 * the Variables it has met. What is below the smallest normal number in a slot becomes 0: a
 * momentum that decays would end at a subnormal, stay there, and slow every later step down.
 * Constraints act at the end; each Variable's version goes up by 1.
 *
 * Errors    - TV_ESHAPE, TV_EDTYPE, TV_EDEVICE  a gradient does not fit its Variable
 *           - TV_EVALUE  a Variable appears twice, or something is NULL
 *           - TV_EBUSY, TV_ECONSTRAINT  as tv_variable_assign
 *           On any of them no Variable and no slot has changed.
 */
TV_API tv_status tv_optimizer_step(tv_optimizer *optimizer, int n, tv_variable *const *variables,
                                   tv_tensor *const *gradients);

/** Steps taken until now. */
TV_API int64_t tv_optimizer_steps(tv_optimizer *optimizer);
TV_API double tv_optimizer_learning_rate(tv_optimizer *optimizer);
/** TV_EVALUE: negative or not finite. */
TV_API tv_status tv_optimizer_set_learning_rate(tv_optimizer *optimizer, double rate);

/**
 * Scale n gradients together so that their joint 2-norm is at most `limit`: by limit * min(1 /
 * norm, 1 / limit).
 *
 * clipped[i] may be the same array as gradients. `norm`, if not NULL, is the norm before.
 *
 * Errors    - TV_EVALUE  the norm is not finite, or limit is not above 0; clipped is then all NULL,
 *                        unless it is the same array, which is kept
 * Source    TensorFlow `clip_by_global_norm`; Pascanu et al. (2013).
 */
TV_API tv_status tv_clip_by_global_norm(int n, tv_tensor *const *gradients, double limit,
                                        tv_tensor **clipped, double *norm);

TV_API tv_optimizer *tv_optimizer_retain(tv_optimizer *optimizer);
TV_API void tv_optimizer_release(tv_optimizer *optimizer);

#ifndef TV_WITHOUT_SITES
#define tv_optimizer_step(optimizer, ...) tv_optimizer_step(TV_HERE(optimizer), __VA_ARGS__)
#endif

TV_END_C
#endif
