/* SPDX-License-Identifier: MIT
 * Complex numbers for scalar.h where it is compiled as C++: C++ has none that nvcc and g++ share.
 * The words are those of <complex.h> as overloads, so that scalar.h's formulas are compiled as they
 * are.
 *
 * + - * and / have the bits that gcc gives C. A product is the example of C99 Annex G.5.1; so is
 * what becomes of NaN in a quotient. A quotient of floats is computed in double; one of doubles
 * after Smith (1962), scaled as Baudin and Smith, "A robust complex division in Scilab" (2012), and
 * the comments of libgcc 12 say.
 *
 * The elementary functions follow C99 Annex G.6 in their special values, and Kahan, "Branch cuts
 * for complex elementary functions" (1987). Those of c64 are those of c128, rounded. */
#ifndef TVI_CUDA_COMPLEX_NUMBER_H
#define TVI_CUDA_COMPLEX_NUMBER_H

#include <float.h>
#include <math.h>

#include "half.h"

/* Long functions are called: inlined into every element of a vector they would be most of a
 * kernel. */
#ifdef __CUDACC__
#define TVI_CALLED __host__ __device__ __noinline__
#else
#define TVI_CALLED
#endif

template <class T>
struct alignas(2 * sizeof(T)) tvi_complex {
  T x, y; /* real, imaginary */

  tvi_complex() = default;
  TVI_MEMBER tvi_complex(T real, T imag = 0) : x(real), y(imag) {}
};
typedef tvi_complex<float> tvi_c64;
typedef tvi_complex<double> tvi_c128;

TVI_SCALAR float crealf(tvi_c64 z) { return z.x; }
TVI_SCALAR float cimagf(tvi_c64 z) { return z.y; }
TVI_SCALAR double creal(tvi_c128 z) { return z.x; }
TVI_SCALAR double cimag(tvi_c128 z) { return z.y; }

template <class T>
TVI_SCALAR bool tvi_is_nan(T x) {
  return x != x;
}
template <class T>
TVI_SCALAR bool tvi_is_infinite(T x) {
  return fabs(x) == (T)INFINITY;
}
template <class T>
TVI_SCALAR bool tvi_is_finite(T x) {
  return fabs(x) < (T)INFINITY;
}
/* An infinity as 1, what is finite as 0, with the sign kept. */
template <class T>
TVI_SCALAR T tvi_boxed(T x) {
  return copysign((T)(tvi_is_infinite(x) ? 1 : 0), x);
}
template <class T>
TVI_SCALAR T tvi_without_nan(T x) {
  return tvi_is_nan(x) ? copysign((T)0, x) : x;
}

/* A product whose parts are both NaN: infinities are recovered. */
template <class T>
TVI_CALLED tvi_complex<T> tvi_recovered_product(T a, T b, T c, T d) {
  const bool is_overflow = tvi_is_infinite(a * c) || tvi_is_infinite(b * d) ||
                           tvi_is_infinite(a * d) || tvi_is_infinite(b * c);
  const bool first = tvi_is_infinite(a) || tvi_is_infinite(b);
  if (first) {
    a = tvi_boxed(a), b = tvi_boxed(b);
    c = tvi_without_nan(c), d = tvi_without_nan(d);
  }
  const bool second = tvi_is_infinite(c) || tvi_is_infinite(d);
  if (second) {
    c = tvi_boxed(c), d = tvi_boxed(d);
    a = tvi_without_nan(a), b = tvi_without_nan(b);
  }
  if (!first && !second) {
    if (!is_overflow) return tvi_complex<T>((T)NAN, (T)NAN);
    a = tvi_without_nan(a), b = tvi_without_nan(b);
    c = tvi_without_nan(c), d = tvi_without_nan(d);
  }
  return tvi_complex<T>((T)INFINITY * (a * c - b * d), (T)INFINITY * (a * d + b * c));
}

template <class T>
TVI_SCALAR tvi_complex<T> tvi_product(tvi_complex<T> u, tvi_complex<T> v) {
  const T x = u.x * v.x - u.y * v.y, y = u.x * v.y + u.y * v.x;
  if (tvi_is_nan(x) && tvi_is_nan(y)) return tvi_recovered_product(u.x, u.y, v.x, v.y);
  return tvi_complex<T>(x, y);
}

/* A quotient whose parts are both NaN: what is not 0 over 0, infinite over finite, and finite over
 * infinite are recovered. */
