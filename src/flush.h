/* SPDX-License-Identifier: MIT
 * tvi_flush(x): x, or 0 where it is below the smallest normal number; of a complex x each part.
 *
 * What an optimizer keeps goes through it. A momentum whose gradient has become 0 would otherwise
 * stick at a subnormal (.9 times it rounds to itself), and every later pass over it take many times
 * longer. As C11, and for GPUs as C++17. */
#ifndef TVI_FLUSH_H
#define TVI_FLUSH_H

#include <float.h>

#include "scalar.h"

TVI_SCALAR float tvi_flush_f32(float x) { return fabsf(x) < FLT_MIN ? 0 : x; }
TVI_SCALAR double tvi_flush_f64(double x) { return fabs(x) < DBL_MIN ? 0 : x; }
TVI_SCALAR tvi_c64 tvi_flush_c64(tvi_c64 z) {
  return tvi_c64_of(tvi_flush_f32(tvi_real_c64(z)), tvi_flush_f32(tvi_imag_c64(z)));
}
TVI_SCALAR tvi_c128 tvi_flush_c128(tvi_c128 z) {
  return tvi_c128_of(tvi_flush_f64(tvi_real_c128(z)), tvi_flush_f64(tvi_imag_c128(z)));
}

#ifdef __cplusplus
TVI_SCALAR float tvi_flush(float x) { return tvi_flush_f32(x); }
TVI_SCALAR double tvi_flush(double x) { return tvi_flush_f64(x); }
TVI_SCALAR tvi_c64 tvi_flush(tvi_c64 z) { return tvi_flush_c64(z); }
TVI_SCALAR tvi_c128 tvi_flush(tvi_c128 z) { return tvi_flush_c128(z); }
#else
#define tvi_flush(x)                 \
  _Generic((x), float                \
           : tvi_flush_f32, double   \
           : tvi_flush_f64, tvi_c64  \
           : tvi_flush_c64, tvi_c128 \
           : tvi_flush_c128)(x)
#endif

#endif
