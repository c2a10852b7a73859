# SPDX-License-Identifier: MIT
"""NumPy as people write it; its threads are those of its BLAS, all else runs on one."""

import cases
import numpy as np


def start(_):
    """Threads are told by the environment."""


def version():
    return np.__version__


def load(array):
    return array


def save(result):
    return np.asarray(result)


def plain(function):
    return {"plain": lambda *operands: lambda: function(*operands)}


def out(function):
    """Into the same result each time."""
    def make(*operands):
        result = function(*operands)
        return lambda: function(*operands, out=result)

    return {**plain(function), "out=": make}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def one(p, q):
    def call():
        for _ in range(cases.MANY):
            result = p + q
        return result

    return call


def adam(w, g):
    slots, t = cases.adam_begin(w), 0

    def call():
        nonlocal t
        t += 1
        cases.adam_update(w, *slots, g, t)

    return call, lambda: w


def sgd_step(x, labels, *weights):
    slots = cases.sgd_begin(weights)

    def call():
        for w, m, g in zip(weights, slots, cases.perceptron(x, labels, weights)):
            cases.sgd_update(w, m, g)

    return call, lambda: weights[0]


def adam_step(x, labels, *weights):
    slots, t = [cases.adam_begin(w) for w in weights], 0

    def call():
        nonlocal t
        t += 1
        for w, s, g in zip(weights, slots, cases.perceptron(x, labels, weights)):
            cases.adam_update(w, *s, g, t)

    return call, lambda: weights[0]


OPS = {
    "add": out(np.add),
    "multiply": out(np.multiply),
    "relu": out(lambda x, out=None: np.maximum(x, 0, out=out)),
    "cast": plain(lambda d: d.astype(np.float32)),
    "broadcast": out(np.add),
    "gather": plain(lambda table, index: table.take(index, axis=0)),
    "exp": out(np.exp),
    "sigmoid": plain(sigmoid),
    "tanh": out(np.tanh),
    "muladd": plain(lambda a, b, c: a * b + c),
    "bce": plain(cases.bce),
    "gelu": plain(cases.gelu),
    "adam": {"plain": adam},
    "where": plain(lambda x, a, b: np.where(x > 0, a, b)),
    "select": plain(lambda x: x[x > 0]),
    "sum": plain(lambda rows: rows.sum()),
    "sum0": plain(lambda rows: rows.sum(0)),
    "sum1": plain(lambda rows: rows.sum(1)),
    "mean": plain(lambda rows: rows.mean()),
    "mean0": plain(lambda rows: rows.mean(0)),
    "mean1": plain(lambda rows: rows.mean(1)),
    "max": plain(lambda rows: rows.max()),
    "max0": plain(lambda rows: rows.max(0)),
    "max1": plain(lambda rows: rows.max(1)),
    "softmax": plain(cases.softmax),
    "transpose": plain(lambda square: np.ascontiguousarray(square.T)),
    "one": {"plain": one},
    "matmul": out(np.matmul),
    "sgd_step": {"plain": sgd_step},
    "adam_step": {"plain": adam_step},
}