template <class T>
TVI_CALLED tvi_complex<T> tvi_recovered_quotient(T a, T b, T c, T d) {
  if (c == 0 && d == 0 && (!tvi_is_nan(a) || !tvi_is_nan(b))) {
    const T infinity = copysign((T)INFINITY, c);
    return tvi_complex<T>(infinity * a, infinity * b);
  }
  if ((tvi_is_infinite(a) || tvi_is_infinite(b)) && tvi_is_finite(c) && tvi_is_finite(d)) {
    a = tvi_boxed(a), b = tvi_boxed(b);
    return tvi_complex<T>((T)INFINITY * (a * c + b * d), (T)INFINITY * (b * c - a * d));
  }
  if ((tvi_is_infinite(c) || tvi_is_infinite(d)) && tvi_is_finite(a) && tvi_is_finite(b)) {
    c = tvi_boxed(c), d = tvi_boxed(d);
    return tvi_complex<T>(0 * (a * c + b * d), 0 * (b * c - a * d));
  }
  return tvi_complex<T>((T)NAN, (T)NAN);
}

TVI_SCALAR tvi_c64 tvi_quotient(tvi_c64 u, tvi_c64 v) {
  const double a = (double)u.x, b = (double)u.y, c = (double)v.x, d = (double)v.y;
  const double size = c * c + d * d;
  const float x = (float)((a * c + b * d) / size), y = (float)((b * c - a * d) / size);
  if (tvi_is_nan(x) && tvi_is_nan(y)) return tvi_recovered_quotient(u.x, u.y, v.x, v.y);
  return tvi_c64(x, y);
}

/* (a + ib) / (c + id) for |c| >= |d|; of the other case with its parts swapped the same, up to the
 * order of a sum and a sign. */
template <class T> /* double */
TVI_CALLED tvi_complex<T> tvi_wide_quotient(tvi_complex<T> u, tvi_complex<T> v) {
  const T huge = DBL_MAX / 2, large = huge * DBL_EPSILON;
  T a = u.x, b = u.y, c = v.x, d = v.y;
  const bool is_swapped = fabs(c) < fabs(d);
  T scale = 1;
  const T longest = is_swapped ? fabs(d) : fabs(c);
  if (longest >= huge) scale = (T).5;
  a *= scale, b *= scale, c *= scale, d *= scale;
  const T length = longest * scale;
  if (length < DBL_EPSILON || (fabs(a) < DBL_MIN && fabs(b) < large && length < large) ||
      (fabs(b) < DBL_MIN && fabs(a) < large && length < large)) {
    scale = 1 / DBL_EPSILON;
    a *= scale, b *= scale, c *= scale, d *= scale;
  }
  T x, y;
  if (is_swapped) {
    const T ratio = c / d, size = c * ratio + d;
    const bool is_normal = fabs(ratio) > DBL_MIN;
    x = ((is_normal ? a * ratio : c * (a / d)) + b) / size;
    y = ((is_normal ? b * ratio : c * (b / d)) - a) / size;
  } else {
    const T ratio = d / c, size = d * ratio + c;
    const bool is_normal = fabs(ratio) > DBL_MIN;
    x = ((is_normal ? b * ratio : d * (b / c)) + a) / size;
    y = (b - (is_normal ? a * ratio : d * (a / c))) / size;
  }
  if (tvi_is_nan(x) && tvi_is_nan(y)) return tvi_recovered_quotient(a, b, c, d);
  return tvi_complex<T>(x, y);
}
TVI_SCALAR tvi_c128 tvi_quotient(tvi_c128 u, tvi_c128 v) { return tvi_wide_quotient(u, v); }

#define TVI_COMPLEX_OPERATORS(Z)                                               \
  TVI_SCALAR Z operator-(Z u) { return Z(-u.x, -u.y); }                        \
  TVI_SCALAR Z operator+(Z u, Z v) { return Z(u.x + v.x, u.y + v.y); }         \
  TVI_SCALAR Z operator-(Z u, Z v) { return Z(u.x - v.x, u.y - v.y); }         \
  TVI_SCALAR Z operator*(Z u, Z v) { return tvi_product(u, v); }               \
  TVI_SCALAR Z operator/(Z u, Z v) { return tvi_quotient(u, v); }              \
  TVI_SCALAR bool operator==(Z u, Z v) { return (u.x == v.x) & (u.y == v.y); } \
  TVI_SCALAR bool operator!=(Z u, Z v) { return (u.x != v.x) | (u.y != v.y); }
TVI_COMPLEX_OPERATORS(tvi_c64)
TVI_COMPLEX_OPERATORS(tvi_c128)

/* Elementary functions ------------------------------------------------------------------------- */

