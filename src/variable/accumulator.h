/* SPDX-License-Identifier: MIT
 * Accumulated gradients inside the library. */
#ifndef TVI_ACCUMULATOR_H
#define TVI_ACCUMULATOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/accumulator.h>

#include "tensor.h"

typedef struct {
  tv_tensor *sum; /* retained, settled unless it is rows */
  tv_dtype dtype; /* of the gradients */
  bool may_move;  /* was restored: it goes where the next gradient is */
} tvi_sum;

struct tv_accumulator {
  _Atomic int64_t n_holders;
  pthread_mutex_t
      lock; /* guards what follows; no lock of an optimizer or Variable is taken under it */
  int n;
  tvi_sum *places;
  int64_t count;
};

void tvi_sums_release(tvi_sum *places, int n);

/* The sum elsewhere; the innermost scope's. Rows stay rows. */
tv_tensor *tvi_sum_moved(tv_tensor *sum, tv_device device);

#endif
