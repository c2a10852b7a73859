# SPDX-License-Identifier: MIT
"""Every write of a Variable against NumPy, over dtypes, layouts and duplicates; figures of TensorFlow and
Keras; projections against the algorithms that define them."""

import ctypes

import numpy as np
import pytest
from hypothesis import strategies as st

import compare
import library
import tensorvar_array as xp
from examples import examples, lay_out, layouts, seeds, shapes, values
from numbers_of import INTEGERS, NUMPYS, array_of, numpy_of
from tensorvar_array import native
from tensorvar_array.indexing import text
from test_indexing import keys

HOWS = ("update", "add", "sub", "mul", "div", "min", "max")
OPS = dict(zip(HOWS, (None, np.add, np.subtract, np.multiply, np.divide, np.minimum, np.maximum)))
EVERY_WRITE = 1
hows = st.sampled_from(HOWS)
names = st.sampled_from(NUMPYS)
lib = native.lib


def is_taken(how, name):
    """Whether a Variable of a dtype takes the update, and NumPy's result is the library's to the last bit."""
    kind = np.dtype(name).kind
    if how == "update" or how == "add":
        return True
    if kind == "b":
        return how != "sub" and how != "div"
    if kind == "c":
        return how == "sub"  # products and quotients are test_elementwise's, and there is no order
    return how != "div" or kind == "f"


class Variable:
    """One of the library, for the length of a test."""

    def __init__(self, array, constraint=None):
        options = library.VariableOptions(ctypes.sizeof(library.VariableOptions), None, True)
        options.constraint = constraint or library.Constraint(ctypes.sizeof(library.Constraint))
        self.handle = lib.tv_variable_new(array.handle, ctypes.byref(options))
        native.raise_failure()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.tv_variable_release(self.handle)

    def write(self, verb, *arguments):
        with native.Scope():
            getattr(lib, f"tv_variable_{verb}")(self.handle, *[getattr(a, "handle", a) for a in arguments])
        native.raise_failure()

    def read(self):
        with native.Scope():
            name, shape, content = library.content(lib.tv_read(self.handle))
        return xp.from_bytes(content, xp.BY_NAME[name], tuple(shape))

    def moved(self):
        n = ctypes.c_int64(-1)
        lib.tv_variable_moved(self.handle, ctypes.byref(n))
        return n.value


def updated(how, old, new):
    return new.astype(old.dtype) if how == "update" else OPS[how](old, new, dtype=old.dtype)


@examples(600, name=names, how=hows, shape=shapes(), layout=layouts, seed=seeds)
def test_updates_of_the_whole(name, how, shape, layout, seed):
    if not is_taken(how, name):
        return
    rng = np.random.default_rng(seed)
    (array, x), (value, y) = (lay_out(values(rng, name, shape), layout, name) for _ in range(2))
    with Variable(array) as v:
        v.write("update", HOWS.index(how), value)
        compare.equal(v.read(), updated(how, x, y), name, how)
        compare.equal(array, x, name, "what it was made of")


@examples(600, name=names, how=hows, shape=shapes(), key=keys(), layout=layouts, dropped=st.integers(0, 4), seed=seeds)
def test_updates_of_a_slice(name, how, shape, key, layout, dropped, seed):
    if not is_taken(how, name):
        return
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape), layout, name)
    x = x.copy()
    try:
        part = x[key]
    except IndexError:
        return
    value, y = lay_out(values(rng, name, np.shape(part)[dropped:]), layout, name)
    x[key] = updated(how, np.asarray(part), np.broadcast_to(y, np.shape(part)))
    with Variable(array) as v:
        v.write("update_slice", HOWS.index(how), text(key).encode(), value)
        compare.equal(v.read(), x, name, f"{how} {text(key)}")


@examples(400, name=names, how=hows, shape=shapes(), layout=layouts, dropped=st.integers(0, 4), seed=seeds)
def test_updates_where_a_mask_is_true(name, how, shape, layout, dropped, seed):
    if not is_taken(how, name):
        return
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape), layout, name)
    value, y = lay_out(values(rng, name, shape[dropped:]), layout, name)
    mask, m = lay_out(rng.integers(0, 2, shape).astype(bool), layout, "bool")
    with Variable(array) as v:
        v.write("update_where", HOWS.index(how), mask, value)
        compare.equal(v.read(), np.where(m, updated(how, x, np.broadcast_to(y, shape)), x), name, how)


def in_order(how, x, at, y):
    """One update after another, the last of several winning: at is a tuple of arrays of indices."""
    for j in np.ndindex(at[0].shape):
        place = tuple(index[j] for index in at)
        x[place] = updated(how, np.asarray(x[place]), np.asarray(y[j] if y.ndim else y))


@examples(600, name=names, index=st.sampled_from(INTEGERS), how=hows, shape=shapes(min_rank=1), taken=shapes(max_rank=2),
          scalar=st.booleans(), layout=layouts, seed=seeds)
