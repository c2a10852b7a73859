/* SPDX-License-Identifier: MIT
 * The scale of a loss inside the library. */
#ifndef TVI_SCALER_H
#define TVI_SCALER_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/scaler.h>

struct tv_scaler {
  _Atomic int64_t count;
  tv_scaler_options options;
  pthread_mutex_t
      lock; /* guards what follows; no lock of an optimizer or Variable is taken under it */
  double scale;
  int64_t n_finite;
};

/* A step with it was taken, or left out because a gradient was not finite. */
void tvi_scaler_update(tv_scaler *scaler, bool is_finite);

#endif
