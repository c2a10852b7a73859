/* SPDX-License-Identifier: MIT
 * Moving averages inside the library. */
#ifndef TVI_AVERAGE_H
#define TVI_AVERAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/average.h>

#include "tensor.h"

typedef struct {
  tv_variable *variable; /* retained */
  tv_tensor *average;    /* retained, settled */
  tv_tensor *own;        /* retained: what the Variable's value was; NULL unless it is swapped */
} tvi_averaged;

struct tv_average {
  _Atomic int64_t count;
  tv_average_options options;
  pthread_mutex_t lock; /* guards what follows */
  int64_t updates;
  tvi_averaged *members;
  int n_members, room;
};

/* Of one that is not held any more. */
void tvi_averaged_release(tvi_averaged *members, int n);

#endif
