# SPDX-License-Identifier: MIT
"""DLPack capsules of CPU arrays, both ways (dlpack.h of DLPack 0.8, the form without a version)."""

import ctypes

from . import native
from .dtypes import ALL

_CPU = 1
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_BFLOAT = 4


class _Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
                ("byte_offset", ctypes.c_uint64)]


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_api.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
_USED = ctypes.c_char_p(b"used_dltensor")
_NAME = ctypes.c_char_p(b"dltensor")
_lent = {}  # what a consumer holds, by the address of its struct


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _give_back(address):
    _lent.pop(address, None)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _drop(capsule):
    """Destructor of a capsule that nobody consumed."""
    borrowed = ctypes.cast(capsule, ctypes.py_object)
    if _api.PyCapsule_IsValid(borrowed, _NAME):
        _give_back(_api.PyCapsule_GetPointer(borrowed, _NAME))


def device_of(x):
    if x.device != "cpu":
        raise BufferError(f"no DLPack of {x.device}")
    return _CPU, 0


def capsule_of(x, device=None, copy=None):
    device_of(x)
    if device not in (None, (_CPU, 0)):
        raise BufferError("no copy to another device")
    if copy:
        from .creation import from_bytes

        x = from_bytes(x.tobytes(), x.dtype, x.shape)
    n = x.ndim
    steps, shape = (ctypes.c_int64 * max(1, n))(), (ctypes.c_int64 * max(1, n))(*x.shape)
    address = native.lib.tv_tensor_data_strided(x.handle, steps)
    native.raise_failure()
    strides = (ctypes.c_int64 * max(1, n))(*[s // x.dtype.itemsize for s in steps])
    code = _BFLOAT if x.dtype.name == "bfloat16" else _CODES[x.dtype.kind]
    managed = _Managed(_Tensor(address, _CPU, 0, n, code, 8 * x.dtype.itemsize, 1, ctypes.addressof(shape),
                               ctypes.addressof(strides), 0), None, ctypes.cast(_give_back, ctypes.c_void_p))
    _lent[ctypes.addressof(managed)] = (managed, shape, strides, x)
    return _api.PyCapsule_New(ctypes.addressof(managed), _NAME, ctypes.cast(_drop, ctypes.c_void_p))


def array_of(obj):
    """A copy of what a producer exports."""
    from .creation import from_bytes

    if tuple(obj.__dlpack_device__())[0] != _CPU:
        raise BufferError("only CPU memory is taken")
    capsule = obj.__dlpack__()
    managed = _Managed.from_address(_api.PyCapsule_GetPointer(capsule, _NAME))
    t = managed.tensor
    dtype = next(d for d in ALL if 8 * d.itemsize == t.bits
                 and t.code == (_BFLOAT if d.name == "bfloat16" else _CODES[d.kind]))
    shape = tuple((ctypes.c_int64 * t.ndim).from_address(t.shape)) if t.ndim else ()
    strides = _c_order(shape)
    if t.strides and t.ndim:
        strides = tuple((ctypes.c_int64 * t.ndim).from_address(t.strides))
    data = b"" if 0 in shape else _gather((t.data or 0) + t.byte_offset, shape, strides, dtype.itemsize)
    x = from_bytes(data, dtype, shape)
    if managed.deleter:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(managed.deleter)(ctypes.addressof(managed))
    _api.PyCapsule_SetName(capsule, _USED)
    return x


def _c_order(shape):
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def _gather(address, shape, strides, item):
    if strides == _c_order(shape):
        count = 1
        for n in shape:
            count *= n
        return ctypes.string_at(address, count * item)
    return b"".join(_gather(address + i * strides[0] * item, shape[1:], strides[1:], item) for i in range(shape[0]))
