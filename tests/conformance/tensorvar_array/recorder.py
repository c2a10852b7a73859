# SPDX-License-Identifier: MIT
"""What was called, as a C program: a failing example prints one that shows the same values.

Calls since start() are in the program, and whatever made their operands."""

import math
import struct

_calls = []
_PREAMBLE = """\
/* cc this.c -ltensorvar && ./a.out */
#include <math.h>
#include <stdio.h>
#include <tensorvar/tensorvar.h>

int main(void) {
  tv_scope scope;
  tv_scope_begin(&scope);
"""
_END = """\
  if (tv_error()) printf("%s: %s\\n", tv_status_name(tv_error()), tv_error_text());
  tv_scope_end(&scope, NULL);
  return 0;
}
"""


def number(value):
    """A number as C writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if value == -(2**63):
            return "INT64_MIN"
        return f"{value}u" if value >= 2**63 else str(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return repr(value)


class Data:
    """Bytes of a dtype: an argument that is its address."""

    def __init__(self, data, dtype):
        self.data, self.dtype = data, dtype

    def arguments(self):
        return (self.data,)

    def c_array(self):
        """C type and values."""
        kind, size = self.dtype.kind, self.dtype.itemsize
        if kind in "fc" and size >= (4 if kind == "f" else 8):
            size //= 2 if kind == "c" else 1
            values = struct.unpack(f"{len(self.data) // size}{'fd'[size == 8]}", self.data)
            return ("float" if size == 4 else "double"), [number(v) for v in values]
        signed = kind == "i"
        code = " BH I   Q"[size]
        values = struct.unpack(f"{len(self.data) // size}{code.lower() if signed else code}", self.data)
        return f"{'' if signed else 'u'}int{8 * size}_t", [number(v) for v in values]


class Call:
    """A call of the library. kind: "tensor" makes one, "status" does not; for "text" and "value", which
    makes one, the function is C as it stands, with {name} its own name and {0} ... the arguments."""

    def __init__(self, name, arguments, kind):
        self.function, self.arguments, self.kind = name, arguments, kind
        self.name = None

    def operands(self):
        for a in self.arguments:
            if hasattr(a, "made"):
                yield a.made
            for b in getattr(a, "arrays", ()):
                yield b.made


class Stand:
    """An array in the record: only where it came from, so that records keep no tensor alive."""

    def __init__(self, made):
        self.made = made


def add(name, arguments, kind="tensor"):
    kept = []
    for a in arguments:
        if hasattr(a, "handle"):
            kept.append(Stand(a.made))
        elif hasattr(a, "arrays"):
            kept.append(type(a)([Stand(b.made) for b in a.arrays]))
        else:
            kept.append(a)
    made = Call(name, kept, kind)
    _calls.append(made)
    return made


def start():
    """Begin a new example."""
    _calls.clear()


def _ordered():
    """The calls of the example, their operands first."""
    done, order, stack = set(), [], [(c, False) for c in reversed(_calls)]
    while stack:
        made, ready = stack.pop()
        if ready:
            order.append(made)
        elif id(made) not in done:
            done.add(id(made))
            stack.append((made, True))
            stack += [(operand, False) for operand in made.operands()]
    return order


def _text(argument):
    if isinstance(argument, Stand):
        return argument.made.name
    if isinstance(argument, Data):
        return argument.name if argument.data else "NULL"
    if hasattr(argument, "c_text"):
        return argument.c_text()
    if hasattr(argument, "c_name"):
        return argument.c_name
    if isinstance(argument, bytes):
        return '"' + argument.decode() + '"'
    if isinstance(argument, (int, float)):
        return number(argument)
    return "NULL"


def program():
    """The C program of the example: prints each result that no other call takes."""
    order, lines = _ordered(), [_PREAMBLE]
    used = {id(operand) for made in order for operand in made.operands()}
    for i, made in enumerate(order):
        made.name = f"t{i}"
        for k, a in enumerate(made.arguments):
            if isinstance(a, Data) and a.data:
                a.name = f"d{i}"
                c_type, values = a.c_array()
                lines.append(f"  static const {c_type} {a.name}[] = {{{', '.join(values)}}};\n")
        if made.kind in ("text", "value"):
            lines.append("  " + made.function.format(*map(_text, made.arguments), name=made.name) + "\n")
        else:
            start_ = "tv_tensor *" + made.name + " = " if made.kind == "tensor" else ""
            lines.append(f"  {start_}{made.function}({', '.join(map(_text, made.arguments))});\n")
    for made in order:
        if made.kind in ("tensor", "value") and id(made) not in used:
            lines.append(f"  if ({made.name}) tv_print(stdout, {made.name});\n")
    return "".join(lines) + _END
