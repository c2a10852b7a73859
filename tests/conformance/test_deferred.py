# SPDX-License-Identifier: MIT
"""Random graphs of deferred ops against NumPy: the same bits, a hundred thousand times."""

import ctypes
import os
import random

import numpy as np
import pytest

import library
from library import lib

# Other devices run every op at its call: a look at that is enough.
GRAPHS = 100_000 * int(os.environ.get("TENSORVAR_DEPTH", "1")) if library.is_on_cpu() else 300
SHARE = 10  # tests that share them
SHAPES = ((70, 119), (8300,), (1, 119), (70, 1))
DTYPES = ("float32", "float64", "int32")
_p, _i64 = ctypes.c_void_p, ctypes.c_int64

ONE = {"negative": np.negative, "square": np.square, "abs": np.abs, "floor": np.floor}
TWO = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum,
       "minimum": np.minimum}
ORDER = {"less": np.less, "greater_equal": np.greater_equal, "equal": np.equal}

for name in (*ONE, *TWO, *ORDER, "sqrt", "divide", "where", "astype", "retain", "scalar_real", "max_with", "release"):
    getattr(lib, f"tv_{name}").restype = _p
for name in (*ONE, "sqrt", "retain", "release"):
    getattr(lib, f"tv_{name}").argtypes = (_p,)
for name in (*TWO, *ORDER, "divide"):
    getattr(lib, f"tv_{name}").argtypes = (_p, _p)
lib.tv_where.argtypes = (_p, _p, _p)
lib.tv_astype.argtypes = (_p, ctypes.c_int)
lib.tv_scalar_real.argtypes = (ctypes.c_double,)
lib.tv_max_with.argtypes = (_p, ctypes.c_int, _p, _p)


class Pool:
    """Tensors of the library's own bytes, beside the arrays that they are copies of."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.pairs = []
        with library.Scope():
            for shape in SHAPES:
                for dtype in DTYPES:
                    array = (rng.integers(-40, 40, shape) / (1 if dtype == "int32" else 8)).astype(dtype)
                    tensor = lib.tv_tensor_from_memory(array.ctypes.data, library.NAMES.index(dtype), array.ndim,
                                                       library.sizes(shape), None)
                    self.pairs.append((lib.tv_retain(tensor), array))
        self.of_rank = [[pair for pair in self.pairs if pair[1].ndim == rank] for rank in (1, 2)]

    def release(self):
        for tensor, _ in self.pairs:
            lib.tv_release(tensor)


def step(draw, values):
    """One op more, on values that are there."""
    (a, x), (b, y) = draw.choice(values), draw.choice(values)
    kind = draw.randrange(12)
    if kind < 3:
        name = draw.choice(tuple(ONE))
        return (a, x) if x.dtype == bool else (getattr(lib, f"tv_{name}")(a), ONE[name](x))
    if kind < 7:
        name = draw.choice(tuple(TWO))
        if x.dtype == bool or y.dtype == bool:
            return a, x
        return getattr(lib, f"tv_{name}")(a, b), TWO[name](x, y)
    if kind == 7:
        name = draw.choice(tuple(ORDER))
        return getattr(lib, f"tv_{name}")(a, b), ORDER[name](x, y)
    if kind == 8:
        condition = lib.tv_less(a, b), np.less(x, y)
        return lib.tv_where(condition[0], a, b), np.where(condition[1], x, y)
    if kind == 9 and x.dtype.kind == "f":
        return lib.tv_sqrt(lib.tv_abs(a)), np.sqrt(np.abs(x))
    if kind == 10 and x.dtype.kind == "f":
        half = lib.tv_scalar_real(0.5)
        return lib.tv_divide(a, half), x / x.dtype.type(0.5)
    to = draw.choice(("float32", "float64"))
    return lib.tv_astype(a, library.NAMES.index(to)), x.astype(to)


def is_same(got, want):
    name, shape, content = got
    if name != want.dtype.name or shape != list(want.shape):
        return False
    if content == want.tobytes():
        return True
    return want.dtype.kind == "f" and np.array_equal(np.frombuffer(content, want.dtype).reshape(shape), want,
                                                     equal_nan=True)


@pytest.mark.parametrize("share", range(SHARE))
def test_random_graphs(share):
    draw, pool = random.Random(share), Pool(share)
    with np.errstate(all="ignore"):
        for graph in range(GRAPHS // SHARE):
            with library.Scope():
                values = draw.sample(pool.of_rank[draw.random() < 0.8], 3)
                for _ in range(draw.randint(2, 8)):
                    values.append(step(draw, values))
                for tensor, array in (values[-1], draw.choice(values)):
                    assert is_same(library.content(tensor), array), f"graph {graph} of {share}"
    pool.release()
