/* SPDX-License-Identifier: MIT
 * Loss scaling: gradients of float16 too small for it are computed of a loss times a large number,
 * which the optimizer's step takes out again.
 *
 *     tv_scaler *scaler = tv_scaler_new(NULL);
 *     ...
 *     tv_tape_gradient(tape, tv_scaler_scale(scaler, loss), n, variables, gradients);
 *     tv_step_options with = TV_STEP_OPTIONS;
 *     with.scaler = scaler;
 *     tv_optimizer_step_with(adam, n, variables, gradients, &with);
 *
 * The number finds itself: where a gradient is not finite the step is left out and the number
 * becomes smaller; after `interval` steps that were taken it becomes larger. Use one scaler with
 * one optimizer: each step with it counts. From any thread. Source: Micikevicius et al. (2018);
 * PyTorch `GradScaler`. */
#ifndef TENSORVAR_SCALER_H
#define TENSORVAR_SCALER_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

typedef struct tv_scaler tv_scaler;

/** Begin with TV_SCALER_OPTIONS. */
typedef struct tv_scaler_options {
  size_t size;
  double scale;           /* at first */
  double growth, backoff; /* factors; powers of 2 lose no bits */
  int64_t interval;       /* finite steps in a row before it grows */
} tv_scaler_options;
#define TV_SCALER_OPTIONS \
  { sizeof(tv_scaler_options), 65536, 2, .5, 2000 }

/** NULL options are the defaults. TV_EVALUE: scale not above 0 or not finite, growth not above 1,
 *  backoff not between 0 and 1, interval below 1. */
TV_API tv_scaler *tv_scaler_new(const tv_scaler_options *options);

/** The loss times the scale, in float32 if it is of half precision, which could not hold it. */
TV_API tv_tensor *tv_scaler_scale(tv_scaler *scaler, tv_tensor *loss);

/** The scale now, and how many finite steps there were since it last changed. 0 for NULL. */
TV_API double tv_scaler_factor(tv_scaler *scaler);
TV_API int64_t tv_scaler_n_finite(tv_scaler *scaler);
/** Put back what those two were. TV_EVALUE: scale not above 0 or not finite, n_finite negative. */
TV_API tv_status tv_scaler_set(tv_scaler *scaler, double scale, int64_t n_finite);

TV_API tv_scaler *tv_scaler_retain(tv_scaler *scaler);
TV_API void tv_scaler_release(tv_scaler *scaler);

TV_END_C
#endif
