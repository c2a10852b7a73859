# SPDX-License-Identifier: MIT
"""numexpr: one expression a call; Adam as three, into the arrays themselves. Fractions are operands in float32, for
written in the expression they are float64, and so would be all that follows."""

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


def floats(**values):
    return {name: np.float32(value) for name, value in values.items()}


def expression(names, text, **fractions):
    def plain(*operands):
        named = dict(zip(names.split(), operands), **floats(**fractions))
        return lambda: numexpr.evaluate(text, named)

    def out(*operands):
        named = dict(zip(names.split(), operands), **floats(**fractions))
        result = numexpr.evaluate(text, named)
        return lambda: numexpr.evaluate(text, named, out=result)

    return {"plain": plain, "out=": out}


def adam(w, g):
    m, v = cases.adam_begin(w)
    constants = floats(beta1=0.9, rest1=0.1, beta2=0.999, rest2=0.001, epsilon=1e-8)
    t = 0

    def call():
        nonlocal t
        t += 1
        named = {"w": w, "m": m, "v": v, "g": g, **constants,
                 **floats(rate=0.001 / (1 - 0.9**t), root=1 / np.sqrt(1 - 0.999**t))}
        numexpr.evaluate("m * beta1 + g * rest1", named, out=m)
        numexpr.evaluate("v * beta2 + g * g * rest2", named, out=v)
        numexpr.evaluate("w - rate * m / (sqrt(v) * root + epsilon)", named, out=w)

    return call, lambda: w


SIGMOID = "1 / (1 + exp(-x))"
CUBIC = "root * (x + cubic * (x * x * x))"
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
    "gelu": expression("x", f"half * x * (1 + tanh({CUBIC}))", half=0.5, root=0.7978845608028654, cubic=0.044715),
    "adam": {"plain": adam},
    "where": expression("x a b", "where(x > 0, a, b)"),
}
