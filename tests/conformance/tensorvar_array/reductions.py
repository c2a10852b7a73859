# SPDX-License-Identifier: MIT
"""Reductions, products of matrices, softmax and the loss."""

import ctypes

from . import native
from .array import of
from .manipulation import _axes


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("keepdims", ctypes.c_bool), ("dtype", ctypes.c_int)]


def _reduce(name, x, axis, keepdims, dtype=None):
    options = Options(ctypes.sizeof(Options), keepdims, -1 if dtype is None else dtype.number)
    text = (f"&(tv_reduce_options){{sizeof(tv_reduce_options), {'true' if keepdims else 'false'}, "
            f"{dtype.c_name if dtype else 'TV_DTYPE_NONE'}}}")
    return of(f"tv_{name}_with", x, _axes(axis), native.Struct(options, text))


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    return _reduce("sum", x, axis, keepdims, dtype)


def mean(x, /, *, axis=None, keepdims=False):
    return _reduce("mean", x, axis, keepdims)


def max(x, /, *, axis=None, keepdims=False):
    return _reduce("max", x, axis, keepdims)


def min(x, /, *, axis=None, keepdims=False):
    return _reduce("min", x, axis, keepdims)


def argmax(x, /, *, axis=None, keepdims=False):
    return _reduce("argmax", x, axis, keepdims)


def argmin(x, /, *, axis=None, keepdims=False):
    return _reduce("argmin", x, axis, keepdims)


def matmul(x1, x2, /):
    return of("tv_matmul", x1, x2)


def softmax(x, axis=-1):
    return of("tv_softmax", x, axis)


def log_softmax(x, axis=-1):
    return of("tv_log_softmax", x, axis)


def softmax_cross_entropy(logits, labels):
    return of("tv_softmax_cross_entropy", logits, labels)


__all__ = ["sum", "mean", "max", "min", "argmax", "argmin", "matmul", "softmax", "log_softmax",
           "softmax_cross_entropy"]
