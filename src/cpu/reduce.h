/* SPDX-License-Identifier: MIT
 * What reductions to a value and reductions to a position share: which elements make a result. */
#ifndef TVI_CPU_REDUCE_H
#define TVI_CPU_REDUCE_H

#include "plan.h"
#include "program.h"

/* The elements of one result, in C order of the reduced axes, in fewest axes. */
typedef struct tvi_line {
  int rank;
  int64_t n; /* elements */
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  int64_t item, acc_item; /* bytes of an element in memory, and of the type that accumulates */
  bool is_native;         /* these types are one */
  tvi_fused_run *run;     /* not NULL: computes the elements, whose addresses are then only numbers:
                             `base` is the first one's */
  const char *base;
  tvi_loop *load; /* from the one to the other */
} tvi_line;

/* The results, in C order, in fewest axes. */
typedef struct tvi_results {
  int rank;
  int64_t n;
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK]; /* of the input */
} tvi_results;

void tvi_reduce_axes(const tv_reduce *job, tv_dtype accumulates, tvi_line *line,
                     tvi_results *results);

/* Byte offset of an element of the line, and of the first element of a result. */
int64_t tvi_line_offset(const tvi_line *line, int64_t k);
int64_t tvi_results_offset(const tvi_results *results, int64_t i);

/* Elements [k, k + n) of the line that starts at `from`, n <= TVI_RUN, contiguous and of the type
 * that accumulates: in place, or in `buffer` (TVI_RUN elements). */
const void *tvi_line_run(const tvi_line *line, const char *from, int64_t k, int64_t n,
                         void *buffer);

/* n elements without gaps from `at` on, as they are in memory: there, or in `buffer`. */
const void *tvi_line_fetch(const tvi_line *line, const char *at, int64_t n, void *buffer);
enum {
  TVI_SHORT = 64,           /* elements of a line of which many are looked at together */
  TVI_LINES = 64,           /* so many */
  TVI_LINES_BYTES = 1 << 15 /* of them, where they are not in place; at least one run */
};
/* The lines of results [first, last), of at most TVI_RUN elements each, or of as many of them as go
 * together: their number. They begin at *from, *step bytes apart: in place, or in `buffer`. */
int64_t tvi_short_lines(const tvi_line *line, const tvi_results *results, const char *data,
                        int64_t first, int64_t last, char *buffer, const char **from,
                        int64_t *step);

/* Whether neighbouring results lie closer together than neighbouring elements of a line. */
bool tvi_reduces_columns(const tvi_line *line, const tvi_results *results);

/* argreduce.c: TV_REDUCE_ARGMAX and TV_REDUCE_ARGMIN. */
tv_status tvi_argreduce(const tv_reduce *job);

#endif
