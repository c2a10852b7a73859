/* SPDX-License-Identifier: MIT
 * The scale of a loss inside the library. */
#ifndef TVI_SCALER_H
#define TVI_SCALER_H

#include <tensorvar/scaler.h>

/* A step with it was taken, or left out because a gradient was not finite. */
void tvi_scaler_update(tv_scaler *scaler, bool is_finite);

#endif
