/* SPDX-License-Identifier: MIT
 * Rows of a value by position: what the writes of scatter.c and constraints share. */
#ifndef TVI_ROW_UPDATE_H
#define TVI_ROW_UPDATE_H

#include <tensorvar/variable.h>

#include "tensor.h"

/* Updates of a value seen as rows [n, inner], applied in order of k. Tensors are on the value's
 * device, in C order and ready to be read (tvi_row_update_ready). */
typedef struct {
  const char *who;
  tv_update how;
  int64_t n, inner;
  tv_tensor *positions; /* [k] int64, 0 <= p < n */
  tv_tensor *updates;   /* [k, inner], or [inner] for all of them; in the dtype of the value */
  bool is_one_row;
} tvi_row_update;

/* x in C order, ready to be read on the thread's stream; the scope's. NULL stays NULL. */
tv_tensor *tvi_row_update_ready(const char *who, tv_tensor *x);

/* The updated value, the scope's: `value` itself, changed, if that may be in place and can be. NULL
 * after a failure: nothing was written, but by a device that fails halfway. */
tv_tensor *tvi_row_update_apply(const tvi_row_update *s, tv_tensor *value, bool is_in_place);

/* int64 positions [k...] each once, in ascending order, [m]; *places [k]: where each is among
 * those, NULL before. Both are the scope's. Waits for them. */
tv_tensor *tvi_row_update_once(const char *who, tv_tensor *rows, tv_tensor **places);

/* Write rows [m, b...] of whole [n, b...], in C order, whose bytes nobody else holds; positions are
 * in range, each once. false: nothing was written. */
bool tvi_row_update_set(const char *who, tv_tensor *whole, tv_tensor *positions, tv_tensor *rows);

#endif
