/* SPDX-License-Identifier: MIT
 * Rows inside the library: a deferred head that knows which rows of it are not zero. */
#ifndef TVI_ROWS_H
#define TVI_ROWS_H

#include <tensorvar/rows.h>

#include "tensor.h"

/* What such a head knows for as long as it lives, also once it has been settled. */
struct tvi_rows {
  tv_tensor *indices; /* retained; [k], compact int64 on the device, 0 <= i < n */
  tv_tensor *values;  /* retained; [k, b...], compact */
  bool is_summed;     /* indices rise: no row is there twice */
};
typedef struct tvi_rows tvi_rows;

/* The head of [n, b...] of indices [k...], as tvi_positions gives them, and values [k..., b...] on
 * the same device; the caller has the one count. Nothing is recorded. */
tv_tensor *tvi_rows_new(const char *who, tv_tensor *indices, tv_tensor *values, int64_t n,
                        bool is_summed);
/* The rows of x, some of them, with other values of the same shape: the innermost scope's. */
tv_tensor *tvi_rows_with(const char *who, tv_tensor *x, tv_tensor *values);
/* n heads of rows of one shape and dtype, one after another: the innermost scope's; their sum. */
tv_tensor *tvi_rows_joined(const char *who, int n, tv_tensor *const *all);
/* x with duplicates summed in order of occurrence and indices rising: x itself if it is so already,
 * else the innermost scope's. Waits for the indices. Nothing is recorded. */
tv_tensor *tvi_rows_summed(const char *who, tv_tensor *x);

/* Whoever adds gradients adds them by this: rows stay rows. Recorded as tv_add. */
tv_tensor *tvi_gradient_add(tv_tensor *a, tv_tensor *b);

/* x times a number, recorded: rows stay rows. */
tv_tensor *tvi_gradient_scaled(const char *who, tv_tensor *x, double by);

/* Compute a deferred head of rows. */
tv_status tvi_rows_settle(tv_tensor *x);
void tvi_rows_free(struct tvi_rows *rows);

/* x, settled, with other bytes in the rows that rise in `indices`: those of values [k, b...], which
 * is settled and compact. In the bytes of x if they are on the CPU, where the caller has seen that
 * they are free to be written, which cannot fail; else a new tensor, the innermost scope's. */
tv_tensor *tvi_rows_put(const char *who, tv_tensor *x, tv_tensor *indices, tv_tensor *values);

#endif
