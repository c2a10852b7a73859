/* SPDX-License-Identifier: MIT
 * The functions that the value column of ops.def names, over every type that computes.
 *
 * tvi_exp(x) and the like choose by the type of x. Special cases are those of the array API 2024.12
 * and of C99 Annex F and G. Compiled with -fwrapv (integers wrap) and without contraction; results
 * narrower than int are cast back at once. As C11, and for GPUs as C++17.
 *
 * Elementary functions of float and double are in elementary_f32.h and elementary_f64.h; those of
 * complex numbers, and pow of double, are libm's. What is written here is free of branches where it
 * can be, so that loops over it become vector code. */
#ifndef TVI_SCALAR_H
#define TVI_SCALAR_H

#ifndef __cplusplus
#include <complex.h>
#endif
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "elementary_f32.h"
#include "elementary_f64.h"
#include "half.h"

#ifdef __cplusplus
#include "cuda/complex_number.h"
#else
typedef float _Complex tvi_c64;
typedef double _Complex tvi_c128;
#endif

/* C11's CMPLX is not everywhere; x + y * I loses signed zeros and infinities. */
TVI_SCALAR tvi_c64 tvi_c64_of(float real, float imag) {
  const float parts[2] = {real, imag};
  tvi_c64 z;
  memcpy(&z, parts, sizeof z);
  return z;
}
TVI_SCALAR tvi_c128 tvi_c128_of(double real, double imag) {
  const double parts[2] = {real, imag};
  tvi_c128 z;
  memcpy(&z, parts, sizeof z);
  return z;
}

/* bool and integers ---------------------------------------------------------------------------- */

/* W is unsigned and as wide as T or int: products in it wrap without overflow. */
#define TVI_OF_ANY_INTEGER(tag, T)                                   \
  TVI_SCALAR T tvi_floor_##tag(T x) { return x; }                    \
  TVI_SCALAR T tvi_conj_##tag(T x) { return x; }                     \
  TVI_SCALAR T tvi_real_##tag(T x) { return x; }                     \
  TVI_SCALAR T tvi_imag_##tag(T x) { return (T)((void)x, 0); }       \
  TVI_SCALAR bool tvi_isnan_##tag(T x) { return (void)x, false; }    \
  TVI_SCALAR bool tvi_isinf_##tag(T x) { return (void)x, false; }    \
  TVI_SCALAR bool tvi_isfinite_##tag(T x) { return (void)x, true; }  \
  TVI_SCALAR T tvi_maximum_##tag(T a, T b) { return a > b ? a : b; } \
  TVI_SCALAR T tvi_minimum_##tag(T a, T b) { return a < b ? a : b; }

#define TVI_OF_INTEGER(tag, T, W)                                     \
  TVI_OF_ANY_INTEGER(tag, T)                                          \
  TVI_SCALAR T tvi_pow_##tag(T a, T b) {                              \
    W result = 1, base = (W)a;                                        \
    if (b < 1) return (T)(b == 0); /* refused before it comes here */ \
    for (uint64_t n = (uint64_t)b; n; n >>= 1, base *= base)          \
      if (n & 1) result *= base;                                      \
    return (T)result;                                                 \
  }

#define TVI_OF_SIGNED(tag, T, W)                                                   \
  TVI_OF_INTEGER(tag, T, W)                                                        \
  TVI_SCALAR T tvi_abs_##tag(T x) { return (T)(x < 0 ? -x : x); }                  \
  TVI_SCALAR T tvi_sign_##tag(T x) { return (T)((x > 0) - (x < 0)); }              \
  /* The most negative number over -1 has no quotient in C: it wraps to itself. */ \
  TVI_SCALAR T tvi_floor_divide_##tag(T a, T b) {                                  \
    if (b == 0 || b == -1) return (T)(b ? -a : 0);                                 \
    const T quotient = (T)(a / b);                                                 \
    return (T)(quotient - ((a % b != 0) & ((a < 0) != (b < 0))));                  \
  }                                                                                \
  TVI_SCALAR T tvi_remainder_##tag(T a, T b) {                                     \
    if (b == 0 || b == -1) return 0;                                               \
    const T rest = (T)(a % b);                                                     \
    return (T)(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);              \
  }

