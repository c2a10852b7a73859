/* SPDX-License-Identifier: MIT
 * Normalization. */
#ifndef TENSORVAR_NORM_H
#define TENSORVAR_NORM_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/**
 * x with mean 0 and variance 1 over an axis and all behind it: (x - mean) / sqrt(variance +
 * epsilon) gamma + beta.
 *
 *     tv_tensor *y = tv_layer_norm(x, -1, tv_read(scale), tv_read(shift), 1e-5);
 *
 * The variance is the mean of the squared differences from the mean.
 *
 * Shapes    x [a..., n...] with gamma and beta [n...], or NULL for one that is left out,
 *           unless the thread has failed before: NULL is then what failed
 * Dtypes    Real floating, one for all; f16 and bf16 are computed in f32 and rounded once
 * Gradient  By x, gamma and beta. Keeps x and gamma.
 * Errors    - TV_EDTYPE   x is complex, an integer or bool, or gamma or beta of another dtype
 *           - TV_ESHAPE   gamma or beta do not have the shape of the axes
 *           - TV_EINDEX   no such axis
 *           - TV_EDEVICE  gamma or beta is on another device
 *           - TV_EVALUE   epsilon is negative or not finite
 * Source    PyTorch `layer_norm`; Ba, Kiros and Hinton (2016).
 */
TV_API tv_tensor *tv_layer_norm(tv_tensor *x, int64_t axis, tv_tensor *gamma, tv_tensor *beta,
                                double epsilon);

TV_END_C
#endif
