# SPDX-License-Identifier: MIT
"""The shared library by ctypes: what the tests of printing and files need of it, and no more."""

import ctypes
import os

NAMES = ("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
         "complex64 complex128").split()

lib = ctypes.CDLL(os.environ["TENSORVAR_LIBRARY"])
_p, _i64, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


_declare("tv_scope_begin_at", _int, _p, ctypes.c_char_p, _int)
_declare("tv_scope_end", _int, _p, _p)
_declare("tv_error", _int)
_declare("tv_error_text", ctypes.c_char_p)
_declare("tv_error_clear", None)
_declare("tv_live_handles", _i64)
_declare("tv_tensor_from_memory", _p, _p, _int, _int, _p, _p)
_declare("tv_tensor_dtype", _int, _p)
_declare("tv_tensor_rank", _int, _p)
_declare("tv_tensor_shape", ctypes.POINTER(_i64), _p)
_declare("tv_tensor_bytes", _i64, _p)
_declare("tv_tensor_copy_out", _int, _p, _p, _i64)
_declare("tv_format", _i64, _p, _int, _p, _i64)
_declare("tv_npy_load", _p, ctypes.c_char_p, _p)
_declare("tv_npy_read_fd", _p, _int, ctypes.c_char_p, _p)
_declare("tv_npy_read_memory", _p, ctypes.c_char_p, _i64, _p)
_declare("tv_npy_read_callback", _p, _p, _p, ctypes.c_char_p, _p)
_declare("tv_npy_save", _int, ctypes.c_char_p, _p, _p)


def _begin():
    """On the device that the other half of the suite begins on."""
    number = ctypes.c_int32()
    lib.tv_device_find(os.environ.get("TENSORVAR_DEVICE", "cpu").encode(), ctypes.byref(number))
    lib.tv_device_set(number)


_begin()


def is_on_cpu():
    return lib.tv_device_current() == 0


class Failure(Exception):
    pass


class Scope:
    """A scope; the failure of a call in it, if any, is raised at its end."""

    def __enter__(self):
        self.id = ctypes.c_uint64()
        lib.tv_scope_begin_at(ctypes.byref(self.id), b"test", 0)
        return self

    def __exit__(self, kind, value, trace):
        text = lib.tv_error_text().decode()
        failed = lib.tv_error()
        lib.tv_scope_end(ctypes.byref(self.id), None)
        lib.tv_error_clear()
        if failed and kind is None:
            raise Failure(text)


class MemoryOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("borrow", ctypes.c_bool), ("steps", _p), ("release", _p),
                ("user", _p), ("device", ctypes.c_int32)]


class NpyOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("map", _int), ("require_map", ctypes.c_bool),
                ("void2_is_bf16", ctypes.c_bool), ("device", ctypes.c_int32), ("is_mapped", _p),
                ("layout", _p), ("advice", _int), ("slice", ctypes.c_char_p), ("n_index", _int), ("index", _p),
                ("field", ctypes.c_char_p), ("dtype", _int), ("refuse", ctypes.c_uint), ("report", _p),
                ("out", _p), ("capacity", _i64), ("progress", _p), ("progress_user", _p)]


class NpySaveOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("durable", ctypes.c_bool), ("order", _int),
                ("big_endian", ctypes.c_bool), ("progress", _p), ("progress_user", _p)]


class Constraint(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("kind", _int), ("policy", _int), ("low", ctypes.c_double),
                ("high", ctypes.c_double), ("tolerance", ctypes.c_double), ("n_axes", _int), ("axes", _i64 * 8),
                ("project", _p), ("user", _p), ("release", _p)]


class VariableOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("name", ctypes.c_char_p), ("trainable", ctypes.c_bool),
                ("concurrent_readers", ctypes.c_bool), ("open_axes", _p), ("constraint", Constraint), ("history", _int)]


def npy_options(**fields):
    fields = {"device": -1, "dtype": -1, "refuse": 5, **fields}
    return ctypes.byref(NpyOptions(size=ctypes.sizeof(NpyOptions), **fields))


def sizes(values):
    return (_i64 * max(1, len(values)))(*values)


def tensor(array, name=None):
    """A tensor that borrows the elements of an array, in the array's own layout."""
    options = MemoryOptions(size=ctypes.sizeof(MemoryOptions), borrow=True, device=-1)
    steps = sizes(array.strides)
    options.steps = ctypes.cast(steps, _p)
    return lib.tv_tensor_from_memory(array.ctypes.data, NAMES.index(name or array.dtype.name), array.ndim,
                                     sizes(array.shape), ctypes.byref(options))


def text(array, style, name=None):
    """The text of an array; style 0 is repr, 1 is str."""
    with Scope():
        x = tensor(array, name)
        n = lib.tv_format(x, style, None, 0)
        out = ctypes.create_string_buffer(n + 1)
        assert lib.tv_format(x, style, out, n + 1) == n
    assert len(out.value) == n
    return out.value.decode()


def content(x):
    """dtype, shape and bytes in C order of a tensor; None for NULL."""
    if not x:
        return None
    n = lib.tv_tensor_bytes(x)
    out = ctypes.create_string_buffer(max(1, n))
    lib.tv_tensor_copy_out(x, out, n)
    shape = lib.tv_tensor_shape(x)
    return NAMES[lib.tv_tensor_dtype(x)], [shape[k] for k in range(lib.tv_tensor_rank(x))], out.raw[:n]
