# SPDX-License-Identifier: MIT
"""Arrays out of numbers, lists and buffers, and those that a rule fills."""

import struct

from . import native, recorder
from .array import Array, of
from .dtypes import BY_NAME, DEFAULT

_CODES = {"bool": "?", "int64": "q", "uint64": "Q", "float64": "d", "complex128": "d"}
_BUFFERS = {"?": "bool", "b": "int8", "h": "int16", "i": "int32", "l": "int64", "q": "int64", "B": "uint8",
            "H": "uint16", "I": "uint32", "L": "uint64", "Q": "uint64", "e": "float16", "f": "float32",
            "d": "float64", "Zf": "complex64", "Zd": "complex128"}


def from_bytes(data, dtype, shape):
    """A copy of bytes in C order."""
    return of("tv_tensor_from_memory", recorder.Data(bytes(data), dtype), dtype, native.Sizes(shape), None)


def _shape_of(nested):
    if isinstance(nested, Array):
        return nested.shape
    if not isinstance(nested, (list, tuple)):
        return ()
    inner = {_shape_of(one) for one in nested}
    if len(inner) > 1:
        raise ValueError("rows of different lengths")
    return (len(nested), *(inner.pop() if inner else ()))


def _flat(nested):
    if isinstance(nested, Array):
        nested = nested.tolist()
    if not isinstance(nested, (list, tuple)):
        yield nested
        return
    for one in nested:
        yield from _flat(one)


def _kind_of(values):
    kinds = {type(v) for v in values}
    if kinds - {bool, int, float, complex}:
        raise TypeError(f"no numbers: {kinds}")
    for kind, name in ((complex, "complex128"), (float, "float64")):
        if kind in kinds:
            return name
    if int in kinds:
        return "uint64" if any(v >= 2**63 for v in values) else "int64"
    return "bool" if bool in kinds else "float64"


def _from_lists(nested):
    shape, values = _shape_of(nested), list(_flat(nested))
    name = _kind_of(values)
    if name == "complex128":
        values = [part for v in values for part in (complex(v).real, complex(v).imag)]
    try:
        data = struct.pack(f"{len(values)}{_CODES[name]}", *values)
    except struct.error as error:
        raise OverflowError(str(error)) from None
    return from_bytes(data, BY_NAME[name], shape)


def _from_buffer(obj):
    view = memoryview(obj)
    return from_bytes(view.tobytes(), BY_NAME[_BUFFERS[view.format]], view.shape)


def asarray(obj, /, *, dtype=None, device=None, copy=None):
    if isinstance(obj, Array):
        x = obj
    elif isinstance(obj, (bool, int, float, complex, list, tuple)):
        if copy is False:
            raise ValueError("numbers and lists are copied")
        x = _from_lists(obj)
    else:
        if copy is False:
            raise ValueError("buffers are copied")
        x = _from_buffer(obj)
    if dtype is not None and x.dtype is not dtype:
        if copy is False:
            raise ValueError("another dtype is a copy")
        x = of("tv_astype", x, dtype)
    if isinstance(obj, Array) and copy and x is obj:
        x = from_bytes(x.tobytes(), x.dtype, x.shape)
    return x if device is None else x.to_device(device)


def from_dlpack(x, /, *, device=None, copy=None):
    from . import dlpack

    y = dlpack.array_of(x)
    return y if device is None else y.to_device(device)


def _sizes(shape):
    return native.Sizes((shape,) if isinstance(shape, int) or hasattr(shape, "__index__") else shape)


def _on(x, device):
    return x if device is None else x.to_device(device)


def zeros(shape, *, dtype=None, device=None):
    return _on(of("tv_zeros", dtype or DEFAULT["real floating"], _sizes(shape)), device)


def ones(shape, *, dtype=None, device=None):
    return _on(of("tv_ones", dtype or DEFAULT["real floating"], _sizes(shape)), device)


empty = zeros


def full(shape, fill_value, *, dtype=None, device=None):
    value = native.Scalar(fill_value)
    number = -1 if dtype is None else dtype
    return _on(of("tv_full", number, _sizes(shape), value), device)


def zeros_like(x, /, *, dtype=None, device=None):
    y = of("tv_zeros_like", x) if dtype is None else zeros(x.shape, dtype=dtype)
    return _on(y, device)


def ones_like(x, /, *, dtype=None, device=None):
    y = of("tv_ones_like", x) if dtype is None else ones(x.shape, dtype=dtype)
    return _on(y, device)


empty_like = zeros_like


def full_like(x, /, fill_value, *, dtype=None, device=None):
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device)


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    start, stop = (0, start) if stop is None else (start, stop)
    number = -1 if dtype is None else dtype
    if all(isinstance(v, int) for v in (start, stop, step)):
        return _on(of("tv_arange_int", number, start, stop, step), device)
    return _on(of("tv_arange", number, float(start), float(stop), float(step)), device)


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    number = -1 if dtype is None else dtype
    if isinstance(start, complex) or isinstance(stop, complex):
        raise TypeError("linspace: the library's takes real numbers")
    if not endpoint:  # the last of one more is left out
        x = of("tv_linspace", number, float(start), float(stop), num + 1)
        return _on(x[:-1], device)
    return _on(of("tv_linspace", number, float(start), float(stop), num), device)


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    dtype = dtype or DEFAULT["real floating"]
    return _on(of("tv_eye", dtype, n_rows, n_rows if n_cols is None else n_cols, k), device)


__all__ = ["asarray", "from_dlpack", "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like",
           "full_like", "arange", "linspace", "eye", "from_bytes"]
