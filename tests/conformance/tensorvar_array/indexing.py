# SPDX-License-Identifier: MIT
"""Parts of an array: ints, slices, None and `...` through tv_slice_with; arrays through tv_take
and tv_boolean_mask."""

import ctypes
import operator

from . import native, recorder


class Index(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("start", ctypes.c_int64), ("stop", ctypes.c_int64), ("step", ctypes.c_int64),
                ("has_start", ctypes.c_bool), ("has_stop", ctypes.c_bool)]


AT, RANGE, NEW_AXIS, ELLIPSIS = range(4)


def terms(key):
    """The library's terms of a Python index."""
    found = []
    for term in key if isinstance(key, tuple) else (key,):
        if term is None:
            found.append(Index(NEW_AXIS, 0, 0, 1, False, False))
        elif term is Ellipsis:
            found.append(Index(ELLIPSIS, 0, 0, 1, False, False))
        elif isinstance(term, slice):
            start, stop, step = (None if b is None else operator.index(b) for b in (term.start, term.stop, term.step))
            found.append(Index(RANGE, start or 0, stop or 0, 1 if step is None else step, start is not None,
                               stop is not None))
        elif isinstance(term, bool) or not hasattr(term, "__index__"):
            raise IndexError(f"no index: {type(term).__name__}")
        else:
            found.append(Index(AT, operator.index(term), 0, 1, True, False))
    return found


def text(key):
    """A Python index in the library's notation."""
    def one(term):
        if term is None or term is Ellipsis:
            return "None" if term is None else "..."
        if isinstance(term, slice):
            bounds = ["" if b is None else str(operator.index(b)) for b in (term.start, term.stop, term.step)]
            return ":".join(bounds)
        return str(operator.index(term))

    return ", ".join(one(term) for term in (key if isinstance(key, tuple) else (key,))) or "..."


class Terms:
    """Count and address of the terms of an index."""

    def __init__(self, found):
        self.found = found

    def arguments(self):
        return len(self.found), (Index * max(1, len(self.found)))(*self.found)

    def c_text(self):
        def one(t):
            flags = ["true" if f else "false" for f in (t.has_start, t.has_stop)]
            values = [recorder.number(v) for v in (t.start, t.stop, t.step)]
            return "{" + ", ".join([str(t.kind), *values, *flags]) + "}"

        return f"{len(self.found)}, (const tv_index[]){{{', '.join(map(one, self.found)) or '{0}'}}}"


def get(x, key):
    from .array import Array, of

    if isinstance(key, Array) and key.ndim:
        if key.dtype.kind == "b":
            return of("tv_boolean_mask", x, key)
        return of("tv_take", x, key, 0)
    return of("tv_slice_with", x, Terms(terms(key)))


def replace(x, key, value):
    """Let x hold the tensor with a part replaced, by a Variable's slice assignment."""
    from .array import Array, of, operand

    is_mask = isinstance(key, Array) and key.dtype.kind == "b"
    kinds = "buifc"
    if isinstance(value, Array):
        if kinds.index(value.dtype.kind) > kinds.index(x.dtype.kind):
            raise TypeError(f"{value.dtype} into {x.dtype}")
        value = value if value.dtype is x.dtype else of("tv_astype", value, x.dtype)
    value = operand(value)
    with native.Scope():
        number = value.handle if isinstance(value, Array) else value.arguments()[0]
        variable = native.lib.tv_variable_new(x.handle, None)
        native.raise_failure()
        if is_mask:
            native.lib.tv_variable_assign_where(variable, key.handle, number)
        else:
            native.lib.tv_variable_assign_slice(variable, text(key).encode(), number)
        failed = native.lib.tv_error()
        result = None if failed else native.lib.tv_retain(native.lib.tv_read(variable))
        native.lib.tv_variable_release(variable)
    native.raise_failure()
    old, made = x.handle, x.made
    x.made = recorder.add(
        "tv_variable *v{name} = tv_variable_new({0}, NULL); "
        + ("tv_variable_assign_where(v{name}, {1}, {2}); " if is_mask else "tv_variable_assign_slice(v{name}, {1}, {2}); ")
        + "tv_tensor *{name} = tv_read(v{name}); tv_variable_release(v{name});",
        [recorder.Stand(made), key if is_mask else text(key).encode(), value], "value")
    x.handle = result
    native.lib.tv_release(old)
