# SPDX-License-Identifier: MIT
"""DLPack capsules both ways, by the library's own exchange. The GIL is held by whoever calls here; the
library's calls let go of it."""

import ctypes

from . import native
from .dtypes import ALL

_p, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p


class ImportOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("copy", ctypes.c_bool), ("require_share", ctypes.c_bool), ("guard", _int),
                ("name", _text), ("stream", _p), ("is_shared", _p)]


class ExportOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("copy", ctypes.c_bool), ("stream", _p)]


def _python(name, result, *arguments):
    """A function of Python's own C interface. Capsules go in by address: a destructor's has no reference left."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_new = _python("PyCapsule_New", ctypes.py_object, _p, _p, _p)
_is_valid = _python("PyCapsule_IsValid", _int, _p, _text)
_pointer = _python("PyCapsule_GetPointer", _p, _p, _text)
_rename = _python("PyCapsule_SetName", _int, _p, _p)

# By name: where the deleter is in the struct, the name of a capsule whose struct was taken.
_FORMS = {b"dltensor": (56, b"used_dltensor"), b"dltensor_versioned": (16, b"used_dltensor_versioned")}
_NAMES = {name: ctypes.create_string_buffer(name) for form in _FORMS.items() for name in (form[0], form[1][1])}


@ctypes.CFUNCTYPE(None, _p)
def _drop(capsule):
    """Destructor of a capsule that nobody took."""
    for name, (at, _) in _FORMS.items():
        if _is_valid(capsule, name):
            managed = _pointer(capsule, name)
            deleter = _p.from_address(managed + at).value
            ctypes.CFUNCTYPE(None, _p)(deleter)(managed)


def lend(x, legacy=False, copy=False):
    """A capsule of a tensor; None if the library refused."""
    options = ExportOptions(ctypes.sizeof(ExportOptions), copy, None)
    name = "tv_dlpack_new_legacy" if legacy else "tv_dlpack_new"
    managed = getattr(native.lib, name)(x, ctypes.cast(ctypes.byref(options), _p))
    name = b"dltensor" if legacy else b"dltensor_versioned"
    return _new(managed, ctypes.addressof(_NAMES[name]), ctypes.cast(_drop, _p)) if managed else None


def take(capsule, **options):
    """A tensor of the open scope, of a capsule; and whether it shares the producer's bytes."""
    is_shared = ctypes.c_bool()
    o = ImportOptions(size=ctypes.sizeof(ImportOptions), is_shared=ctypes.addressof(is_shared), **options)
    for name, (_, used) in _FORMS.items():
        if _is_valid(id(capsule), name):
            managed = _pointer(id(capsule), name)
            _rename(id(capsule), ctypes.addressof(_NAMES[used]))
            suffix = "" if name.endswith(b"versioned") else "_legacy"
            function = getattr(native.lib, "tv_tensor_from_dlpack" + suffix)
            return function(managed, ctypes.cast(ctypes.byref(o), _p)), is_shared.value
    raise ValueError("no capsule of DLPack")


# Of arrays


def device_of(x):
    kind, _, number = x.device.partition(":")
    return (2, int(number)) if kind == "cuda" else (1, 0)


def capsule_of(x, device=None, copy=None, max_version=None):
    if device not in (None, device_of(x)):
        raise BufferError("no copy to another device")
    capsule = lend(x.handle, max_version is None or max_version[0] < 1, bool(copy))
    native.raise_failure()
    return capsule


def array_of(obj):
    """A copy of what a producer exports: the record of an example holds its bytes."""
    from .creation import from_bytes

    try:
        capsule = obj.__dlpack__(max_version=(1, 1))
    except TypeError:  # a producer from before the array API 2023.12
        capsule = obj.__dlpack__()
    with native.Scope():
        x, _ = take(capsule)
        if x:
            n = native.lib.tv_tensor_bytes(x)
            data = ctypes.create_string_buffer(max(1, n))
            native.lib.tv_tensor_copy_out(x, data, n)
            shape = native.lib.tv_tensor_shape(x)
            shape = (ctypes.c_int64 * native.lib.tv_tensor_rank(x)).from_address(shape)[:] if shape else []
            dtype = ALL[native.lib.tv_tensor_dtype(x)]
    native.raise_failure()
    return from_bytes(data.raw[:n], dtype, tuple(shape))