def test_updates_of_rows(name, index, how, shape, taken, scalar, layout, seed):
    n = shape[0]
    if not is_taken(how, name) or (not n and 0 not in taken):
        return
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape), layout, name)
    where, at = lay_out(rng.integers(-n if index[0] == "i" else 0, max(n, 1), taken).astype(index), layout, index)
    value, y = lay_out(values(rng, name, () if scalar else (*taken, *shape[1:])), layout, name)
    x = x.copy()
    in_order(how, x, (at.astype(np.int64),), y)
    with Variable(array) as v:
        v.write("scatter", HOWS.index(how), where, value)
        compare.equal(v.read(), x, name, how)
        if at.size:
            at = at.copy()
            at.flat[-1] = n
            with pytest.raises(xp.Failure) as caught:
                v.write("scatter", HOWS.index(how), array_of(at), value)
            assert caught.value.status == "TV_EINDEX"
            compare.equal(v.read(), x, name, how)


@examples(400, name=names, how=hows, shape=shapes(min_rank=1, min_size=1), taken=shapes(max_rank=2), axes=st.integers(1, 4),
          scalar=st.booleans(), layout=layouts, seed=seeds)
def test_updates_by_tuples_and_reads_by_tuples(name, how, shape, taken, axes, scalar, layout, seed):
    if not is_taken(how, name):
        return
    rng, axes = np.random.default_rng(seed), min(axes, len(shape))
    array, x = lay_out(values(rng, name, shape), layout, name)
    sizes = np.array(shape[:axes])
    # A broadcast one would have one index for all axes.
    where, at = lay_out(rng.integers(-sizes, sizes, (*taken, axes)), "plain" if layout == "broadcast" else layout, "int64")
    value, y = lay_out(values(rng, name, () if scalar else (*taken, *shape[axes:])), layout, name)
    tuples = tuple(np.moveaxis(at, -1, 0))
    with native.Scope():
        name_, shape_, content = library.content(lib.tv_gather_nd(array.handle, where.handle))
    compare.equal(xp.from_bytes(content, xp.BY_NAME[name_], tuple(shape_)), x[tuples], name, "gather_nd")
    x = x.copy()
    in_order(how, x, tuples, y)
    with Variable(array) as v:
        v.write("scatter_nd", HOWS.index(how), where, value)
        compare.equal(v.read(), x, name, how)


@examples(200, name=names, batch=shapes(max_rank=2), n=st.integers(1, 4), k=st.integers(0, 5), inner=shapes(max_rank=1),
          layout=layouts, seed=seeds)
def test_rows_of_each_batch(name, batch, n, k, inner, layout, seed):
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, (*batch, n, *inner)), layout, name)
    where, at = lay_out(rng.integers(-n, n, (*batch, k)), layout, "int64")
    value, y = lay_out(values(rng, name, (*batch, k, *inner)), layout, name)
    x = x.copy()
    for b in np.ndindex(*batch):
        for j in range(k):
            x[(*b, at[(*b, j)])] = y[(*b, j)]
    with Variable(array) as v:
        v.write("batch_scatter_update", where, value)
        compare.equal(v.read(), x, name)


# TensorFlow 2.21 (CPU), of [[1, 2], [3, 4], [5, 6]] in float32: rows 2 and 0 by [[10, .5], [3, -2]], then elements
# [2, 1] and [0, 0] by [-7, 2.5].
ROWS = {"update": [[3, -2], [3, 4], [10, .5]], "add": [[4, 0], [3, 4], [15, 6.5]], "sub": [[-2, 4], [3, 4], [-5, 5.5]],
        "mul": [[3, -4], [3, 4], [50, 3]], "div": [[0.3333333432674408, -1], [3, 4], [.5, 12]],
        "min": [[1, -2], [3, 4], [5, .5]], "max": [[3, 2], [3, 4], [10, 6]]}
TUPLES = {"update": [[2.5, 2], [3, 4], [5, -7]], "add": [[3.5, 2], [3, 4], [5, -1]], "sub": [[-1.5, 2], [3, 4], [5, 13]],
          "min": [[1, 2], [3, 4], [5, -7]], "max": [[2.5, 2], [3, 4], [5, 6]]}


def f32(x):
    return array_of(np.array(x, np.float32))


def test_figures_of_tensorflow():
    start = f32([[1, 2], [3, 4], [5, 6]])
    for how, want in ROWS.items():
        with Variable(start) as v:
            v.write("scatter", HOWS.index(how), array_of(np.array([2, 0])), f32([[10, .5], [3, -2]]))
            compare.equal(v.read(), np.array(want, np.float32), what=how)
    for how, want in TUPLES.items():
        with Variable(start) as v:
            v.write("scatter_nd", HOWS.index(how), array_of(np.array([[2, 1], [0, 0]])), f32([-7, 2.5]))
            compare.equal(v.read(), np.array(want, np.float32), what=how)
    with Variable(start) as v:
        v.write("batch_scatter_update", array_of(np.array([[1], [0], [1]])), f32([[8], [9], [7]]))
        compare.equal(v.read(), np.array([[1, 8], [9, 4], [5, 7]], np.float32))


