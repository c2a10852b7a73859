# SPDX-License-Identifier: MIT
"""Functions about dtypes: conversion, promotion, limits."""

from types import SimpleNamespace

from . import native
from .array import Array, of, operand
from .creation import zeros
from .dtypes import BY_NAME, DType, isdtype

_FLOATS = {  # bits of the fraction and of the exponent
    "float16": (10, 5), "bfloat16": (7, 8), "float32": (23, 8), "float64": (52, 11),
}


def astype(x, dtype, /, *, copy=True, device=None):
    y = of("tv_astype", x, dtype)
    return y if device is None else y.to_device(device)


def can_cast(from_, to, /):
    return bool(native.lib.tv_can_cast((from_.dtype if isinstance(from_, Array) else from_).number, to.number, 0))


def result_type(*arrays_and_dtypes):
    if not arrays_and_dtypes:
        raise ValueError("result_type of nothing")
    arrays = [zeros((), dtype=x) if isinstance(x, DType) else operand(x) for x in arrays_and_dtypes]
    with native.Scope():
        handles = [x.handle if isinstance(x, Array) else x.arguments()[0] for x in arrays]
        number = native.lib.tv_result_type(len(handles), _addresses(handles))
    native.raise_failure()
    return next(d for d in BY_NAME.values() if d.number == number)


def _addresses(handles):
    import ctypes

    return (ctypes.c_void_p * len(handles))(*handles)


def finfo(type, /):
    dtype = type.dtype if isinstance(type, Array) else type
    if not isdtype(dtype, ("real floating", "complex floating")):
        raise ValueError(f"finfo: {dtype}")
    if dtype.kind == "c":
        dtype = BY_NAME["float32" if dtype.itemsize == 8 else "float64"]
    fraction, exponent = _FLOATS[dtype.name]
    top = 2 ** (exponent - 1) - 1
    largest = (2 - 2.0**-fraction) * 2.0**top
    return SimpleNamespace(bits=8 * dtype.itemsize, eps=2.0**-fraction, max=largest, min=-largest,
                           smallest_normal=2.0 ** (1 - top), dtype=dtype)


def iinfo(type, /):
    dtype = type.dtype if isinstance(type, Array) else type
    if not isdtype(dtype, "integral"):
        raise ValueError(f"iinfo: {dtype}")
    bits = 8 * dtype.itemsize
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)
    return SimpleNamespace(bits=bits, min=low, max=high, dtype=dtype)


__all__ = ["astype", "can_cast", "result_type", "finfo", "iinfo", "isdtype"]
