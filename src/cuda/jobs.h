/* SPDX-License-Identifier: MIT
 * What the kernels that are not elementwise are told: one struct each, by value. Read by the C side
 * and by the .cu files, so it is plain data. */
#ifndef TVI_CUDA_JOBS_H
#define TVI_CUDA_JOBS_H

#include <stdint.h>

enum {
  TVI_LANES = 16,                     /* accumulators of a run: src/cpu/reduce.c has the order */
  TVI_RUN_ELEMENTS = 512,             /* elements of a run */
  TVI_ROUNDS = TVI_RUN_ELEMENTS / 16, /* elements that a lane takes of a run */
  TVI_AXES = 64                       /* TV_MAX_RANK */
};

/* n / divisor for 0 <= n < 2^63, by one multiplication (Granlund and Montgomery, 1994). */
typedef struct tvi_divider {
  uint64_t divisor, multiplier;
  uint32_t shift;
} tvi_divider;

static inline tvi_divider tvi_divider_of(int64_t divisor) {
  tvi_divider d = {(uint64_t)divisor, 0, 0};
  if (divisor < 1) return d; /* of an axis without elements: of no use, and not used */
  while (d.shift < 63 && (uint64_t)1 << d.shift < d.divisor) d.shift++;
  /* 2^64 (2^shift - divisor) / divisor + 1, bit by bit. */
  uint64_t rest = ((uint64_t)1 << d.shift) - d.divisor;
  for (int bit = 0; bit < 64; bit++) {
    rest *= 2; /* below 2 divisor, which is below 2^64 */
    d.multiplier = d.multiplier * 2 + (rest >= d.divisor);
    if (rest >= d.divisor) rest -= d.divisor;
  }
  d.multiplier++;
  return d;
}

