# SPDX-License-Identifier: MIT
"""Calls into the shared library: a scope around each, failures as exceptions, every call on record."""

import ctypes
import os

from . import prototypes, recorder

PROTOTYPES = prototypes.read()
NONE = ctypes.c_void_p(None)


def _load():
    library = ctypes.CDLL(os.environ["TENSORVAR_LIBRARY"])
    for prototype in PROTOTYPES.values():
        function = getattr(library, prototype.name, None)
        if function:
            function.restype = prototypes.ctype(prototype.result)
            function.argtypes = [prototypes.ctype(p.type) for p in prototype.parameters]
    return library


def _begin_on(library, device):
    """Make a device the current one of this thread."""
    number = ctypes.c_int32()
    if library.tv_device_find(device.encode(), ctypes.byref(number)) or library.tv_device_set(number):
        raise RuntimeError(library.tv_error_text().decode())


lib = _load()
DEVICE = os.environ.get("TENSORVAR_DEVICE", "cpu")
_begin_on(lib, DEVICE)


class Failure(Exception):
    """A call that failed: the library's status and text."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


class ValueFailure(Failure, ValueError):
    pass


class TypeFailure(Failure, TypeError):
    pass


class IndexFailure(Failure, IndexError):
    pass


class MemoryFailure(Failure, MemoryError):
    pass


_FAILURES = {
    "TV_EVALUE": ValueFailure, "TV_ESHAPE": ValueFailure, "TV_EDTYPE": TypeFailure, "TV_EINDEX": IndexFailure,
    "TV_ENOMEM": MemoryFailure, "TV_EOVERFLOW": ValueFailure,
}


def raise_failure():
    """Raise the thread's failure, if there is one, and forget it."""
    status, text = lib.tv_error(), lib.tv_error_text().decode()
    if status:
        lib.tv_error_clear()
        name = lib.tv_status_name(status).decode()
        raise _FAILURES.get(name, Failure)(name, text)


class Scope:
    def __enter__(self):
        self.id = ctypes.c_uint64()
        lib.tv_scope_begin_at(ctypes.byref(self.id), b"python", 0)
        return self

    def __exit__(self, *_):
        lib.tv_scope_end(ctypes.byref(self.id), None)


class Sizes:
    """A list of int64: two arguments, count and address. None is TV_ALL_AXES."""

    def __init__(self, values):
        self.values = None if values is None else [int(v) for v in values]

    def arguments(self):
        if self.values is None:
            return -1, NONE
        if any(not -(2**63) <= v < 2**63 for v in self.values):
            raise OverflowError("a size of more than 64 bits")
        return len(self.values), (ctypes.c_int64 * max(1, len(self.values)))(*self.values)

    def c_text(self):
        if self.values is None:
            return "TV_ALL_AXES"
        return f"TV_SHAPE({', '.join(map(str, self.values))})" if self.values else "TV_SCALAR_SHAPE"


class Scalar:
    """A Python number, which the library takes as a weak scalar."""

    def __init__(self, value):
        self.value = value
        if isinstance(value, bool):
            self.maker, self.parts = "tv_scalar_bool", (value,)
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                raise OverflowError(f"{value} is out of the range of 64 bits")
            self.maker, self.parts = ("tv_scalar_int" if value < 2**63 else "tv_scalar_uint"), (value,)
        elif isinstance(value, float):
            self.maker, self.parts = "tv_scalar_real", (value,)
        else:
            self.maker, self.parts = "tv_scalar_complex", (value.real, value.imag)

    def arguments(self):
        return (getattr(lib, self.maker)(*self.parts),)

    def c_text(self):
        return f"{self.maker}({', '.join(recorder.number(p) for p in self.parts)})"


class Handles:
    """Several tensors: count and address."""

    def __init__(self, arrays):
        self.arrays = arrays

    def arguments(self):
        return len(self.arrays), (ctypes.c_void_p * max(1, len(self.arrays)))(*[a.handle for a in self.arrays])

    def c_text(self):
        names = ", ".join(a.made.name for a in self.arrays)
        return f"{len(self.arrays)}, (tv_tensor *[]){{{names or 'NULL'}}}"


class Struct:
    """The address of a struct, and its C text."""

    def __init__(self, value, text):
        self.value, self.text = value, text

    def arguments(self):
        return (ctypes.cast(ctypes.byref(self.value), ctypes.c_void_p),)

    def c_text(self):
        return self.text


def _arguments(arguments):
    for a in arguments:
        if hasattr(a, "handle"):
            yield a.handle
        elif hasattr(a, "arguments"):
            yield from a.arguments()
        else:
            yield a


def call(name, *arguments):
    """Address of the retained result of an op; the record of the call. Raises what the library refused."""
    if not hasattr(lib, name):
        raise NotImplementedError(name)
    made = recorder.add(name, arguments)
    with Scope():
        result = getattr(lib, name)(*_arguments(arguments))
        handle = lib.tv_retain(result) if result else None
    raise_failure()
    return handle, made


def status(name, *arguments):
    """Call a status function; raises what the library refused."""
    recorder.add(name, arguments, "status")
    getattr(lib, name)(*_arguments(arguments))
    raise_failure()


def has(name):
    return name in PROTOTYPES and hasattr(lib, name)
