/* SPDX-License-Identifier: MIT
 * Gradients of several batches as if of one: their mean over so many calls.
 *
 *     for (int batch = 0; batch < 4; batch++) { ...; tv_accumulator_add(a, n, gradients); }
 *     tv_accumulator_mean(a, n, gradients);
 *     tv_optimizer_step(adam, n, variables, gradients);
 *
 * Sums are taken in the order of the calls, in float32 for half precision; rows (rows.h) are put
 * one after another. What was added is held until it is taken or forgotten. From any thread. */
#ifndef TENSORVAR_ACCUMULATOR_H
#define TENSORVAR_ACCUMULATOR_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

typedef struct tv_accumulator tv_accumulator;

TV_API tv_accumulator *tv_accumulator_new(void);

/**
 * Add n gradients to the sums.
 *
 * Errors    - TV_EVALUE  another n than in the first call; something is NULL
 *           - TV_ESHAPE, TV_EDTYPE, TV_EDEVICE  not as the gradient in this place was
 *           On any of them nothing has been added.
 */
TV_API tv_status tv_accumulator_add(tv_accumulator *accumulator, int n,
                                    tv_tensor *const *gradients);

/** The sums over the number of calls, in the dtypes of the gradients, and begin anew. They are the
 *  innermost scope's. TV_EVALUE: nothing was added, or another n; then means[i] are NULL, and what
 *  was added stays. */
TV_API tv_status tv_accumulator_mean(tv_accumulator *accumulator, int n, tv_tensor **means);

/** Calls that were added since the last mean. */
TV_API int64_t tv_accumulator_count(tv_accumulator *accumulator);
/** Forget what was added. */
TV_API void tv_accumulator_clear(tv_accumulator *accumulator);

TV_API tv_accumulator *tv_accumulator_retain(tv_accumulator *accumulator);
TV_API void tv_accumulator_release(tv_accumulator *accumulator);

TV_END_C
#endif