/* Bytes of an element. */
static inline int64_t tvi_item_of(int dtype) {
  static const int8_t bytes[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
  return bytes[dtype]; /* in the order of tv_dtype */
}

/* Units that n elements take. */
static inline int64_t tvi_ceil(int64_t n, int64_t unit) { return n / unit + (n % unit != 0); }

/* A reduction, or the joining of its nodes. A node is what `group` runs of a line come to, a
 * subtree of the documented order; nodes lie in memory as the state of the reduction, `steps` in
 * states. Elements are read through `flip`, which makes a minimum a maximum and an integer with a
 * sign one without. */
typedef struct tvi_reduce_job {
  const void *in;
  void *out;
  int64_t results, line, nodes; /* results, elements of each; nodes of each, when they are joined */
  int64_t node_step, result_step;
  int64_t out_nodes, out_node_step, out_result_step; /* 1: they are the results */
  uint64_t flip;
  tvi_divider by_results, by_out_nodes;
  int32_t group;                   /* runs, a power of two */
  int32_t results_rank, line_rank; /* axes: of the results, then of the line */
  uint8_t is_narrow;               /* a sum is stored in the dtype of the elements */
  int64_t steps[TVI_AXES];         /* bytes */
  tvi_divider by[TVI_AXES];        /* sizes */
} tvi_reduce_job;

/* Rows of a softmax. `halves` half warps, a power of two, share a row, or a stretch of it. */
typedef struct tvi_rows_job {
  const void *x, *g;
  const int64_t *labels;
  void *out;
  int64_t rows, columns;
  int32_t halves;
} tvi_rows_job;

/* out [outer, k, row] = in [outer, indices[k], row], in vectors. */
typedef struct tvi_gather_job {
  const void *in;
  const int64_t *indices;
  void *out;
  int64_t n, k, row, total; /* vectors of a row, and of the result */
  tvi_divider by_row, by_k;
} tvi_gather_job;

/* out [outer, keys[p], inner] op= in [outer, order[p], inner], equal keys in order of p. */
typedef struct tvi_scatter_job {
  const void *in;
  void *out;
  const uint64_t *keys;       /* [k] of the indices as given */
  const int64_t *order;       /* [k], the stable order of keys */
  int64_t n, k, inner, total; /* outer k inner */
  int64_t step;               /* elements between rows of in: inner, or 0 for one row */
  tvi_divider by_inner, by_k;
} tvi_scatter_job;

typedef struct tvi_bad_index_job {
  const int64_t *indices;
  int64_t n, low, high;
  uint64_t *best; /* lowest position that is out of range; all ones: none */
} tvi_bad_index_job;

typedef struct tvi_sequence_job {
  void *out;
  int64_t n;
  double real_start, real_step;
  int64_t int_start, int_step;
} tvi_sequence_job;

enum {
  TVI_SORT_THREADS = 256,
  TVI_SORT_ROUNDS = 16,
  TVI_SORT_TILE = TVI_SORT_THREADS * TVI_SORT_ROUNDS,
  TVI_SORT_DIGITS = 256, /* values of a digit */
  TVI_SORT_PASSES = 8,
  TVI_SORT_PROBES = 1024 /* blocks that look for digits all keys share */
};

/* What the device finds out about a sort: digits that all keys share take no pass. */
typedef struct tvi_sort_plan {
  int32_t is_active[TVI_SORT_PASSES];
  int32_t source[TVI_SORT_PASSES]; /* buffer a pass reads; -1: the keys as they came */
  int32_t is_last[TVI_SORT_PASSES];
} tvi_sort_plan;

typedef struct tvi_sort_job {
  const uint64_t *keys; /* as they came */
  uint64_t *sorted[2];  /* keys between passes, and the positions that go with them */
  void *positions[2];   /* uint32 or uint64 */
  int64_t *out;
  int64_t n, tiles;
  uint64_t *probes; /* [TVI_SORT_PROBES]: bits in which keys differ from the first */
  tvi_sort_plan *plan;
  void *counts; /* [TVI_SORT_DIGITS, tiles], uint32 or uint64: before a tile, of a digit */
  void *totals; /* [TVI_SORT_DIGITS] */
  int32_t pass, probe_blocks;
} tvi_sort_job;

typedef struct tvi_random_job {
  uint64_t seed, stream, first_block;
  int64_t skip, n; /* elements of the first block that are not wanted; elements that are */
  void *out;
} tvi_random_job;

typedef struct tvi_optimize_item {
  const void *value, *gradient, *slot0, *slot1, *slot2;
  void *value_out, *slot_out0, *slot_out1, *slot_out2;
  int64_t n, first_chunk;
  double rate, unbias2; /* Adam: learning rate / unbias1, 1 - beta2^t */
} tvi_optimize_item;

enum { TVI_OPTIMIZE_FEW = 36, TVI_OPTIMIZE_MANY = 310 };

/* Multi-tensor steps. A block takes a chunk; first_chunk rises, so the tensor is found by halving.
 */
typedef struct tvi_optimize_settings {
  double learning_rate, momentum;             /* SGD */
  double beta1, beta2, rest1, rest2, epsilon; /* Adam; rest: 1 - beta */
  double rest, decay, keep; /* of more than a plain step: 1 - dampening, of w in g, of w */
  int64_t chunk;            /* elements */
  int32_t n;
  uint8_t has_momentum, is_nesterov;
  uint8_t maximize, has_decay, is_kept, is_damped, rate_in_momentum, amsgrad, epsilon_inside;
} tvi_optimize_settings;

typedef struct tvi_optimize_few {
  tvi_optimize_settings with;
  tvi_optimize_item items[TVI_OPTIMIZE_FEW];
} tvi_optimize_few;

typedef struct tvi_optimize_many {
  tvi_optimize_settings with;
  tvi_optimize_item items[TVI_OPTIMIZE_MANY];
} tvi_optimize_many;

enum { TVI_PRODUCT_TILE = 32 }; /* rows, columns, and steps along k */

/* out[b] = a[b] b[b]; out is compact. Steps in bytes. */
typedef struct tvi_product_job {
  const void *a, *b;
  void *out;
  int64_t m, n, k;
  int64_t a_row, a_column, b_row, b_column;
  int64_t row_tiles, column_tiles;
  int32_t batch_rank;
  int64_t batch_shape[TVI_AXES], a_batch[TVI_AXES], b_batch[TVI_AXES];
} tvi_product_job;

#endif
