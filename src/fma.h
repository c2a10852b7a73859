/* SPDX-License-Identifier: MIT
 * a * b + c with one rounding, where that is one instruction; else with two.
 *
 * TVI_HAS_FMA says that it is: at levels v3 and v4 of x86-64 (their files define it), on GPUs, for
 * the tests' stand-in of a GPU, and where the compiler itself says so. There the elementary
 * functions give the same bits. Elsewhere an emulated fma would cost more than all the rest of a
 * function, so that the product is rounded too: bits differ, bounds of the error are a little
 * wider. Steps that must be exact are written so that they are exact either way. */
#ifndef TVI_FMA_H
#define TVI_FMA_H

#include <math.h>

#include "bits.h"

#if !defined(TVI_HAS_FMA) && \
    (defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA))
#define TVI_HAS_FMA 1
#endif

#ifdef TVI_HAS_FMA
TVI_SCALAR float tvi_fma_f32(float a, float b, float c) { return fmaf(a, b, c); }
TVI_SCALAR double tvi_fma_f64(double a, double b, double c) { return fma(a, b, c); }
#else
TVI_SCALAR float tvi_fma_f32(float a, float b, float c) { return a * b + c; }
TVI_SCALAR double tvi_fma_f64(double a, double b, double c) { return a * b + c; }
#endif

#endif
