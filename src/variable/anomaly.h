/* SPDX-License-Identifier: MIT
 * Anomalies: the first op of a tape that makes what is not finite. */
#ifndef TVI_ANOMALY_H
#define TVI_ANOMALY_H

#include <tensorvar/tensor.h>

/* Whether the result of an op is finite; TV_EANOMALY names the op, the place, and an input that was
 * not. */
bool tvi_is_sound(const char *op, tv_tensor *out, int n_in, tv_tensor *const *in);
/* The same of d, the gradient by input k, made of g, that of the result. */
bool tvi_is_gradient_sound(const char *op, int k, tv_tensor *d, tv_tensor *g);

#endif