/* e^x `scale` times a number of at most 1, in steps where e^x alone would overflow. */
template <class T>
TVI_SCALAR tvi_complex<T> tvi_exp_times(T x, T scale, T cosine, T sine) {
  const T step = 709; /* e^709 is finite, and x - 709 exact */
  for (int k = 0; k < 2 && x > step; k++) {
    const T part = exp(step);
    x -= step, cosine *= part, sine *= part;
  }
  const T size = exp(x) * scale;
  return tvi_complex<T>(size * cosine, size * sine);
}

template <class T>
TVI_CALLED tvi_complex<T> tvi_wide_exp(tvi_complex<T> z) {
  if (z.y == 0) return tvi_complex<T>(exp(z.x), z.y);
  if (!tvi_is_finite(z.y)) {
    if (z.x == -(T)INFINITY) return tvi_complex<T>(0, copysign((T)0, z.y));
    return tvi_complex<T>(z.x == (T)INFINITY ? z.x : (T)NAN, (T)NAN);
  }
  if (tvi_is_nan(z.x)) return tvi_complex<T>(z.x, z.x);
  return tvi_exp_times(z.x, (T)1, cos(z.y), sin(z.y));
}

/* log |z|: near 1 from |z|^2 - 1, whose products are exact in two parts each. */
template <class T>
TVI_SCALAR T tvi_log_of_length(T x, T y) {
  T a = fmax(fabs(x), fabs(y)), b = fmin(fabs(x), fabs(y));
  if (!tvi_is_finite(a) || tvi_is_nan(x) || tvi_is_nan(y)) return log(hypot(x, y));
  const T length = hypot(a, b);
  if (length > (T).75 && length < (T)1.5) {
    const T aa = a * a, bb = b * b;
    const T head = aa - 1, sum = head + bb, back = sum - head;
    const T rest = fma(a, a, -aa) + fma(b, b, -bb) + (aa - (head + 1)); /* all exact but this */
    return log1p(sum + ((head - (sum - back)) + (bb - back) + rest)) / 2;
  }
  if (length > (T)1e300 || (length < (T)1e-290 && a > 0)) { /* overflows, or has lost digits */
    const int exponent = length > 1 ? 600 : -600;
    return log(hypot(ldexp(a, -exponent), ldexp(b, -exponent))) +
           exponent * (T)0.69314718055994530942;
  }
  return log(length);
}

template <class T>
TVI_CALLED tvi_complex<T> tvi_wide_log(tvi_complex<T> z) {
  return tvi_complex<T>(tvi_log_of_length(z.x, z.y), atan2(z.y, z.x));
}

template <class T>
TVI_CALLED tvi_complex<T> tvi_wide_sqrt(tvi_complex<T> z) {
  if (z.x == 0 && z.y == 0) return tvi_complex<T>(0, z.y);
  if (tvi_is_infinite(z.y)) return tvi_complex<T>((T)INFINITY, z.y);
  if (tvi_is_infinite(z.x)) {
    const T other = tvi_is_nan(z.y) ? z.y : copysign((T)0, z.y);
    if (z.x > 0) return tvi_complex<T>(z.x, other);
    return tvi_complex<T>(fabs(other), copysign((T)INFINITY, z.y));
  }
  if (tvi_is_nan(z.x) || tvi_is_nan(z.y)) return tvi_complex<T>((T)NAN, (T)NAN);
  /* A power of 4 that keeps hypot from overflowing, and from losing digits. */
  const T largest = fmax(fabs(z.x), fabs(z.y));
  const int half = largest > (T)1e300 ? 2 : largest < (T)1e-290 ? -54 : 0;
  const T x = ldexp(z.x, -2 * half), y = ldexp(z.y, -2 * half);
  const T size = sqrt((fabs(x) + hypot(x, y)) / 2);
  const T other = fabs(y) / (2 * size);
  const T real = ldexp(x < 0 ? other : size, half), imag = ldexp(x < 0 ? size : other, half);
  return tvi_complex<T>(real, copysign(imag, z.y));
}

