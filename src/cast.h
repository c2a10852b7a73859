/* SPDX-License-Identifier: MIT
 * Conversions between element types, as tv_astype documents: tvi_to_f16(x) gives the storage type
 * of a dtype, for x of any type that computes.
 *
 * Floats are rounded once, to nearest even. A float out of an integer's range, and NaN, give what
 * x86-64's instructions give, found by range tests: i64 and i32 their smallest value; 8 and 16 bits
 * the low bits of the i32; u32 the low bits of the i64; u64 through the i64 of x, or of x - 2^63
 * with the top bit flipped. Complex to real is refused before it comes here. */
#ifndef TVI_CAST_H
#define TVI_CAST_H

#include "scalar.h"

TVI_SCALAR int32_t tvi_i32_of_f32(float x) {
  return x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN;
}
TVI_SCALAR int32_t tvi_i32_of_f64(double x) {
  return x > -0x1p31 - 1 && x < 0x1p31 ? (int32_t)x : INT32_MIN;
}
TVI_SCALAR int64_t tvi_i64_of_f32(float x) {
  return x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : INT64_MIN;
}
TVI_SCALAR int64_t tvi_i64_of_f64(double x) {
  return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}
TVI_SCALAR uint64_t tvi_u64_of_f32(float x) {
  const bool is_high = x >= 0x1p63f;
  return (uint64_t)tvi_i64_of_f32(is_high ? x - 0x1p63f : x) ^ (uint64_t)is_high << 63;
}
TVI_SCALAR uint64_t tvi_u64_of_f64(double x) {
  const bool is_high = x >= 0x1p63;
  return (uint64_t)tvi_i64_of_f64(is_high ? x - 0x1p63 : x) ^ (uint64_t)is_high << 63;
}

/* 64 bits do not fit a double: what falls off the end is kept as one sticky bit, which is below
 * what bf16 rounds at. */
TVI_SCALAR uint16_t tvi_bf16_of_u64(uint64_t x) {
  const uint64_t sticky = x >> 53 ? (x & ~UINT64_C(0x7ff)) | (uint64_t)((x & 0x7ff) != 0) << 11 : x;
  return tvi_bf16_of_double((double)sticky);
}
TVI_SCALAR uint16_t tvi_bf16_of_i64(int64_t x) {
  const uint16_t magnitude = tvi_bf16_of_u64(x < 0 ? 0 - (uint64_t)x : (uint64_t)x);
  return (uint16_t)(x < 0 ? magnitude | 0x8000 : magnitude);
}
TVI_SCALAR uint16_t tvi_bf16_of_i32(int32_t x) { return tvi_bf16_of_double((double)x); }
TVI_SCALAR uint16_t tvi_bf16_of_u32(uint32_t x) { return tvi_bf16_of_double((double)x); }
TVI_SCALAR uint16_t tvi_bf16_of_b1(bool x) { return tvi_bf16_store((float)x); }
TVI_SCALAR uint16_t tvi_bf16_of_i8(int8_t x) { return tvi_bf16_store((float)x); }
TVI_SCALAR uint16_t tvi_bf16_of_u8(uint8_t x) { return tvi_bf16_store((float)x); }
TVI_SCALAR uint16_t tvi_bf16_of_i16(int16_t x) { return tvi_bf16_store((float)x); }
TVI_SCALAR uint16_t tvi_bf16_of_u16(uint16_t x) { return tvi_bf16_store((float)x); }
TVI_SCALAR uint16_t tvi_bf16_of_f32(float x) { return tvi_bf16_store(x); }
TVI_SCALAR uint16_t tvi_bf16_of_f64(double x) { return tvi_bf16_of_double(x); }

/* An integer that a float rounds is beyond f16 anyway, so there is no second rounding. */
TVI_SCALAR uint16_t tvi_f16_of_f32(float x) { return tvi_f16_store(x); }
TVI_SCALAR uint16_t tvi_f16_of_f64(double x) { return tvi_f16_of_double(x); }

#define TVI_OF_SOURCE(tag, C)                                                      \
  TVI_SCALAR uint8_t tvi_to_b1_##tag(C x) { return x != 0; }                       \
  TVI_SCALAR tvi_c64 tvi_to_c64_##tag(C x) { return tvi_c64_of((float)x, 0); }     \
  TVI_SCALAR tvi_c128 tvi_to_c128_##tag(C x) { return tvi_c128_of((double)x, 0); } \
  TVI_SCALAR float tvi_to_f32_##tag(C x) { return (float)x; }                      \
  TVI_SCALAR double tvi_to_f64_##tag(C x) { return (double)x; }                    \
  TVI_SCALAR uint16_t tvi_to_bf16_##tag(C x) { return tvi_bf16_of_##tag(x); }

#define TVI_OF_INTEGER_SOURCE(tag, C)                               \
  TVI_OF_SOURCE(tag, C)                                             \
  TVI_SCALAR int8_t tvi_to_i8_##tag(C x) { return (int8_t)x; }      \
  TVI_SCALAR int16_t tvi_to_i16_##tag(C x) { return (int16_t)x; }   \
  TVI_SCALAR int32_t tvi_to_i32_##tag(C x) { return (int32_t)x; }   \
  TVI_SCALAR int64_t tvi_to_i64_##tag(C x) { return (int64_t)x; }   \
  TVI_SCALAR uint8_t tvi_to_u8_##tag(C x) { return (uint8_t)x; }    \
  TVI_SCALAR uint16_t tvi_to_u16_##tag(C x) { return (uint16_t)x; } \
  TVI_SCALAR uint32_t tvi_to_u32_##tag(C x) { return (uint32_t)x; } \
  TVI_SCALAR uint64_t tvi_to_u64_##tag(C x) { return (uint64_t)x; } \
  TVI_SCALAR uint16_t tvi_to_f16_##tag(C x) { return tvi_f16_store((float)x); }

