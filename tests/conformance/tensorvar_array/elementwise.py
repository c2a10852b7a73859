# SPDX-License-Identifier: MIT
"""Elementwise functions: one for each row of the library's op table, made from the table."""

from . import native
from .array import Array, of, operand


def _names():
    return [native.lib.tv_op_name(i).decode() for i in range(native.lib.tv_op_count())]


def _function(name):
    prototype = native.PROTOTYPES["tv_" + name]

    def function(*operands):
        if len(operands) != len(prototype.parameters):
            raise TypeError(f"{name} takes {len(prototype.parameters)} operands, not {len(operands)}")
        if not any(isinstance(x, Array) for x in operands):
            raise TypeError(f"{name}: one operand has to be an array")
        return of(prototype.name, *map(operand, operands))

    function.__name__ = function.__qualname__ = name
    function.n_operands = len(prototype.parameters)
    return function


OPS = {name: _function(name) for name in _names()}
globals().update(OPS)

if "clip" in OPS:
    def clip(x, /, min=None, max=None):
        """The library's clip; a bound that is left out makes it maximum or minimum."""
        if min is None:
            return x if max is None else _bounded("minimum", x, max)
        return _bounded("maximum", x, min) if max is None else OPS["clip"](x, min, max)

    def _bounded(name, x, bound):
        return OPS[name](x, bound)

if "conj" in OPS and "positive" not in OPS:
    def positive(x, /):
        return +x

if "equal" in OPS and "bitwise_and" not in OPS:
    def _of_bool(name, n):
        def function(*operands):
            if len(operands) != n or any(not isinstance(x, bool) and x.dtype.kind != "b" for x in operands):
                raise TypeError("bitwise operations are there for bool alone")
            return OPS[name](*operands)

        return function

    bitwise_and, bitwise_or, bitwise_xor = (_of_bool("logical_" + word, 2) for word in ("and", "or", "xor"))
    bitwise_invert = _of_bool("logical_not", 1)
