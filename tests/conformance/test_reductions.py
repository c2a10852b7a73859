# SPDX-License-Identifier: MIT
"""sum, mean, max, min, argmax, argmin against NumPy: any axes, dtype, layout."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

import bounds
import compare
import tensorvar_array as xp
from examples import dtypes, examples, kinds, lay_out, layouts, seeds, shapes, values
from numbers_of import ALL, array_of, numpy_of, rounded, storage
from tensorvar_array import BY_NAME

WIDE = {"f": np.longdouble, "c": np.clongdouble}


def some_axes(draw_axes, rank):
    """None, or different axes counted from either end."""
    if draw_axes is None:
        return None
    return tuple(dict.fromkeys(k % rank for k in draw_axes)) if rank else ()


axes_drawn = st.one_of(st.none(), st.lists(st.integers(-4, 3), max_size=3))


def sum_dtype(name):
    return {"b": "int64", "i": "int64", "u": "uint64"}.get(storage(name).kind, name)


def within(x, want, magnitude, n, name, what):
    """A floating sum lies within the bound of eps times the sum of magnitudes; special values agree."""
    got = numpy_of(x)
    assert (x.dtype.name, x.shape) == (name, want.shape), f"{what}: {x.dtype.name} {x.shape}, want {name} {want.shape}"
    part = {"complex64": "float32", "complex128": "float64"}.get(name, name)
    limits = xp.finfo(BY_NAME[part])
    eps = {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(name, 0)  # the last rounding, then sums in float32
    unit = 2.0**-24 if name in ("float16", "bfloat16") else limits.eps / 2
    error = (2 * bounds.sum_error(n) * unit + eps) * magnitude + limits.smallest_normal * limits.eps
    plain = np.isfinite(want) & np.isfinite(magnitude) & (magnitude < limits.max)
    wrong = plain & ~(np.abs(np.where(plain, got.astype(want.dtype) - want, 0)) <= np.where(plain, error, 1))
    assert not wrong.any(), f"{what}: got {got[wrong][0]}, want {want[wrong][0]}, within {error[wrong][0]}"
    if want.dtype.kind == "f":
        special = ~np.isfinite(want)
        same = np.where(np.isnan(want), np.isnan(got), got == want)
        assert same[special].all(), f"{what}: got {got[special & ~same]}, want {want[special & ~same]}"


@examples(600, name=dtypes, shape=shapes(), layout=layouts, kind=kinds, drawn=axes_drawn, keepdims=st.booleans(),
          seed=seeds)
def test_sum(name, shape, layout, kind, drawn, keepdims, seed):
    array, x = lay_out(values(np.random.default_rng(seed), name, shape, kind), layout, name)
    axes = some_axes(drawn, len(shape))
    got, what = xp.sum(array, axis=axes, keepdims=keepdims), f"sum of {name} {shape} over {axes}"
    if x.dtype.kind in "bui":
        compare.equal(got, np.sum(x, axis=axes, keepdims=keepdims, dtype=sum_dtype(name)), sum_dtype(name), what)
        return
    wide = x.astype(WIDE[x.dtype.kind])
    n = max(1, x.size)
    within(got, np.asarray(np.sum(wide, axis=axes, keepdims=keepdims)),
           np.asarray(np.sum(np.abs(wide), axis=axes, keepdims=keepdims)), n, name, what)


@examples(400, name=dtypes, shape=shapes(), layout=layouts, drawn=axes_drawn, keepdims=st.booleans(), seed=seeds)
def test_mean(name, shape, layout, drawn, keepdims, seed):
    array, x = lay_out(values(np.random.default_rng(seed), name, shape), layout, name)
    axes = some_axes(drawn, len(shape))
    want_name = "float64" if x.dtype.kind in "bui" else name
    wide = x.astype(WIDE["c" if x.dtype.kind == "c" else "f"])
    want = np.asarray(np.sum(wide, axis=axes, keepdims=keepdims))
    n = x.size // want.size if want.size else 1
    scale = np.longdouble(n) if n else np.longdouble("nan")
    within(xp.mean(array, axis=axes, keepdims=keepdims), want / scale,
           np.asarray(np.sum(np.abs(wide), axis=axes, keepdims=keepdims)) / scale, max(1, n), want_name,
           f"mean of {name} {shape} over {axes}")


@pytest.mark.parametrize("op", ["max", "min"])
def test_largest_and_smallest(op):
    @examples(400, name=dtypes, shape=shapes(), layout=layouts, kind=kinds, drawn=axes_drawn, keepdims=st.booleans(),
              seed=seeds)
    def sweep(name, shape, layout, kind, drawn, keepdims, seed):
        array, x = lay_out(values(np.random.default_rng(seed), name, shape, kind), layout, name)
        axes = some_axes(drawn, len(shape))
        reduced = shape if axes is None else [shape[k] for k in axes]
        if x.dtype.kind == "c" or 0 in reduced:
            with pytest.raises(xp.Failure) as caught:
                getattr(xp, op)(array, axis=axes, keepdims=keepdims)
            assert caught.value.status == ("TV_EDTYPE" if x.dtype.kind == "c" else "TV_ESHAPE")
            return
        want = np.asarray(getattr(np, op)(x, axis=axes, keepdims=keepdims))
        if x.dtype.kind == "f":  # +0 is above -0, in whatever order
            below = np.signbit(x) & (x == 0)
            is_below = (np.all(below | (x != 0), axis=axes, keepdims=keepdims) if op == "max" else
                        np.any(below, axis=axes, keepdims=keepdims))
            want = np.where(want == 0, np.where(is_below, -0.0, 0.0), want).astype(x.dtype)
        compare.equal(getattr(xp, op)(array, axis=axes, keepdims=keepdims), want, name, f"{op} of {name} over {axes}")

    sweep()


@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_positions(op):
    @examples(400, name=dtypes, shape=shapes(), layout=layouts, kind=kinds, axis=st.one_of(st.none(), st.integers(-4, 3)),
              keepdims=st.booleans(), seed=seeds)
    def sweep(name, shape, layout, kind, axis, keepdims, seed):
        array, x = lay_out(values(np.random.default_rng(seed), name, shape, kind), layout, name)
        axis = None if axis is None or not shape else axis % len(shape)
        if x.dtype.kind == "c" or (0 in shape if axis is None else shape[axis] == 0):
            with pytest.raises(xp.Failure):
                getattr(xp, op)(array, axis=axis, keepdims=keepdims)
            return
        compare.equal(getattr(xp, op)(array, axis=axis, keepdims=keepdims),
                      np.asarray(getattr(np, op)(x, axis=axis, keepdims=keepdims)), "int64", f"{op} of {name} over {axis}")

    sweep()


@examples(200, source=st.sampled_from(ALL), name=st.sampled_from(ALL), shape=shapes(), layout=layouts, seed=seeds)
def test_sum_in_another_dtype(source, name, shape, layout, seed):
    array, x = lay_out(np.abs(values(np.random.default_rng(seed), source, shape)).astype(storage(source)), layout, source)
    if storage(source).kind == "c" and storage(name).kind not in "cb":
        with pytest.raises(xp.Failure):
            xp.sum(array, dtype=BY_NAME[name])
        return
    converted = xp.astype(array, BY_NAME[name])
    want = numpy_of(converted)
    got = xp.sum(array, dtype=BY_NAME[name])
    assert got.dtype.name == name
    if storage(name).kind in "biu":
        compare.equal(got, np.sum(want, dtype=name), name)
    else:
        wide = want.astype(WIDE[want.dtype.kind])
        within(got, np.asarray(wide.sum()), np.asarray(np.abs(wide).sum()), max(1, x.size), name, f"sum in {name}")


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_long_sums(name):
    rng = np.random.default_rng(5)
    for n in (511, 512, 513, 4096, 100003):
        x = values(rng, name, (n,)) if name != "float16" else rounded(rng.normal(size=n) * .01, name)
        wide = x.astype(WIDE[x.dtype.kind])
        within(xp.sum(array_of(x, name)), np.asarray(wide.sum()), np.asarray(np.abs(wide).sum()), n, name, f"sum of {n}")


def test_documented_values():
    ones = xp.ones((70000,), dtype=xp.float16)
    assert xp.sum(ones).tolist() == math.inf and xp.mean(ones).tolist() == 1
    assert math.isnan(float(xp.mean(xp.zeros((0,))))) and float(xp.sum(xp.zeros((0,)))) == 0
    for axes, status in (((0, 0), "TV_EVALUE"), ((2,), "TV_EINDEX"), ((0, -2), "TV_EVALUE")):
        with pytest.raises(xp.Failure) as caught:
            xp.sum(xp.zeros((2, 2)), axis=axes)
        assert caught.value.status == status
