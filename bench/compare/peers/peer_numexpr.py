# SPDX-License-Identifier: MIT
"""numexpr: one expression a call; Adam as three, into the arrays themselves."""

import cases
import numexpr
import numpy as np


def start(threads):
    numexpr.set_num_threads(threads)


def version():
    return numexpr.__version__


def load(array):
    return array


def save(result):
    return np.asarray(result)


def expression(names, text):
    def plain(*operands):
        named = dict(zip(names.split(), operands))
        return lambda: numexpr.evaluate(text, named)

    def out(*operands):
        named = dict(zip(names.split(), operands))
        result = numexpr.evaluate(text, named)
        return lambda: numexpr.evaluate(text, named, out=result)

    return {"plain": plain, "out=": out}


def adam(w, g):
    m, v = cases.adam_begin(w)
    t = 0

    def call():
        nonlocal t
        t += 1
        rate, root = np.float32(0.001 / (1 - 0.9**t)), np.float32(1 / np.sqrt(1 - 0.999**t))
        named = {"w": w, "m": m, "v": v, "g": g, "rate": rate, "root": root, "epsilon": np.float32(1e-8)}
        numexpr.evaluate("m * 0.9 + g * 0.1", named, out=m, casting="same_kind")
        numexpr.evaluate("v * 0.999 + g * g * 0.001", named, out=v, casting="same_kind")
        numexpr.evaluate("w - rate * m / (sqrt(v) * root + epsilon)", named, out=w, casting="same_kind")

    return call, lambda: w


SIGMOID = "1 / (1 + exp(-x))"
CUBIC = "0.7978845608028654 * (x + 0.044715 * (x * x * x))"
OPS = {
    "add": expression("a b", "a + b"),
    "multiply": expression("a b", "a * b"),
    "relu": expression("x", "where(x > 0, x, 0)"),
    "broadcast": expression("column row", "column + row"),
    "exp": expression("x", "exp(x)"),
    "sigmoid": expression("x", SIGMOID),
    "tanh": expression("x", "tanh(x)"),
    "muladd": expression("a b c", "a * b + c"),
    "bce": expression("x u", f"-(u * log({SIGMOID}) + (1 - u) * log(1 - {SIGMOID}))"),
    "gelu": expression("x", f"0.5 * x * (1 + tanh({CUBIC}))"),
    "adam": {"plain": adam},
    "where": expression("x a b", "where(x > 0, a, b)"),
}
