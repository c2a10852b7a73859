/* SPDX-License-Identifier: MIT
 * Moving averages of Variables: values that are calmer than those of the last step.
 *
 *     tv_average *average = tv_average_new(NULL);
 *     ... tv_optimizer_step(...); tv_average_update(average, n, variables);
 *     tv_average_swap(average, n, variables);       // validate with the averages
 *     tv_average_swap(average, n, variables);       // and go on
 *
 * Averages are kept in float32 for half precision. From any thread. */
#ifndef TENSORVAR_AVERAGE_H
#define TENSORVAR_AVERAGE_H

#include <tensorvar/variable.h>
TV_BEGIN_C

typedef struct tv_average tv_average;

/** Begin with TV_AVERAGE_OPTIONS. */
typedef struct tv_average_options {
  size_t size;
  double decay;
  bool is_early; /* decay is min(decay, (1 + u) / (10 + u)) after u updates: quicker at first */
} tv_average_options;
#define TV_AVERAGE_OPTIONS \
  { sizeof(tv_average_options), .999, false }

/** NULL options are the defaults. TV_EVALUE: decay is not in [0, 1]. */
TV_API tv_average *tv_average_new(const tv_average_options *options);

/**
 * average -= (1 - decay) (average - value) for each Variable; its value, where it is met for the
 * first time. The average holds the Variables it has met. All of them or none.
 *
 * Errors    - TV_EVALUE  a Variable is given twice, or is swapped; something is NULL
 *           - TV_EDTYPE  a Variable is neither floating nor complex
 *           - TV_ESHAPE  a Variable has changed its shape
 * Source    TensorFlow `ExponentialMovingAverage`, whose num_updates counts here by itself.
 */
TV_API tv_status tv_average_update(tv_average *average, int n, tv_variable *const *variables);

/** The average of a Variable, in its dtype. TV_EVALUE: it has not been met. */
TV_API tv_tensor *tv_average_read(tv_average *average, tv_variable *variable);

/**
 * Give Variables their averages for values; and the next time the values, bit by bit, that they had
 * before, whatever was written meanwhile. A write to each: its version goes up by 1, and a
 * constraint on every write looks at the averages.
 *
 * Errors    - TV_EVALUE  a Variable has not been met, or is given twice; something is NULL
 *           - TV_EBUSY, TV_ECONSTRAINT, TV_ESHAPE  as tv_variable_assign
 *           On any of them nothing has changed.
 */
TV_API tv_status tv_average_swap(tv_average *average, int n, tv_variable *const *variables);

/** Updates until now. */
TV_API int64_t tv_average_updates(tv_average *average);

TV_API tv_average *tv_average_retain(tv_average *average);
TV_API void tv_average_release(tv_average *average);

TV_END_C
#endif
