# SPDX-License-Identifier: MIT
"""Dtypes: one object for each of the library's, and the kinds that the standard names."""

from . import native


class DType:
    """Compares by identity; made once for each number that the library gives a dtype."""

    def __init__(self, number):
        self.number = number
        self.name = native.lib.tv_dtype_name(number).decode()
        self.kind = native.lib.tv_dtype_kind(number).decode()
        self.itemsize = native.lib.tv_dtype_size(number)
        self._as_parameter_ = number

    @property
    def c_name(self):
        letter = "BF" if self.name == "bfloat16" else self.kind.upper()
        return "TV_BOOL" if self.kind == "b" else f"TV_{letter}{8 * self.itemsize}"

    def __repr__(self):
        return f"tensorvar_array.{self.name}"


def _all():
    found = []
    while native.lib.tv_dtype_size(len(found)):
        found.append(DType(len(found)))
    return found


ALL = _all()
BY_NAME = {dtype.name: dtype for dtype in ALL}
DEFAULT = {kind: BY_NAME[name] for kind, name in
           {"bool": "bool", "integral": "int64", "real floating": "float64", "complex floating": "complex128",
            "indexing": "int64"}.items()}

_KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}


def isdtype(dtype, kind):
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, DType):
        return dtype is kind
    return dtype.kind in _KINDS[kind]


def of_kind(kind=None):
    """Names and dtypes of the standard; bfloat16 is the library's own."""
    return {d.name: d for d in ALL if d.name not in ("bfloat16", "float16") and (kind is None or isdtype(d, kind))}
