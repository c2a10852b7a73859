# SPDX-License-Identifier: MIT
"""Between the library's arrays and NumPy's. NumPy has no bfloat16: its numbers are float32's here."""

import numpy as np

import tensorvar_array as xp

ALL = [name for name in xp.BY_NAME]
NUMPYS = [name for name in ALL if name != "bfloat16"]
REAL = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = [name for name in ALL if name.startswith(("int", "uint"))]


def storage(name):
    """NumPy's dtype for the numbers of ours."""
    return np.dtype("float32" if name == "bfloat16" else name)


def _to_odd(x):
    """float64 to float32, inexact ones to the odd neighbour: a second rounding is then right."""
    y = x.astype(np.float32)
    y = np.where(np.abs(y.astype(np.float64)) > np.abs(x), np.nextafter(y, np.float32(0)), y)
    bits = y.view(np.uint32) | (np.isfinite(x) & (y.astype(np.float64) != x)).astype(np.uint32)
    return bits.view(np.float32)


def rounded(x, name):
    """Numbers rounded once to a floating dtype."""
    x = np.asarray(x)
    if name != "bfloat16":
        return x.astype(name)
    if x.dtype == np.longdouble:
        x = x.astype(np.float64)
    x = np.array(_to_odd(x) if x.dtype == np.float64 else x.astype(np.float32))
    bits = np.atleast_1d(x).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), np.float32(np.nan), bits.view(np.float32).reshape(x.shape))


def array_of(x, name=None):
    """The library's array of NumPy's numbers."""
    x = np.asarray(x)
    name = name or x.dtype.name
    if name == "bfloat16":
        x = (np.atleast_1d(np.asarray(x, np.float32)).view(np.uint32) >> 16).astype(np.uint16).reshape(x.shape)
    return xp.from_bytes(x.tobytes(), xp.BY_NAME[name], x.shape)


def numpy_of(x):
    """NumPy's array of the library's numbers."""
    if x.dtype.name == "bfloat16":
        bits = np.frombuffer(x.tobytes(), np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(x.shape)
    return np.frombuffer(x.tobytes(), x.dtype.name).reshape(x.shape)


def as_numpy_promotes(names):
    """The dtype in which dtypes meet in NumPy; bfloat16 as float16, with which it meets in float32."""
    if "bfloat16" not in names:
        return np.result_type(*names).name
    if "float16" in names or "complex64" in names:
        return np.result_type(*["float32" if n in ("bfloat16", "float16") else n for n in names]).name
    found = np.result_type(*["float16" if n == "bfloat16" else n for n in names]).name
    return "bfloat16" if found == "float16" else found
