/* SPDX-License-Identifier: MIT
 * Programs on the CPU: a block of elements at a time goes through all steps while it is in the
 * nearest cache, one vector loop per step. */
#ifndef TVI_CPU_PROGRAM_H
#define TVI_CPU_PROGRAM_H

#include "level.h"

enum {
  TVI_PROGRAM_VALUES = TV_MAX_PROGRAM_INPUTS + TV_MAX_STEPS,
  TVI_SCRATCH = 48 << 10 /* bytes of registers on the stack of whoever runs a part */
};

/* Where the elements of an input are taken from. */
typedef enum {
  TVI_ONE,      /* one element */
  TVI_DIRECT,   /* base + element * step */
  TVI_BY_ROWS,  /* the row's start, and then by step: blocks end with rows */
  TVI_PERIODIC, /* short rows, all the same: a register holds copies of it */
  TVI_PACKED    /* short rows, gathered into a register */
} tvi_fetch;

typedef struct {
  tvi_fetch how;
  char *base;
  int64_t item, step; /* of an element; between elements of a block, in bytes */
  const tv_operand *operand;
  int64_t steps[TV_MAX_PROGRAM_RANK]; /* of the merged axes */
  int32_t slot;                       /* byte in the scratch; PERIODIC and PACKED */
} tvi_program_input;

typedef struct {
  tvi_loop *loop;
  int n_inputs;
  int16_t in[TV_MAX_INPUTS]; /* values */
  int64_t step[1 + TV_MAX_INPUTS], item;
  char *out;    /* NULL: only in a register */
  int32_t slot; /* byte in the scratch; -1: written straight to `out` */
} tvi_program_step;

/* A program made ready: axes merged, loops found, registers given out. */
typedef struct tvi_fused {
  int rank, n_inputs, n_steps;
  int64_t size, chunk, block, row; /* row: 0, or blocks end where rows of so many elements do */
  int64_t shape[TV_MAX_PROGRAM_RANK];
  tvi_streamer *stream; /* of results that go around the caches; or NULL */
  double cost;          /* nanoseconds per element, a guess */
  tv_dtype result;      /* of the last step */
  tvi_program_input inputs[TV_MAX_PROGRAM_INPUTS];
  tvi_program_step steps[TV_MAX_STEPS];
} tvi_fused;

/* What a thread needs to run parts of it. */
typedef struct {
  const tvi_fused *fused;
  char *at[TVI_PROGRAM_VALUES];
  _Alignas(64) char scratch[TVI_SCRATCH];
} tvi_fused_run;

/* may_stream: large results may go around the caches, since nobody reads them soon. */
tv_status tvi_fused_make(tvi_fused *fused, const tv_program *job, bool may_stream);
void tvi_fused_begin(tvi_fused_run *run, const tvi_fused *fused);
/* Run n elements in C order from `begin` on; the last step's, without gaps, are at the result: in
 * `buffer`, unless the program stores them. */
const void *tvi_fused_fetch(tvi_fused_run *run, int64_t begin, int64_t n, void *buffer);

#endif
