/* SPDX-License-Identifier: MIT
 * What the host tells the kernels that work element by element, as C11 and as C++: one struct for
 * each variant of a kernel.
 *
 * Operand 0 is the result. Sizes and indices of one launch are below 2^31; offsets in bytes have 64
 * bits. Axes are listed from the innermost. */
#ifndef TVI_CUDA_POINTWISE_JOB_H
#define TVI_CUDA_POINTWISE_JOB_H

#include <stdint.h>

#include "half.h"

enum {
  TVI_POINTWISE_OPERANDS = 4,
  TVI_POINTWISE_THREADS = 256,
  TVI_POINTWISE_AT_ONCE = 2, /* vectors, or elements, of a thread */
  TVI_VECTOR_AXES = 4,       /* around the rows */
  TVI_STRIDED_AXES = 31,     /* 2^31 elements have no more */
  TVI_TURN_THREADS = 256
};

/* n / by for 0 <= n < 2^31 by a multiplication: Granlund and Montgomery, "Division by invariant
 * integers using multiplication" (1994), figure 4.1, with a sum that cannot overflow. */
typedef struct tvi_divider32 {
  uint32_t by, factor, shift;
} tvi_divider32;

TVI_SCALAR tvi_divider32 tvi_divider32_of(uint32_t by) { /* 0 < by < 2^31 */
  tvi_divider32 d;
  d.by = by;
  d.shift = 0;
  while ((UINT32_C(1) << d.shift) < by) d.shift++;
  d.factor = (uint32_t)((UINT64_C(1) << 32) * ((UINT64_C(1) << d.shift) - by) / by + 1);
  return d;
}

/* How a kernel of the vector variant reads an operand along a row. */
enum {
  TVI_READ_EACH,     /* consecutive; as vectors where they are aligned */
  TVI_READ_ONE,      /* the same one */
  TVI_READ_IMMEDIATE /* the one in the job */
};

typedef struct tvi_pointwise_operands {
  unsigned char *data[TVI_POINTWISE_OPERANDS];
  uint32_t reading[TVI_POINTWISE_OPERANDS]; /* strided: only the last matters */
  uint64_t immediate[TVI_POINTWISE_OPERANDS][2];
} tvi_pointwise_operands;

/* Rows of consecutive elements, cut into vectors. A flat array is one row. */
typedef struct tvi_vector_job {
  tvi_pointwise_operands operands;
  uint32_t vectors;      /* of all rows */
  int32_t width;         /* elements of a row */
  uint32_t rank;         /* of axes */
  tvi_divider32 per_row; /* vectors: one more than fit, where rows are not aligned */
  tvi_divider32 axes[TVI_VECTOR_AXES];
  int64_t steps[TVI_VECTOR_AXES][TVI_POINTWISE_OPERANDS];
} tvi_vector_job;

/* Any layout. */
typedef struct tvi_strided_job {
  tvi_pointwise_operands operands;
  uint32_t size, rank;
  tvi_divider32 axes[TVI_STRIDED_AXES];
  int64_t steps[TVI_STRIDED_AXES][TVI_POINTWISE_OPERANDS];
} tvi_strided_job;

/* A copy that turns: rows lie next to each other in `in`, columns in `out`. A block takes a square
 * of TVI_TURN_SIDE(item) elements. */
#define TVI_TURN_SIDE(item) ((item) > 2 ? 32 : 64)
typedef struct tvi_turn_job {
  unsigned char *out;
  const unsigned char *in;
  uint32_t rows, columns;
  int64_t out_step, in_step; /* from row to row of out, from column to column of in */
  tvi_divider32 tile_rows, tile_columns;
  uint32_t rank;
  tvi_divider32 axes[TVI_STRIDED_AXES];
  int64_t steps[TVI_STRIDED_AXES][2]; /* of out, of in */
} tvi_turn_job;

#endif