/* sinh of x + iy, or cosh. From |x| = 22 on both are e^|x| / 2 to the last place. */
template <class T>
TVI_CALLED tvi_complex<T> tvi_wide_sinh_cosh(T x, T y, bool is_cosh) {
  if (tvi_is_finite(x) && tvi_is_finite(y)) {
    if (y == 0) return is_cosh ? tvi_complex<T>(cosh(x), x * y) : tvi_complex<T>(sinh(x), y);
    const T cosine = cos(y), sine = sin(y);
    if (fabs(x) < 22) {
      const T even = cosh(x), odd = sinh(x);
      return is_cosh ? tvi_complex<T>(even * cosine, odd * sine)
                     : tvi_complex<T>(odd * cosine, even * sine);
    }
    const tvi_complex<T> w = tvi_exp_times(fabs(x), (T).5, cosine, sine);
    const T sign = copysign((T)1, x);
    return is_cosh ? tvi_complex<T>(w.x, sign * w.y) : tvi_complex<T>(sign * w.x, w.y);
  }
  if (x == 0) { /* y is not finite */
    return is_cosh ? tvi_complex<T>((T)NAN, 0) : tvi_complex<T>(x, (T)NAN);
  }
  if (y == 0) { /* x is not finite */
    return is_cosh ? tvi_complex<T>(fabs(x), tvi_is_nan(x) ? y : copysign((T)1, x) * y)
                   : tvi_complex<T>(x, y);
  }
  if (tvi_is_infinite(x)) {
    if (!tvi_is_finite(y)) return tvi_complex<T>(fabs(x), (T)NAN);
    return is_cosh ? tvi_complex<T>(fabs(x) * cos(y), x * sin(y))
                   : tvi_complex<T>(x * cos(y), fabs(x) * sin(y));
  }
  return tvi_complex<T>((T)NAN, (T)NAN);
}

/* sin z = -i sinh iz and cos z = cosh iz. */
template <class T>
TVI_SCALAR tvi_complex<T> tvi_wide_sin(tvi_complex<T> z) {
  const tvi_complex<T> w = tvi_wide_sinh_cosh(z.y, z.x, false);
  return tvi_complex<T>(w.y, w.x);
}
template <class T>
TVI_SCALAR tvi_complex<T> tvi_wide_cos(tvi_complex<T> z) {
  return tvi_wide_sinh_cosh(-z.y, z.x, true);
}

template <class T>
TVI_CALLED tvi_complex<T> tvi_wide_tanh(tvi_complex<T> z) {
  if (tvi_is_nan(z.x)) return tvi_complex<T>(z.x, z.y == 0 ? z.y : z.x);
  if (tvi_is_infinite(z.x)) {
    const T turn = tvi_is_finite(z.y) ? sin(z.y) * cos(z.y) : z.y;
    return tvi_complex<T>(copysign((T)1, z.x), copysign((T)0, turn));
  }
  if (!tvi_is_finite(z.y)) return tvi_complex<T>(z.x == 0 ? z.x : (T)NAN, (T)NAN);
  if (fabs(z.x) >= 22) {
    const T small = exp(-fabs(z.x));
    return tvi_complex<T>(copysign((T)1, z.x), 4 * sin(z.y) * cos(z.y) * small * small);
  }
  const T t = tan(z.y), beta = 1 + t * t, s = sinh(z.x), rho = sqrt(1 + s * s);
  const T size = 1 + beta * s * s;
  return tvi_complex<T>(beta * rho * s / size, t / size);
}

template <class T>
TVI_SCALAR tvi_complex<T> tvi_wide_pow(tvi_complex<T> a, tvi_complex<T> b) {
  return tvi_wide_exp(tvi_product(b, tvi_wide_log(a)));
}

TVI_SCALAR tvi_c128 tvi_widened(tvi_c64 z) { return tvi_c128((double)z.x, (double)z.y); }
TVI_SCALAR tvi_c64 tvi_rounded(tvi_c128 z) { return tvi_c64((float)z.x, (float)z.y); }
#define TVI_COMPLEX_FUNCTION(name)                                       \
  TVI_SCALAR tvi_c128 c##name(tvi_c128 z) { return tvi_wide_##name(z); } \
  TVI_SCALAR tvi_c64 c##name##f(tvi_c64 z) { return tvi_rounded(tvi_wide_##name(tvi_widened(z))); }
TVI_COMPLEX_FUNCTION(sqrt)
TVI_COMPLEX_FUNCTION(exp)
TVI_COMPLEX_FUNCTION(log)
TVI_COMPLEX_FUNCTION(sin)
TVI_COMPLEX_FUNCTION(cos)
TVI_COMPLEX_FUNCTION(tanh)
TVI_SCALAR tvi_c128 cpow(tvi_c128 a, tvi_c128 b) { return tvi_wide_pow(a, b); }
TVI_SCALAR tvi_c64 cpowf(tvi_c64 a, tvi_c64 b) {
  return tvi_rounded(tvi_wide_pow(tvi_widened(a), tvi_widened(b)));
}

#endif
