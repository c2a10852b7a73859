# SPDX-License-Identifier: MIT
"""DLPack for the tests that call the library by hand: tensors are addresses here, and no arrays."""

import ctypes

from library import Failure, lib
from tensorvar_array import dlpack
from tensorvar_array.dlpack import take  # noqa: F401

_p, _int = ctypes.c_void_p, ctypes.c_int


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


_declare("tv_ones", _p, _int, _int, _p)
_declare("tv_tensor_data_strided", _p, _p, _p)
_declare("tv_tensor_mark_mutated", _int, _p)


def lend(x, legacy=False, copy=False):
    """A capsule of a tensor."""
    capsule = dlpack.lend(x, legacy, copy)
    if capsule is None:
        raise Failure(lib.tv_error_text().decode())
    return capsule


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


def address(x):
    """Of the first element."""
    return lib.tv_tensor_data_strided(x, (ctypes.c_int64 * 64)())