#define TVI_OF_UNSIGNED(tag, T, W)                                             \
  TVI_OF_INTEGER(tag, T, W)                                                    \
  TVI_SCALAR T tvi_abs_##tag(T x) { return x; }                                \
  TVI_SCALAR T tvi_sign_##tag(T x) { return (T)(x != 0); }                     \
  TVI_SCALAR T tvi_floor_divide_##tag(T a, T b) { return (T)(b ? a / b : 0); } \
  TVI_SCALAR T tvi_remainder_##tag(T a, T b) { return (T)(b ? a % b : 0); }

TVI_OF_ANY_INTEGER(b1, bool)
TVI_SCALAR bool tvi_abs_b1(bool x) { return x; }
TVI_OF_SIGNED(i8, int8_t, uint32_t)
TVI_OF_SIGNED(i16, int16_t, uint32_t)
TVI_OF_SIGNED(i32, int32_t, uint32_t)
TVI_OF_SIGNED(i64, int64_t, uint64_t)
TVI_OF_UNSIGNED(u8, uint8_t, uint32_t)
TVI_OF_UNSIGNED(u16, uint16_t, uint32_t)
TVI_OF_UNSIGNED(u32, uint32_t, uint32_t)
TVI_OF_UNSIGNED(u64, uint64_t, uint64_t)

/* float and double ----------------------------------------------------------------------------- */

/* s is the suffix of libm, T the type, B its bits, bits_of and of the way there and back. */
#define TVI_OF_FLOAT_PARTS(tag, T, s)                                        \
  TVI_SCALAR T tvi_sqrt_##tag(T x) { return sqrt##s(x); }                    \
  TVI_SCALAR T tvi_floor_##tag(T x) { return floor##s(x); }                  \
  TVI_SCALAR T tvi_abs_##tag(T x) { return fabs##s(x); }                     \
  TVI_SCALAR T tvi_conj_##tag(T x) { return x; }                             \
  TVI_SCALAR T tvi_real_##tag(T x) { return x; }                             \
  TVI_SCALAR T tvi_imag_##tag(T x) { return (T)((void)x, 0); }               \
  TVI_SCALAR bool tvi_isnan_##tag(T x) { return x != x; }                    \
  TVI_SCALAR bool tvi_isinf_##tag(T x) { return fabs##s(x) == (T)INFINITY; } \
  TVI_SCALAR bool tvi_isfinite_##tag(T x) { return fabs##s(x) < (T)INFINITY; }

#define TVI_OF_FLOAT(tag, T, s, bits_of, of)                                               \
  TVI_OF_FLOAT_PARTS(tag, T, s)                                                            \
  /* +-0 gives +0, NaN stays. */                                                           \
  TVI_SCALAR T tvi_sign_##tag(T x) { return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x; }     \
  /* Equal numbers differ at most in the sign of zero; NaN b is not below a, and stays. */ \
  TVI_SCALAR T tvi_maximum_##tag(T a, T b) {                                               \
    const T other = a == b ? of(bits_of(a) & bits_of(b)) : b;                              \
    const T larger = a > other ? a : other;                                                \
    return a != a ? a : larger;                                                            \
  }                                                                                        \
  TVI_SCALAR T tvi_minimum_##tag(T a, T b) {                                               \
    const T other = a == b ? of(bits_of(a) | bits_of(b)) : b;                              \
    const T smaller = a < other ? a : other;                                               \
    return a != a ? a : smaller;                                                           \
  }                                                                                        \
  /* As NumPy's npy_divmod, but for infinities, which follow the array API. */             \
  TVI_SCALAR T tvi_floor_divide_##tag(T a, T b) {                                          \
    if (b == 0 || tvi_isinf_##tag(a) || tvi_isinf_##tag(b)) return a / b;                  \
    const T rest = fmod##s(a, b);                                                          \
    T quotient = (a - rest) / b;                                                           \
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;                                 \
    if (quotient == 0) return copysign##s((T)0, a / b);                                    \
    const T whole = floor##s(quotient);                                                    \
    return 2 * (quotient - whole) > 1 ? whole + 1 : whole;                                 \
  }                                                                                        \
  TVI_SCALAR T tvi_remainder_##tag(T a, T b) {                                             \
    const T rest = fmod##s(a, b);                                                          \
    if (rest == 0) return copysign##s((T)0, b);                                            \
    return (b < 0) != (rest < 0) ? rest + b : rest;                                        \
  }

