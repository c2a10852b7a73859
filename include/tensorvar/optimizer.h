/* SPDX-License-Identifier: MIT
 * Optimizers: one step over several Variables, all of them or none, then their constraints.
 *
 * Formulas and defaults are PyTorch's, which are those of the papers; where TensorFlow's form gives
 * other numbers, an option selects it. In the formulas g is the gradient, w the Variable, rate the
 * learning rate, t the step of the Variable from 1. Moments begin at 0 and are kept in f32 for f16
 * and bf16 Variables; |g|^2 is taken of complex ones.
 *
 * What every optimizer has: weight_decay adds weight_decay w to g first (L2, PyTorch's
 * `weight_decay`); decoupled_decay makes w -= rate decoupled_decay w before the update (Keras'
 * `weight_decay`, AdamW's); maximize turns g around before all this; lazy: see rows.h.
 *
 * An optimizer may be used from any thread; its steps happen one after another. */
#ifndef TENSORVAR_OPTIMIZER_H
#define TENSORVAR_OPTIMIZER_H

#include <tensorvar/variable.h>
TV_BEGIN_C

typedef struct tv_optimizer tv_optimizer;

/** Begin with TV_SGD_OPTIONS. b = momentum b + (1 - dampening) g, first b = g; w -= rate b, or with
 *  nesterov w -= rate (g + momentum b). With rate_in_momentum TensorFlow's form, another one where
 *  the rate changes: b = momentum b - rate g, first b = -rate g; w += b, or w += momentum b - rate
 *  g. */
typedef struct tv_sgd_options {
  size_t size;
  double learning_rate, momentum;
  bool nesterov;
  double dampening;
  bool rate_in_momentum;
  double weight_decay, decoupled_decay;
  bool maximize, lazy;
} tv_sgd_options;
#define TV_SGD_OPTIONS \
  { sizeof(tv_sgd_options), .01, 0, false, 0, false, 0, 0, false, false }

/** Begin with TV_ADAM_OPTIONS, or TV_ADAMW_OPTIONS, which decays weights, decoupled, by .01. m =
 *  beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) |g|^2; w -= rate / (1 - beta1^t) m / (sqrt(v)
 *  / sqrt(1 - beta2^t) + epsilon), with amsgrad of the largest v until now. With epsilon_hat
 *  TensorFlow's form, w -= rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon).
 *  Source: Kingma and Ba, "Adam" (2015); Reddi et al. (2018); Loshchilov and Hutter (2019). */
typedef struct tv_adam_options {
  size_t size;
  double learning_rate, beta1, beta2, epsilon;
  bool epsilon_hat, amsgrad;
  double weight_decay, decoupled_decay;
  bool maximize, lazy;
} tv_adam_options;
#define TV_ADAM_OPTIONS \
  { sizeof(tv_adam_options), 1e-3, .9, .999, 1e-8, false, false, 0, 0, false, false }
#define TV_ADAMW_OPTIONS \
  { sizeof(tv_adam_options), 1e-3, .9, .999, 1e-8, false, false, 0, .01, false, false }

/** Begin with TV_RMSPROP_OPTIONS. v = decay v + (1 - decay) |g|^2; d = g / (sqrt(v) + epsilon), or
 *  with epsilon_inside, TensorFlow's form, g / sqrt(v + epsilon); centered: of v - |m|^2, m = decay
 * m + (1 - decay) g. w -= rate d, or b = momentum b + d, w -= rate b. With rate_in_momentum
 *  TensorFlow's form, b = momentum b + rate d, w -= b. Source: Tieleman and Hinton (2012). */
typedef struct tv_rmsprop_options {
  size_t size;
  double learning_rate, decay, epsilon, momentum;
  bool centered, epsilon_inside, rate_in_momentum;
  double weight_decay, decoupled_decay;
  bool maximize, lazy;
} tv_rmsprop_options;
#define TV_RMSPROP_OPTIONS \
  { sizeof(tv_rmsprop_options), .01, .99, 1e-8, 0, false, false, false, 0, 0, false, false }

/** Begin with TV_ADAGRAD_OPTIONS. a = a + |g|^2, first `initial` + |g|^2; w -= rate / (1 + (t - 1)
 *  rate_decay) g / (sqrt(a) + epsilon), or with epsilon_inside, TensorFlow's form (initial .1,
 *  epsilon 1e-7 there), g / sqrt(a + epsilon). Source: Duchi et al. (2011). */
typedef struct tv_adagrad_options {
  size_t size;
  double learning_rate, rate_decay, initial, epsilon;
  bool epsilon_inside;
  double weight_decay, decoupled_decay;
  bool maximize, lazy;
} tv_adagrad_options;
#define TV_ADAGRAD_OPTIONS \
  { sizeof(tv_adagrad_options), .01, 0, 0, 1e-10, false, 0, 0, false, false }

/** Begin with TV_ADADELTA_OPTIONS. v = decay v + (1 - decay) |g|^2; d = sqrt(a + epsilon) / sqrt(v
 * + epsilon) g; a = decay a + (1 - decay) |d|^2; w -= rate d. Source: Zeiler (2012). */
typedef struct tv_adadelta_options {
  size_t size;
  double learning_rate, decay, epsilon;
  double weight_decay, decoupled_decay;
  bool maximize, lazy;
} tv_adadelta_options;
#define TV_ADADELTA_OPTIONS \
  { sizeof(tv_adadelta_options), 1, .9, 1e-6, 0, 0, false, false }

/** Begin with TV_LION_OPTIONS. w -= rate sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2)
 * g. Its decay is the decoupled one. Source: Chen et al. (2023). */
typedef struct tv_lion_options {
  size_t size;
  double learning_rate, beta1, beta2;
  double weight_decay, decoupled_decay;
  bool maximize, lazy;
} tv_lion_options;
#define TV_LION_OPTIONS \
  { sizeof(tv_lion_options), 1e-4, .9, .99, 0, 0, false, false }

/** An optimizer; NULL options are the defaults. TV_EVALUE: a rate, epsilon or decay negative or not
 *  finite, a momentum, dampening or beta outside [0, 1), options that exclude each other. */
TV_API tv_optimizer *tv_sgd_new(const tv_sgd_options *options);
TV_API tv_optimizer *tv_adam_new(const tv_adam_options *options);
/** tv_adam_new, whose defaults are TV_ADAMW_OPTIONS. */
TV_API tv_optimizer *tv_adamw_new(const tv_adam_options *options);
TV_API tv_optimizer *tv_rmsprop_new(const tv_rmsprop_options *options);
TV_API tv_optimizer *tv_adagrad_new(const tv_adagrad_options *options);
TV_API tv_optimizer *tv_adadelta_new(const tv_adadelta_options *options);
TV_API tv_optimizer *tv_lion_new(const tv_lion_options *options);

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

/** What the optimizer keeps of a Variable under PyTorch's name for it ("momentum_buffer",
 *  "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "sum", "acc_delta"), as a
 *  snapshot. TV_EVALUE: it keeps none of that name, or has not stepped the Variable. */
TV_API tv_tensor *tv_optimizer_slot(tv_optimizer *optimizer, tv_variable *variable,
                                    const char *name);

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

TV_END_C
#endif
