# SPDX-License-Identifier: MIT
"""Products and quotients of complex numbers by the recommendation of C99 Annex G (G.5.1)."""

import numpy as np


def _boxed(infinite, x):
    """Infinite parts count as 1, others as 0."""
    return np.copysign(infinite.astype(x.dtype), x)


def _zeroed(x):
    return np.where(np.isnan(x), np.copysign(x.dtype.type(0), x), x)


def _joined(x, y, dtype):
    z = np.empty(np.broadcast(x, y).shape, dtype)
    z.real, z.imag = x, y
    return z


def multiply(z, w):
    z, w = np.broadcast_arrays(z, w)
    a, b, c, d = z.real, z.imag, w.real, w.imag
    x, y = a * c - b * d, a * d + b * c
    lost = np.isnan(x) & np.isnan(y)
    z_infinite, w_infinite = np.isinf(a) | np.isinf(b), np.isinf(c) | np.isinf(d)
    overflow = np.isinf(a * c) | np.isinf(b * d) | np.isinf(a * d) | np.isinf(b * c)
    again = lost & (z_infinite | w_infinite | overflow)
    a1, b1 = (np.where(z_infinite, _boxed(np.isinf(p), p), _zeroed(p)) for p in (a, b))
    c1, d1 = (np.where(w_infinite, _boxed(np.isinf(p), p), _zeroed(p)) for p in (c, d))
    inf = z.real.dtype.type(np.inf)
    x, y = np.where(again, inf * (a1 * c1 - b1 * d1), x), np.where(again, inf * (a1 * d1 + b1 * c1), y)
    return _joined(x, y, z.dtype)


def divide(z, w):
    z, w = np.broadcast_arrays(z, w)
    a, b, c, d = z.real, z.imag, w.real, w.imag
    scale = np.fmax(np.abs(c), np.abs(d))
    exponent = np.where(np.isfinite(scale) & (scale != 0), np.frexp(scale)[1], 0)
    c1, d1 = np.ldexp(c, -exponent), np.ldexp(d, -exponent)
    norm = c1 * c1 + d1 * d1
    x, y = np.ldexp((a * c1 + b * d1) / norm, -exponent), np.ldexp((b * c1 - a * d1) / norm, -exponent)
    lost = np.isnan(x) & np.isnan(y)
    inf = z.real.dtype.type(np.inf)
    by_zero = lost & (norm == 0) & ~(np.isnan(a) & np.isnan(b))
    of_infinity = lost & ~by_zero & (np.isinf(a) | np.isinf(b)) & np.isfinite(c) & np.isfinite(d)
    by_infinity = lost & ~by_zero & ~of_infinity & np.isinf(scale) & np.isfinite(a) & np.isfinite(b)
    p, q = _boxed(np.isinf(a), a), _boxed(np.isinf(b), b)
    r, s = _boxed(np.isinf(c), c), _boxed(np.isinf(d), d)
    signed = np.copysign(inf, c)
    x = np.select([by_zero, of_infinity, by_infinity], [signed * a, inf * (p * c + q * d), 0 * (a * r + b * s)], x)
    y = np.select([by_zero, of_infinity, by_infinity], [signed * b, inf * (q * c - p * d), 0 * (b * r - a * s)], y)
    return _joined(x, y, z.dtype)
