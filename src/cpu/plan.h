/* SPDX-License-Identifier: MIT
 * A plan: the loops that elementwise work over strided operands comes to, and the engine that runs
 * it. */
#ifndef TVI_CPU_PLAN_H
#define TVI_CPU_PLAN_H

#include "level.h"

enum { TVI_PLAN_OPERANDS = 1 + TV_MAX_INPUTS };

/* Eight bytes that move as one: elements of complex64 are aligned as their halves are. */
typedef uint64_t tvi_eight __attribute__((aligned(4)));

/* Axes of size above 1, none of which could be merged with its neighbour; the last is the inner
 * loop. */
typedef struct tvi_plan {
  int rank, n_operands;
  int64_t size;                     /* elements */
  int64_t items[TVI_PLAN_OPERANDS]; /* bytes of one, by operand */
  char *base[TVI_PLAN_OPERANDS];    /* operand 0 is the result */
  int64_t shape[TV_MAX_RANK];
  int64_t steps[TVI_PLAN_OPERANDS][TV_MAX_RANK];
} tvi_plan;

/* Axes are sorted and turned so that the result is walked upwards in memory. */
void tvi_plan_make(tvi_plan *plan, int rank, const int64_t *shape, int n_operands,
                   const tv_operand *const *operands, const tv_dtype *dtypes);

/* Converts p[1] into p[0]; NULL from complex to real. In convert.c. */
tvi_loop *tvi_convert_loop(tv_dtype from, tv_dtype to);

/* Copies elements of so many bytes. In convert.c. */
tvi_loop *tvi_copy_loop(int64_t item);

/* Nanoseconds of an op of the table (or TV_STEP_CONVERT) per element, on one thread and in cache: a
 * guess, after bench_elementary. In elementwise.c. */
double tvi_op_cost(int op, tv_dtype dtype);

/* Calls the loop over all elements; `cost` is nanoseconds per element, a guess. */
void tvi_plan_run(const tvi_plan *plan, tvi_loop *loop, double cost);

#endif