TVI_SCALAR double tvi_pow_f64(double a, double b) { return pow(a, b); }
TVI_OF_FLOAT(f32, float, f, tvi_bits_of, tvi_float_of)
TVI_OF_FLOAT(f64, double, , tvi_wide_bits_of, tvi_double_of)

/* complex -------------------------------------------------------------------------------------- */

#define TVI_OF_COMPLEX_PARTS(tag, Z, T, s, of)                                         \
  TVI_SCALAR Z tvi_sqrt_##tag(Z x) { return csqrt##s(x); }                             \
  TVI_SCALAR Z tvi_exp_##tag(Z x) { return cexp##s(x); }                               \
  TVI_SCALAR Z tvi_log_##tag(Z x) { return clog##s(x); }                               \
  TVI_SCALAR Z tvi_sin_##tag(Z x) { return csin##s(x); }                               \
  TVI_SCALAR Z tvi_cos_##tag(Z x) { return ccos##s(x); }                               \
  TVI_SCALAR Z tvi_tanh_##tag(Z x) { return ctanh##s(x); }                             \
  TVI_SCALAR T tvi_real_##tag(Z x) { return creal##s(x); }                             \
  TVI_SCALAR T tvi_imag_##tag(Z x) { return cimag##s(x); }                             \
  TVI_SCALAR Z tvi_conj_##tag(Z x) { return of(creal##s(x), -cimag##s(x)); }           \
  TVI_SCALAR T tvi_abs_##tag(Z x) { return hypot##s(creal##s(x), cimag##s(x)); }       \
  TVI_SCALAR bool tvi_isnan_##tag(Z x) { return x != x; }                              \
  TVI_SCALAR bool tvi_isinf_##tag(Z x) {                                               \
    return fabs##s(creal##s(x)) == (T)INFINITY || fabs##s(cimag##s(x)) == (T)INFINITY; \
  }                                                                                    \
  TVI_SCALAR bool tvi_isfinite_##tag(Z x) {                                            \
    return fabs##s(creal##s(x)) < (T)INFINITY && fabs##s(cimag##s(x)) < (T)INFINITY;   \
  }

