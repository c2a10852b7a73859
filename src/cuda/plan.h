/* SPDX-License-Identifier: MIT
 * Plans: the axes of a job, sorted and merged, as the kernels that work element by element want
 * them. */
#ifndef TVI_CUDA_PLAN_H
#define TVI_CUDA_PLAN_H

#include <tensorvar/backend.h>

enum { TVI_PLAN_OPERANDS = 1 + TV_MAX_INPUTS };

/* Axes of size above 1, none of which could be merged with its neighbour; the last is the inner
 * one. Operand 0 is the result. */
typedef struct tvi_plan {
  int rank, n_operands;
  int64_t size;                     /* elements */
  int64_t items[TVI_PLAN_OPERANDS]; /* bytes of one, by operand */
  char *base[TVI_PLAN_OPERANDS];    /* NULL: an immediate, whose steps are 0 */
  const void *immediate[TVI_PLAN_OPERANDS];
  int64_t shape[TV_MAX_RANK];
  int64_t steps[TVI_PLAN_OPERANDS][TV_MAX_RANK];
} tvi_plan;

/* Axes are sorted and turned so that the result is walked upwards in memory. */
void tvi_plan_make(tvi_plan *plan, int rank, const int64_t *shape, int n_operands,
                   const tv_operand *const *operands, const int64_t *items);

/* Merge neighbouring axes where every operand allows it. */
void tvi_plan_merge(tvi_plan *plan);

/* The part of a plan with indices [begin, begin + count) along its first axis. */
void tvi_plan_part(const tvi_plan *plan, int64_t begin, int64_t count, tvi_plan *part);

#endif
