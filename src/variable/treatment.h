/* SPDX-License-Identifier: MIT
 * What a step does to its gradients first. */
#ifndef TVI_TREATMENT_H
#define TVI_TREATMENT_H

#include <tensorvar/optimizer.h>

/* Whether options are some; *full has those of a caller who knows less of them. TV_EVALUE. */
tv_status tvi_treatment_of(const char *who, const tv_step_options *given, tv_step_options *full);

/* Gradients in their place: unscaled, then clipped. *is_finite is false if the step is to be left
 * out. Those of half precision become f32 when they are unscaled. Assumes: recording is paused, a
 * scope is open. */
tv_status tvi_treated(const char *who, const tv_step_options *with, int n, tv_tensor **gradients,
                      bool *is_finite);

#endif
