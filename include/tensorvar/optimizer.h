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

#include <tensorvar/clip.h>
#include <tensorvar/scaler.h>
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

/** What is done to gradients before a step. Begin with TV_STEP_OPTIONS: nothing. In this order: */
typedef struct tv_step_options {
  size_t size;
  tv_scaler *scaler;       /* take its scale out, and tell it; NULL: none */
  double clip_value;       /* as tv_clip_by_value; 0: not */
  double clip_norm;        /* as tv_clip_by_norm; 0: not */
  double clip_global_norm; /* as tv_clip_by_global_norm; 0: not */
  bool skip_not_finite;    /* leave the step out where a norm is not finite, and succeed */
  double *norm;            /* if not NULL: the global norm before it was clipped */
  bool *is_skipped;        /* if not NULL: whether the step was left out */
} tv_step_options;
#define TV_STEP_OPTIONS \
  { sizeof(tv_step_options), NULL, 0, 0, 0, false, NULL, NULL }

/**
 * tv_optimizer_step with gradients that are unscaled and clipped first.
 *
 * A step that is left out, because a scaled gradient is not finite or a norm is not, changes no
 * Variable, no slot and no count of steps, and is a success; the scaler's scale becomes smaller.
 *
 * Errors    - TV_EVALUE  a limit is negative or not finite; the norm of a gradient is not finite
 *           - else as tv_optimizer_step. On any of them nothing has changed, nor has the scaler.
 */
TV_API tv_status tv_optimizer_step_with(tv_optimizer *optimizer, int n,
                                        tv_variable *const *variables, tv_tensor *const *gradients,
                                        const tv_step_options *options);

/** Steps taken until now. */
TV_API int64_t tv_optimizer_steps(tv_optimizer *optimizer);
/** That of the next step. With a schedule (schedule.h) what that gives; NaN if it fails. */
TV_API double tv_optimizer_learning_rate(tv_optimizer *optimizer);
/** Takes a schedule off. TV_EVALUE: negative or not finite. */
TV_API tv_status tv_optimizer_set_learning_rate(tv_optimizer *optimizer, double rate);

/** What is particular to some Variables. Begin with TV_GROUP_OPTIONS: as all others. */
typedef struct tv_group_options {
  size_t size;
  double rate_factor;                   /* times the learning rate, scheduled or not */
  double weight_decay, decoupled_decay; /* negative: those of the optimizer */
} tv_group_options;
#define TV_GROUP_OPTIONS \
  { sizeof(tv_group_options), 1, -1, -1 }

/**
 * From the next step on treat these Variables so: they are a parameter group. A later call for a
 * Variable replaces an earlier one; the optimizer holds them from here on. NULL options are the
 * defaults.
 *
 *     tv_group_options biases = TV_GROUP_OPTIONS;
 *     biases.decoupled_decay = 0;
 *     tv_optimizer_set_group(adamw, 2, (tv_variable *[]){b1, b2}, &biases);
 *
 * Errors    - TV_EVALUE  a number is not finite, or the factor negative; something is NULL
 *           On any of them nothing has changed.
 */
TV_API tv_status tv_optimizer_set_group(tv_optimizer *optimizer, int n,
                                        tv_variable *const *variables,
                                        const tv_group_options *options);

/** What the optimizer keeps of a Variable under PyTorch's name for it ("momentum_buffer",
 *  "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "sum", "acc_delta"), as a
 *  snapshot. TV_EVALUE: it keeps none of that name, or has not stepped the Variable. */
TV_API tv_tensor *tv_optimizer_slot(tv_optimizer *optimizer, tv_variable *variable,
                                    const char *name);

TV_API tv_optimizer *tv_optimizer_retain(tv_optimizer *optimizer);
TV_API void tv_optimizer_release(tv_optimizer *optimizer);

#ifndef TV_WITHOUT_SITES
#define tv_optimizer_step(optimizer, ...) tv_optimizer_step(TV_HERE(optimizer), __VA_ARGS__)
#endif

TV_END_C
#endif