#define TVI_OF_COMPLEX(tag, Z, T, s, of)                                                      \
  TVI_OF_COMPLEX_PARTS(tag, Z, T, s, of)                                                      \
  /* e^z - 1 = (e^x - 1) cos y - 2 sin^2 (y / 2) + i e^x sin y */                             \
  TVI_SCALAR Z tvi_expm1_##tag(Z z) {                                                         \
    const T x = creal##s(z), y = cimag##s(z);                                                 \
    if (!tvi_isfinite_##tag(z) || x > 80) return cexp##s(z) - 1;                              \
    const T half = sin##s(y / 2);                                                             \
    return of(expm1##s(x) * cos##s(y) - 2 * half * half, y == 0 ? y : exp##s(x) * sin##s(y)); \
  }                                                                                           \
  /* |1 + z|^2 - 1 = x (2 + x) + y^2, which keeps its digits near 0. */                       \
  TVI_SCALAR Z tvi_log1p_##tag(Z z) {                                                         \
    const T x = creal##s(z), y = cimag##s(z);                                                 \
    if (!(2 * fabs##s(x) < 1 && 2 * fabs##s(y) < 1)) return clog##s(of(1 + x, y));            \
    return of(log1p##s(x * (2 + x) + y * y) / 2, atan2##s(y, 1 + x));                         \
  }                                                                                           \
  /* Infinite parts count as 1, finite ones beside them as 0; a quarter cannot overflow. */   \
  TVI_SCALAR Z tvi_sign_##tag(Z z) {                                                          \
    T x = creal##s(z), y = cimag##s(z);                                                       \
    if (x == 0 && y == 0) return of(0, 0);                                                    \
    if (tvi_isnan_##tag(z)) return of(x + y, x + y);                                          \
    if (tvi_isinf_##tag(z)) {                                                                 \
      x = copysign##s((T)(fabs##s(x) == (T)INFINITY), x);                                     \
      y = copysign##s((T)(fabs##s(y) == (T)INFINITY), y);                                     \
    }                                                                                         \
    int exponent;                                                                             \
    frexp##s(fmax##s(fabs##s(x), fabs##s(y)), &exponent);                                     \
    x = ldexp##s(x, -exponent), y = ldexp##s(y, -exponent);                                   \
    const T length = hypot##s(x, y);                                                          \
    return of(x / length, y / length);                                                        \
  }                                                                                           \
  /* Whole exponents up to 100 by squaring, which is exact where the products are. */         \
  TVI_SCALAR Z tvi_pow_##tag(Z a, Z b) {                                                      \
    const T x = creal##s(b), y = cimag##s(b);                                                 \
    if (x == 0 && y == 0) return of(1, 0);                                                    \
    if (creal##s(a) == 0 && cimag##s(a) == 0)                                                 \
      return x > 0 && y == 0 ? of(0, 0) : of((T)NAN, (T)NAN);                                 \
    if (y != 0 || floor##s(x) != x || !(fabs##s(x) <= 100)) return cpow##s(a, b);             \
    Z result = 1, base = a;                                                                   \
    for (int n = (int)fabs##s(x); n; n >>= 1, base = n ? base * base : base)                  \
      if (n & 1) result = result * base;                                                      \
    return x < 0 ? 1 / result : result;                                                       \
  }

TVI_OF_COMPLEX(c64, tvi_c64, float, f, tvi_c64_of)
TVI_OF_COMPLEX(c128, tvi_c128, double, , tvi_c128_of)

/* Chosen by the type of the first argument ----------------------------------------------------- */

#ifdef __cplusplus

/* clang-format off */
#define TVI_INTEGERS_(M, f)                                                  \
  M(f, i8, int8_t) M(f, i16, int16_t) M(f, i32, int32_t) M(f, i64, int64_t)  \
  M(f, u8, uint8_t) M(f, u16, uint16_t) M(f, u32, uint32_t) M(f, u64, uint64_t)
#define TVI_SINGLE_(M, f) M(f, f32, float) M(f, f64, double)
#define TVI_COMPLEX_(M, f) M(f, c64, tvi_c64) M(f, c128, tvi_c128)
#define TVI_REAL_(M, f) TVI_INTEGERS_(M, f) TVI_SINGLE_(M, f)
#define TVI_ORDERED_(M, f) M(f, b1, bool) TVI_REAL_(M, f)
#define TVI_NUMBER_(M, f) TVI_REAL_(M, f) TVI_COMPLEX_(M, f)
#define TVI_ANY_(M, f) TVI_ORDERED_(M, f) TVI_COMPLEX_(M, f)
#define TVI_FLOATING_(M, f) TVI_SINGLE_(M, f) TVI_COMPLEX_(M, f)
/* clang-format on */
#define TVI_OF_X_(f, tag, T) \
  TVI_SCALAR auto f(T x) { return f##_##tag(x); }
#define TVI_OF_A_B_(f, tag, T) \
  TVI_SCALAR T f(T a, T b) { return f##_##tag(a, b); }

TVI_FLOATING_(TVI_OF_X_, tvi_sqrt)
TVI_FLOATING_(TVI_OF_X_, tvi_exp)
TVI_FLOATING_(TVI_OF_X_, tvi_expm1)
TVI_FLOATING_(TVI_OF_X_, tvi_log)
TVI_FLOATING_(TVI_OF_X_, tvi_log1p)
TVI_FLOATING_(TVI_OF_X_, tvi_sin)
TVI_FLOATING_(TVI_OF_X_, tvi_cos)
TVI_FLOATING_(TVI_OF_X_, tvi_tanh)
TVI_SINGLE_(TVI_OF_X_, tvi_sigmoid)
TVI_NUMBER_(TVI_OF_X_, tvi_sign)
TVI_ORDERED_(TVI_OF_X_, tvi_floor)
TVI_ANY_(TVI_OF_X_, tvi_conj)
TVI_ANY_(TVI_OF_X_, tvi_abs)
TVI_ANY_(TVI_OF_X_, tvi_real)
TVI_ANY_(TVI_OF_X_, tvi_imag)
TVI_ANY_(TVI_OF_X_, tvi_isnan)
TVI_ANY_(TVI_OF_X_, tvi_isinf)
TVI_ANY_(TVI_OF_X_, tvi_isfinite)
TVI_REAL_(TVI_OF_A_B_, tvi_floor_divide)
TVI_REAL_(TVI_OF_A_B_, tvi_remainder)
TVI_NUMBER_(TVI_OF_A_B_, tvi_pow)
TVI_ORDERED_(TVI_OF_A_B_, tvi_maximum)
TVI_ORDERED_(TVI_OF_A_B_, tvi_minimum)

#else

/* clang-format off */
#define TVI_INTEGERS_(f)                                                                 \
  int8_t: f##_i8, int16_t: f##_i16, int32_t: f##_i32, int64_t: f##_i64,                  \
  uint8_t: f##_u8, uint16_t: f##_u16, uint32_t: f##_u32, uint64_t: f##_u64
#define TVI_SINGLE_(f) float: f##_f32, double: f##_f64
#define TVI_COMPLEX_(f) tvi_c64: f##_c64, tvi_c128: f##_c128
#define TVI_ANY_(f, x) _Generic((x), bool: f##_b1, TVI_INTEGERS_(f), TVI_SINGLE_(f), TVI_COMPLEX_(f))
#define TVI_NUMBER_(f, x) _Generic((x), TVI_INTEGERS_(f), TVI_SINGLE_(f), TVI_COMPLEX_(f))
#define TVI_ORDERED_(f, x) _Generic((x), bool: f##_b1, TVI_INTEGERS_(f), TVI_SINGLE_(f))
#define TVI_REAL_(f, x) _Generic((x), TVI_INTEGERS_(f), TVI_SINGLE_(f))
#define TVI_FLOATING_(f, x) _Generic((x), TVI_SINGLE_(f), TVI_COMPLEX_(f))
/* clang-format on */

#define tvi_sqrt(x) TVI_FLOATING_(tvi_sqrt, x)(x)
#define tvi_exp(x) TVI_FLOATING_(tvi_exp, x)(x)
#define tvi_expm1(x) TVI_FLOATING_(tvi_expm1, x)(x)
#define tvi_log(x) TVI_FLOATING_(tvi_log, x)(x)
#define tvi_log1p(x) TVI_FLOATING_(tvi_log1p, x)(x)
#define tvi_sin(x) TVI_FLOATING_(tvi_sin, x)(x)
#define tvi_cos(x) TVI_FLOATING_(tvi_cos, x)(x)
#define tvi_tanh(x) TVI_FLOATING_(tvi_tanh, x)(x)
#define tvi_sigmoid(x) _Generic((x), TVI_SINGLE_(tvi_sigmoid))(x)
#define tvi_sign(x) TVI_NUMBER_(tvi_sign, x)(x)
#define tvi_floor(x) TVI_ORDERED_(tvi_floor, x)(x)
#define tvi_conj(x) TVI_ANY_(tvi_conj, x)(x)
#define tvi_abs(x) TVI_ANY_(tvi_abs, x)(x)
#define tvi_real(x) TVI_ANY_(tvi_real, x)(x)
#define tvi_imag(x) TVI_ANY_(tvi_imag, x)(x)
#define tvi_isnan(x) TVI_ANY_(tvi_isnan, x)(x)
#define tvi_isinf(x) TVI_ANY_(tvi_isinf, x)(x)
#define tvi_isfinite(x) TVI_ANY_(tvi_isfinite, x)(x)
#define tvi_floor_divide(a, b) TVI_REAL_(tvi_floor_divide, a)(a, b)
#define tvi_remainder(a, b) TVI_REAL_(tvi_remainder, a)(a, b)
#define tvi_pow(a, b) TVI_NUMBER_(tvi_pow, a)(a, b)
#define tvi_maximum(a, b) TVI_ORDERED_(tvi_maximum, a)(a, b)
#define tvi_minimum(a, b) TVI_ORDERED_(tvi_minimum, a)(a, b)

#endif

#endif
