# SPDX-License-Identifier: MIT
"""The Python array API, what there is of it, over libtensorvar: for tests, by ctypes.

TENSORVAR_LIBRARY names the shared library, TENSORVAR_INCLUDE the folder of its headers (by default that
of this tree). Elementwise functions come from the library's op table, C types from its headers. What
the library does not have is not here."""

from math import e, inf, nan, pi

from . import creation, data_types, elementwise, manipulation, random, reductions
from .array import Array
from .data_types import *  # noqa: F403
from .creation import *  # noqa: F403
from .dtypes import BY_NAME, DType
from .elementwise import OPS
from .info import __array_namespace_info__
from .manipulation import *  # noqa: F403
from .native import Failure
from .tape import Tape, gradients

__array_api_version__ = "2024.12"
newaxis = None
globals().update(BY_NAME)
globals().update({name: value for name, value in vars(elementwise).items()
                  if callable(value) and not name.startswith("_") and name not in ("of", "operand", "Array")})
from .reductions import *  # noqa: E402,F403

__version__ = __import__("tensorvar_array.native", fromlist=["lib"]).lib.tv_version().decode()