#define TVI_OF_FLOAT_SOURCE(tag, C)                                                   \
  TVI_OF_SOURCE(tag, C)                                                               \
  TVI_SCALAR int8_t tvi_to_i8_##tag(C x) { return (int8_t)tvi_i32_of_##tag(x); }      \
  TVI_SCALAR int16_t tvi_to_i16_##tag(C x) { return (int16_t)tvi_i32_of_##tag(x); }   \
  TVI_SCALAR int32_t tvi_to_i32_##tag(C x) { return tvi_i32_of_##tag(x); }            \
  TVI_SCALAR int64_t tvi_to_i64_##tag(C x) { return tvi_i64_of_##tag(x); }            \
  TVI_SCALAR uint8_t tvi_to_u8_##tag(C x) { return (uint8_t)tvi_i32_of_##tag(x); }    \
  TVI_SCALAR uint16_t tvi_to_u16_##tag(C x) { return (uint16_t)tvi_i32_of_##tag(x); } \
  TVI_SCALAR uint32_t tvi_to_u32_##tag(C x) { return (uint32_t)tvi_i64_of_##tag(x); } \
  TVI_SCALAR uint64_t tvi_to_u64_##tag(C x) { return tvi_u64_of_##tag(x); }           \
  TVI_SCALAR uint16_t tvi_to_f16_##tag(C x) { return tvi_f16_of_##tag(x); }

TVI_OF_INTEGER_SOURCE(b1, bool)
TVI_OF_INTEGER_SOURCE(i8, int8_t)
TVI_OF_INTEGER_SOURCE(i16, int16_t)
TVI_OF_INTEGER_SOURCE(i32, int32_t)
TVI_OF_INTEGER_SOURCE(i64, int64_t)
TVI_OF_INTEGER_SOURCE(u8, uint8_t)
TVI_OF_INTEGER_SOURCE(u16, uint16_t)
TVI_OF_INTEGER_SOURCE(u32, uint32_t)
TVI_OF_INTEGER_SOURCE(u64, uint64_t)
TVI_OF_FLOAT_SOURCE(f32, float)
TVI_OF_FLOAT_SOURCE(f64, double)

TVI_SCALAR uint8_t tvi_to_b1_c64(tvi_c64 x) { return x != 0; }
TVI_SCALAR uint8_t tvi_to_b1_c128(tvi_c128 x) { return x != 0; }
TVI_SCALAR tvi_c64 tvi_to_c64_c64(tvi_c64 x) { return x; }
TVI_SCALAR tvi_c128 tvi_to_c128_c128(tvi_c128 x) { return x; }
TVI_SCALAR tvi_c64 tvi_to_c64_c128(tvi_c128 x) {
  return tvi_c64_of((float)creal(x), (float)cimag(x));
}
TVI_SCALAR tvi_c128 tvi_to_c128_c64(tvi_c64 x) {
  return tvi_c128_of((double)crealf(x), (double)cimagf(x));
}

#ifdef __cplusplus
TVI_ANY_(TVI_OF_X_, tvi_to_b1)
TVI_ORDERED_(TVI_OF_X_, tvi_to_i8)
TVI_ORDERED_(TVI_OF_X_, tvi_to_i16)
TVI_ORDERED_(TVI_OF_X_, tvi_to_i32)
TVI_ORDERED_(TVI_OF_X_, tvi_to_i64)
TVI_ORDERED_(TVI_OF_X_, tvi_to_u8)
TVI_ORDERED_(TVI_OF_X_, tvi_to_u16)
TVI_ORDERED_(TVI_OF_X_, tvi_to_u32)
TVI_ORDERED_(TVI_OF_X_, tvi_to_u64)
TVI_ORDERED_(TVI_OF_X_, tvi_to_f16)
TVI_ORDERED_(TVI_OF_X_, tvi_to_bf16)
TVI_ORDERED_(TVI_OF_X_, tvi_to_f32)
TVI_ORDERED_(TVI_OF_X_, tvi_to_f64)
TVI_ANY_(TVI_OF_X_, tvi_to_c64)
TVI_ANY_(TVI_OF_X_, tvi_to_c128)
#else
#define tvi_to_b1(x) TVI_ANY_(tvi_to_b1, x)(x)
#define tvi_to_i8(x) TVI_ORDERED_(tvi_to_i8, x)(x)
#define tvi_to_i16(x) TVI_ORDERED_(tvi_to_i16, x)(x)
#define tvi_to_i32(x) TVI_ORDERED_(tvi_to_i32, x)(x)
#define tvi_to_i64(x) TVI_ORDERED_(tvi_to_i64, x)(x)
#define tvi_to_u8(x) TVI_ORDERED_(tvi_to_u8, x)(x)
#define tvi_to_u16(x) TVI_ORDERED_(tvi_to_u16, x)(x)
#define tvi_to_u32(x) TVI_ORDERED_(tvi_to_u32, x)(x)
#define tvi_to_u64(x) TVI_ORDERED_(tvi_to_u64, x)(x)
#define tvi_to_f16(x) TVI_ORDERED_(tvi_to_f16, x)(x)
#define tvi_to_bf16(x) TVI_ORDERED_(tvi_to_bf16, x)(x)
#define tvi_to_f32(x) TVI_ORDERED_(tvi_to_f32, x)(x)
#define tvi_to_f64(x) TVI_ORDERED_(tvi_to_f64, x)(x)
#define tvi_to_c64(x) TVI_ANY_(tvi_to_c64, x)(x)
#define tvi_to_c128(x) TVI_ANY_(tvi_to_c128, x)(x)
#endif

#endif
