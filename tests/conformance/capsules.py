# SPDX-License-Identifier: MIT
"""DLPack in Python: capsules of what the library lends, and imports of what others lend. With the
GIL held by whoever calls; the library's own calls let go of it."""

import ctypes

from library import Failure, lib

_p, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


class ImportOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("copy", ctypes.c_bool), ("require_share", ctypes.c_bool), ("guard", _int),
                ("name", _text), ("stream", _p), ("is_shared", _p)]


class ExportOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("copy", ctypes.c_bool), ("stream", _p)]


for suffix in ("", "_legacy"):
    _declare("tv_tensor_from_dlpack" + suffix, _p, _p, ctypes.POINTER(ImportOptions))
    _declare("tv_dlpack_new" + suffix, _p, _p, ctypes.POINTER(ExportOptions))
_declare("tv_tensor_data_strided", _p, _p, _p)
_declare("tv_tensor_mark_mutated", _int, _p)
_declare("tv_retain", _p, _p)
_declare("tv_release", None, _p)


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
    """A capsule of a tensor."""
    options = ExportOptions(ctypes.sizeof(ExportOptions), copy, None)
    managed = (lib.tv_dlpack_new_legacy if legacy else lib.tv_dlpack_new)(x, ctypes.byref(options))
    if not managed:
        raise Failure(lib.tv_error_text().decode())
    name = b"dltensor" if legacy else b"dltensor_versioned"
    return _new(managed, ctypes.addressof(_NAMES[name]), ctypes.cast(_drop, _p))


class Lender:
    """What consumers ask for capsules, as the array API has it."""

    def __init__(self, x):
        self.x, self.asked = x, None

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        self.asked = max_version
        assert dl_device in (None, (1, 0))
        return lend(self.x, max_version is None or max_version[0] < 1, bool(copy))


def take(capsule, **options):
    """A tensor of the open scope, of a capsule; and whether it shares the producer's bytes."""
    is_shared = ctypes.c_bool()
    o = ImportOptions(size=ctypes.sizeof(ImportOptions), is_shared=ctypes.addressof(is_shared), **options)
    for name, (_, used) in _FORMS.items():
        if _is_valid(id(capsule), name):
            managed = _pointer(id(capsule), name)
            _rename(id(capsule), ctypes.addressof(_NAMES[used]))
            function = lib.tv_tensor_from_dlpack if name.endswith(b"versioned") else lib.tv_tensor_from_dlpack_legacy
            return function(managed, ctypes.byref(o)), is_shared.value
    raise ValueError("no capsule of DLPack")


def address(x):
    """Of the first element."""
    return lib.tv_tensor_data_strided(x, (ctypes.c_int64 * 64)())
