/* SPDX-License-Identifier: MIT
 * Parts of clipping inside the library. */
#ifndef TVI_CLIP_H
#define TVI_CLIP_H

#include <tensorvar/clip.h>

/* What of a gradient may differ from 0, each element once: of rows, their values summed. */
tv_tensor *tvi_gradient_elements(const char *who, tv_tensor *x);
/* The joint 2-norm; it may be infinite, or NaN. Nothing is recorded. */
tv_status tvi_gradient_norm(const char *who, int n, tv_tensor *const *gradients, double *norm);
tv_tensor *tvi_clipped_by_value(const char *who, tv_tensor *x, double limit);
/* That brings one gradient of a norm within the limit. */
double tvi_clip_factor(double norm, double limit);

#endif
