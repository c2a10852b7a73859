/* SPDX-License-Identifier: MIT
 * What L-BFGS keeps from step to step. */
#ifndef TVI_LBFGS_H
#define TVI_LBFGS_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/lbfgs.h>

#include "vector.h"

/* Changes of the gradient and of the values, y and s, and 1 / (y . s). */
typedef struct {
  tvi_vector *y, *s;
  double inverse;
} tvi_pair;

/* What is kept from iteration to iteration. */
typedef struct {
  int n_pairs;
  tvi_pair *pairs;                  /* [history], oldest first */
  tvi_vector *direction, *gradient; /* of the last iteration */
  double length, scale;             /* along the direction; of the first guess of the inverse */
  int64_t iterations, evaluations;
} tvi_lbfgs_memory;

struct tv_lbfgs {
  _Atomic int64_t count;
  tv_lbfgs_options options;
  pthread_mutex_t lock; /* guards what follows; held in a step */
  int n;
  tv_variable **variables; /* [n], retained; NULL before the first step */
  tvi_lbfgs_memory kept;
};

/* Release what it holds. */
void tvi_lbfgs_forget(tvi_lbfgs_memory *memory);

#endif
