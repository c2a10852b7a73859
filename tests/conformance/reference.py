# SPDX-License-Identifier: MIT
"""What each elementwise op should give: NumPy's answer, in a wider type where a bound is allowed.

Where we differ from NumPy 2.2, on purpose:

    floor_divide    of or by infinity as the array API: inf // 1 = inf, -1 // inf = -0; NumPy nan, -1
    maximum, minimum, clip   +0 is above -0 (IEEE 754-2019); NumPy gives either
    less ... clip, floor, floor_divide, remainder   complex is refused; NumPy orders it by parts
    sign            of an infinite complex number is its direction; NumPy gives nan
    multiply, square, divide, pow   of complex infinities as C99 Annex G; NumPy gives nan
    pow             0 to a complex power as C; whole powers of complex numbers by products
    astype          complex to real is refused; NumPy drops the imaginary part
    bool subtract, negative, sign, relu     refused, as NumPy does (which has no relu)

Integers by zero give 0, as in NumPy, which warns; an integer to a negative one is refused, as in NumPy."""

import numpy as np

import annex_g
import bounds
from numbers_of import as_numpy_promotes, rounded, storage

# Kinds that an op refuses.
REFUSES = {
    "negative": "b", "subtract": "b", "sign": "b", "relu": "bc", "sigmoid": "c", "floor": "c", "floor_divide": "c",
    "remainder": "c", "maximum": "c", "minimum": "c", "clip": "c", "less": "c", "less_equal": "c", "greater": "c",
    "greater_equal": "c",
}
FLOATING = ("sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid")
AS_INT8 = ("square", "floor_divide", "remainder", "pow")  # where NumPy runs bool as int8
TO_BOOL = ("isnan", "isinf", "isfinite", "logical_not", "equal", "not_equal", "less", "less_equal", "greater",
           "greater_equal", "logical_and", "logical_or", "logical_xor")
WIDE = {"float16": "float64", "bfloat16": "float64", "float32": "float64", "float64": "longdouble",
        "complex64": "complex128", "complex128": "clongdouble"}
PART = {"complex64": "float32", "complex128": "float64"}


def loop_dtype(op, names):
    """The dtype that an op runs in, given those of its operands (but the condition of where)."""
    name = as_numpy_promotes(names)
    kind = storage(name).kind
    if op in FLOATING and kind in "bui":
        return {1: "float16", 2: "float32"}.get(storage(name).itemsize, "float64")
    if op == "divide" and kind in "bui":
        return "float64"
    return "int8" if op in AS_INT8 and kind == "b" else name


def result_dtype(op, loop):
    if op in TO_BOOL:
        return "bool"
    return PART.get(loop, loop) if op in ("abs", "real", "imag") else loop


def _maximum(a, b):
    return np.where((a == 0) & (b == 0), a + b, np.maximum(a, b)).astype(a.dtype)


def _minimum(a, b):
    return np.where((a == 0) & (b == 0), -(-a + -b), np.minimum(a, b)).astype(a.dtype)


def _ordered(op):
    def function(a, b):
        if a.dtype.kind != "f":
            return (np.maximum if op == "maximum" else np.minimum)(a, b)
        return _maximum(a, b) if op == "maximum" else _minimum(a, b)

    return function


def _clip(x, a, b):
    return _ordered("minimum")(_ordered("maximum")(x, a), b)


def _floor_divide(a, b):
    if a.dtype.kind != "f":
        return np.floor_divide(a, b)
    return np.where(np.isinf(a) | np.isinf(b), a / b, np.floor_divide(a, b))


def _relu(x):
    return np.where(x < 0, x.dtype.type(0), x)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _expm1(z):
    """NumPy's for complex numbers loses digits near 0."""
    if z.dtype.kind != "c":
        return np.expm1(z)
    x, y = z.real, z.imag
    plain = np.asarray(np.exp(z) - 1)
    found = plain.copy()
    found.real = np.expm1(x) * np.cos(y) - 2 * np.sin(y / 2) ** 2
    return np.where(np.isfinite(z) & (x < 80), found, plain)


def _log1p(z):
    if z.dtype.kind != "c":
        return np.log1p(z)
    x, y = z.real, z.imag
    shifted = np.array(z)
    shifted.real += 1  # 1 + z would lose the sign of a zero
    plain = np.asarray(np.log(shifted))
    found = plain.copy()
    found.real = np.log1p(x * (2 + x) + y * y) / 2
    return np.where((np.abs(x) < .5) & (np.abs(y) < .5), found, plain)


FUNCTIONS = {
    "relu": _relu, "sigmoid": _sigmoid, "floor_divide": _floor_divide, "maximum": _ordered("maximum"), "clip": _clip,
    "minimum": _ordered("minimum"), "pow": np.power, "expm1": _expm1, "log1p": _log1p,
}
COMPLEX_FUNCTIONS = {"multiply": annex_g.multiply, "square": lambda z: annex_g.multiply(z, z),
                     "divide": annex_g.divide}


def function_of(op, kind):
    if kind == "c" and op in COMPLEX_FUNCTIONS:
        return COMPLEX_FUNCTIONS[op]
    return FUNCTIONS.get(op) or getattr(np, op)


def bound_of(op, loop):
    """Ulps allowed; None: the same bits."""
    kind = storage(loop).kind
    table = bounds.COMPLEX if kind == "c" and op not in ("abs",) else bounds.REAL
    if op not in table or (op in ("abs", "pow") and kind in "iub") or (op == "abs" and kind == "f"):
        return None
    if loop in ("float16", "bfloat16"):
        return bounds.HALF
    return table[op][loop in ("float64", "complex128")]


def expected(op, operands, names):
    """dtype, numbers (in a wider type if a bound is given), and the bound. The operands are NumPy's."""
    loop = loop_dtype(op, names[1:] if op == "where" else names)
    kind = storage(loop).kind
    bound = bound_of(op, loop)
    if op == "where":
        met = [operands[0] != 0] + [rounded(x, loop) for x in operands[1:]]
    elif op in TO_BOOL and len(operands) == 2:
        met = list(operands)  # NumPy compares integers of both signs exactly
        if "bfloat16" in names or not all(x.dtype.kind in "iu" for x in operands):
            met = [rounded(x, loop) for x in operands]
    else:
        met = [rounded(x, loop) for x in operands]
    if bound is not None:
        met = [x.astype(WIDE[loop]) for x in met]
    y = function_of(op, kind)(*met)
    name = result_dtype(op, loop)
    return name, (y if bound is not None else rounded(np.asarray(y), name)), bound