# Projections -------------------------------------------------------------------------------------------------------------

for _name, *_types in (("unit_norm", ctypes.c_int, ctypes.c_void_p),
                       ("max_norm", ctypes.c_double, ctypes.c_int, ctypes.c_void_p),
                       ("min_max_norm", ctypes.c_double, ctypes.c_double, ctypes.c_int, ctypes.c_void_p),
                       ("non_negative",), ("simplex", ctypes.c_int64)):
    _function = getattr(lib, f"tv_constraint_{_name}")
    _function.restype, _function.argtypes = library.Constraint, (ctypes.c_int, *_types)


def constraint(kind, *numbers, axes=None):
    axes = () if axes is None else (len(axes), (ctypes.c_int64 * max(1, len(axes)))(*axes))
    return getattr(lib, f"tv_constraint_{kind}")(EVERY_WRITE, *numbers, *axes)


def test_figures_of_keras():
    """Keras 3, of columns [3, 4] and [.1, .2], which divides by the norm + 1e-7; we divide by the norm."""
    w = np.array([[3, .1], [4, .2]])
    for chosen, want in (
            (constraint("unit_norm", axes=(0,)),
             [[0.5999999880000002, 0.44721339550004735], [0.7999999840000003, 0.8944267910000947]]),
            (constraint("max_norm", 2, axes=(0,)),
             [[1.1999999760000004, 0.09999995527866046], [1.5999999680000005, 0.19999991055732091]]),
            (constraint("min_max_norm", .5, 2, axes=(0,)),
             [[1.1999999760000004, 0.2236066977500237], [1.5999999680000005, 0.4472133955000474]])):
        with Variable(array_of(w), chosen) as v:
            np.testing.assert_allclose(numpy_of(v.read()), want, rtol=5e-7)
    with Variable(array_of(w - .15), constraint("non_negative")) as v:
        np.testing.assert_array_equal(numpy_of(v.read()), np.maximum(w - .15, 0))


def by_sorting(w, axis):
    """The nearest point of the simplex, by the algorithm of Duchi et al. (2008), figure 1."""
    w = np.moveaxis(w.astype(np.longdouble), axis, -1)
    falling = -np.sort(-w)
    sums = np.cumsum(falling, -1) - 1
    count = np.arange(1, w.shape[-1] + 1)
    rho = (falling - sums / count > 0).sum(-1, keepdims=True)
    return np.moveaxis(np.maximum(w - np.take_along_axis(sums, rho - 1, -1) / rho, 0), -1, axis)


@examples(300, name=st.sampled_from(["float32", "float64"]), shape=shapes(min_rank=1, min_size=1), axis=st.integers(0, 3),
          scale=st.sampled_from([1e-3, 1., 1e3]), layout=layouts, seed=seeds)
def test_simplex_is_what_sorting_finds(name, shape, axis, scale, layout, seed):
    axis %= len(shape)
    array, x = lay_out((values(np.random.default_rng(seed), "float64", shape) * scale).astype(name), layout, name)
    with Variable(array, constraint("simplex", axis)) as v:
        got = numpy_of(v.read())
        np.testing.assert_allclose(got, by_sorting(x, axis).astype(name), rtol=0, atol=4 * np.finfo(name).eps * max(1, scale))
        assert v.moved() == (got != x).sum()


@examples(300, name=st.sampled_from(["float32", "float64", "complex64", "complex128"]), shape=shapes(min_rank=1, min_size=1),
          axes=st.sets(st.integers(0, 3)), low=st.sampled_from([0., .5, 2.]), scale=st.sampled_from([1e-18, 1., 1e18]),
          layout=layouts, seed=seeds)
def test_norms_are_brought_into_bounds(name, shape, axes, low, scale, layout, seed):
    axes = tuple(sorted({axis % len(shape) for axis in axes}))
    array, x = lay_out((values(np.random.default_rng(seed), name, shape) * scale).astype(name), layout, name)
    wide = x.astype(np.clongdouble if x.dtype.kind == "c" else np.longdouble)
    norm = np.sqrt((np.abs(wide) ** 2).sum(axes, keepdims=True))
    for chosen, bounds in ((constraint("min_max_norm", low, 2.5, axes=axes), (low, 2.5)),
                           (constraint("unit_norm", axes=axes), (1, 1)), (constraint("max_norm", 3, axes=axes), (0, 3))):
        want = np.where(norm > 0, wide / np.where(norm > 0, norm, 1) * np.clip(norm, *bounds), wide)
        with Variable(array, chosen) as v:
            got = numpy_of(v.read())
            np.testing.assert_allclose(got, want.astype(name), rtol=4 * np.finfo(name).eps, atol=0)
            assert v.moved() == (got != x).sum()
