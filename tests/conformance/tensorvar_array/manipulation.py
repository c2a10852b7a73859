# SPDX-License-Identifier: MIT
"""The same elements in another shape, parts by index, choice of axes."""

from . import native
from .array import of


def _axes(axis):
    if axis is None:
        return native.Sizes(None)
    return native.Sizes(axis if isinstance(axis, (tuple, list)) else (axis,))


def reshape(x, /, shape, *, copy=None):
    if copy is False and x.size:
        raise ValueError("reshape: whether it is a view is the library's choice")
    return of("tv_reshape", x, native.Sizes(shape))


def permute_dims(x, /, axes):
    return of("tv_permute_dims", x, native.Sizes(axes))


def matrix_transpose(x, /):
    return of("tv_matrix_transpose", x)


def broadcast_to(x, /, shape):
    return of("tv_broadcast_to", x, native.Sizes(shape))


def broadcast_arrays(*arrays):
    shape = ()
    for x in arrays:
        shape = _joined(shape, x.shape)
    return [broadcast_to(x, shape) for x in arrays]


def _joined(a, b):
    n = max(len(a), len(b))
    a, b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    if any(p != q and 1 not in (p, q) for p, q in zip(a, b)):
        raise ValueError(f"{a} and {b} do not broadcast")
    return tuple(q if p == 1 else p for p, q in zip(a, b))


def expand_dims(x, /, *, axis=0):
    return of("tv_expand_dims", x, axis)


def squeeze(x, /, axis):
    return of("tv_squeeze", x, _axes(axis))


def flip(x, /, *, axis=None):
    return of("tv_flip", x, _axes(axis))


def moveaxis(x, source, destination, /):
    source = [s % x.ndim for s in (source if isinstance(source, tuple) else (source,))]
    destination = [d % x.ndim for d in (destination if isinstance(destination, tuple) else (destination,))]
    order = [k for k in range(x.ndim) if k not in source]
    for d, s in sorted(zip(destination, source)):
        order.insert(d, s)
    return permute_dims(x, tuple(order))


def concat(arrays, /, *, axis=0):
    arrays = list(arrays)
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    return of("tv_concat", native.Handles(arrays), axis)


def stack(arrays, /, *, axis=0):
    return of("tv_stack", native.Handles(list(arrays)), axis)


def unstack(x, /, *, axis=0):
    x = moveaxis(x, axis, 0)
    return tuple(x[i, ...] for i in range(x.shape[0]))


def take(x, indices, /, *, axis=None):
    if axis is None and x.ndim != 1:
        raise ValueError("take: an axis is needed")
    return of("tv_take", x, indices, 0 if axis is None else axis)


def one_hot(indices, classes, dtype):
    return of("tv_one_hot", indices, classes, dtype)


def slice_text(x, text):
    """The part that the library's own notation names."""
    return of("tv_slice", x, text.encode())


__all__ = ["reshape", "permute_dims", "matrix_transpose", "broadcast_to", "broadcast_arrays", "expand_dims",
           "squeeze", "flip", "moveaxis", "concat", "stack", "unstack", "take", "one_hot", "slice_text"]
