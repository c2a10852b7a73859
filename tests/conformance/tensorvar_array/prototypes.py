# SPDX-License-Identifier: MIT
"""The functions of libtensorvar, read from its headers: results, parameters and their C types."""

import ctypes
import os
import re
from collections import namedtuple
from pathlib import Path

Parameter = namedtuple("Parameter", "type name")
Prototype = namedtuple("Prototype", "name result parameters")

INCLUDE = Path(os.environ.get("TENSORVAR_INCLUDE") or Path(__file__).resolve().parents[3] / "include")

_VALUES = {
    "void": None, "bool": ctypes.c_bool, "char": ctypes.c_char, "int": ctypes.c_int, "unsigned": ctypes.c_uint,
    "double": ctypes.c_double, "size_t": ctypes.c_size_t, "int64_t": ctypes.c_int64, "uint64_t": ctypes.c_uint64,
    "tv_device": ctypes.c_int32,
}
_STRINGS = "const char *"


class Key(ctypes.Structure):
    _fields_ = [("seed", ctypes.c_uint64), ("stream", ctypes.c_uint64)]


def ctype(c_type):
    """The ctypes type of a C type. Enumerations are int; all pointers but strings are addresses."""
    if c_type == _STRINGS:
        return ctypes.c_char_p
    if c_type.endswith("*"):
        return ctypes.c_void_p
    if c_type == "tv_key":
        return Key
    return _VALUES.get(c_type, ctypes.c_int)


def _parameter(text):
    match = re.fullmatch(r"(.*?)(\w+)(\[\w*\])?", " ".join(text.split()))
    return Parameter(match[1].strip() + (" *" if match[3] else ""), match[2])


def read(folder=INCLUDE):
    """All functions of the headers, by name; those with a variable number of arguments are left out."""
    found = {}
    for header in sorted((folder / "tensorvar").glob("*.h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(), flags=re.S)
        for result, name, parameters in re.findall(r"TV_API\s+([^;()]*?)(tv_\w+)\s*\(([^;()]*)\)", text):
            parameters = [] if parameters.strip() == "void" else parameters.split(",")
            if "..." not in "".join(parameters):
                found[name] = Prototype(name, " ".join(result.split()), [_parameter(p) for p in parameters])
    return found
