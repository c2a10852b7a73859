# SPDX-License-Identifier: MIT
"""Comparisons that say what is wrong: dtype, shape, and the first element that differs."""

import numpy as np

import tensorvar_array as xp
from numbers_of import numpy_of, storage


def _first(wrong, got, want, what, inputs):
    at = tuple(int(k) for k in np.argwhere(wrong)[0])
    seen = [str(np.broadcast_to(x, wrong.shape)[at]) for x in inputs]
    raise AssertionError(f"{what}: at {list(at)} of {int(wrong.sum())} wrong: got {got[at]!r}, want {want[at]!r}"
                         + (f", from {', '.join(seen)}" if seen else ""))


def same_bits(got, want):
    """Elementwise: equal, zeros with their signs; all NaN are alike."""
    def parts(a, b):
        return ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))

    if got.dtype.kind == "c":
        return parts(got.real, want.real) & parts(got.imag, want.imag)
    return parts(got, want) if got.dtype.kind == "f" else got == want


def equal(x, want, name=None, what="", inputs=()):
    """The array x has this dtype, shape and bits."""
    want = np.asarray(want)
    got = numpy_of(x)
    assert x.dtype.name == (name or want.dtype.name), f"{what}: dtype {x.dtype.name}, want {name or want.dtype.name}"
    assert x.shape == want.shape, f"{what}: shape {x.shape}, want {want.shape}"
    wrong = ~same_bits(got, want.astype(got.dtype))
    if wrong.any():
        _first(wrong, got, want, what, inputs)


def _ulp(size, name):
    """Distance of neighbours at a magnitude."""
    limits = xp.finfo(xp.BY_NAME[name])
    top = np.minimum(np.maximum(size, limits.smallest_normal), limits.max)
    return np.ldexp(np.ones_like(top), np.frexp(top)[1] - 1) * limits.eps



def close(x, want, name, ulps, what="", inputs=(), growth=0):
    """The array x has this dtype and shape and lies within so many ulps of the wider `want`."""
    got = numpy_of(x)
    assert x.dtype.name == name, f"{what}: dtype {x.dtype.name}, want {name}"
    assert x.shape == want.shape, f"{what}: shape {x.shape}, want {want.shape}"
    narrow = storage(name)
    if narrow.kind == "c":
        part = "float32" if name == "complex64" else "float64"
        wide = got.astype(want.dtype)
        size = np.where(np.isfinite(want), np.abs(np.where(np.isfinite(want), want, 0)), 0)
        error = np.abs(np.where(np.isfinite(want) & np.isfinite(wide), wide - want, 0))
        near = error <= (ulps + growth) * _ulp(size, part)
        rounded = want.astype(narrow)
        exact = np.isfinite(rounded)
        ok = np.where(exact, near & np.isfinite(got), _alike(got, rounded))
    else:
        wide = got.astype(want.dtype)
        nan = np.isnan(want) | np.isnan(wide)
        largest = np.longdouble(xp.finfo(xp.BY_NAME[name]).max) if want.dtype == np.longdouble else xp.finfo(
            xp.BY_NAME[name]).max
        beyond = largest + _ulp(np.asarray(largest, want.dtype), name)
        a, b = np.clip(wide, -beyond, beyond), np.clip(want, -beyond, beyond)
        near = np.abs(np.where(nan, 0, a - b)) <= ulps * _ulp(np.abs(np.where(nan, 0, b)), name)
        zero = (want != 0) | (np.signbit(got) == np.signbit(want))
        ok = np.where(nan, np.isnan(want) & np.isnan(wide), near & zero)
    if not ok.all():
        _first(~ok, got, want, what, inputs)


def _alike(got, want):
    """Complex numbers that are not finite: infinite alike, or NaN both; Annex G leaves the rest open."""
    infinite = np.isinf(got.real) | np.isinf(got.imag), np.isinf(want.real) | np.isinf(want.imag)
    return np.where(infinite[1], infinite[0], ~np.isfinite(got) & ~infinite[0])
