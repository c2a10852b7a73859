# SPDX-License-Identifier: MIT
"""matmul in every dtype, shape and layout against NumPy, and softmax and the loss against their formulas."""

import numpy as np
import pytest
from hypothesis import strategies as st

import bounds
import compare
import tensorvar_array as xp
from examples import broadcasting, dtypes, examples, kinds, lay_out, layouts, seeds, shapes, values
from numbers_of import ALL, array_of, as_numpy_promotes, numpy_of, rounded, storage
from tensorvar_array import BY_NAME

REALS = ("float16", "bfloat16", "float32", "float64")


def check(arrays, operands, names, what):
    name = as_numpy_promotes(names)
    a, b = (rounded(x, name) for x in operands)
    got = xp.matmul(*arrays)
    if storage(name).kind in "biu":
        compare.equal(got, np.matmul(a, b), name, what)
        return
    wide = np.clongdouble if storage(name).kind == "c" else np.longdouble
    want = np.asarray(np.matmul(a.astype(wide), b.astype(wide)))
    size = np.asarray(np.matmul(np.abs(a).astype(np.longdouble), np.abs(b).astype(np.longdouble)))
    assert (got.dtype.name, got.shape) == (name, want.shape), f"{what}: {got.dtype.name} {got.shape}, want {name} {want.shape}"
    limits = xp.finfo(BY_NAME[name])
    half = name in ("float16", "bfloat16")
    unit = 2.0**-23 if half else limits.eps
    growth = 2 if storage(name).kind == "c" else 1
    error = size * (growth * bounds.matmul_error(a.shape[-1]) * unit + (limits.eps / 2 if half else 0))
    near = np.abs(numpy_of(got).astype(wide) - want) <= error + limits.smallest_normal * limits.eps
    finite = np.isfinite(want) & (size < limits.max)
    assert (near | ~finite).all(), f"{what}: got {numpy_of(got)[finite & ~near][0]}, want {want[finite & ~near][0]}"


@examples(800, lead=broadcasting(2, max_rank=2), sizes=st.tuples(*[st.integers(0, 6)] * 3), names=st.tuples(dtypes, dtypes),
          same=st.booleans(), vector=st.sampled_from(["", "", "a", "b", "ab"]), laid=st.tuples(layouts, layouts), seed=seeds)
def test_matmul(lead, sizes, names, same, vector, laid, seed):
    rng = np.random.default_rng(seed)
    m, k, n = sizes
    names = (names[0],) * 2 if same else names
    shape = ((k,) if "a" in vector else lead[0] + (m, k)), ((k,) if "b" in vector else lead[1] + (k, n))
    arrays, operands = zip(*[lay_out(values(rng, name, s), layout, name) for name, s, layout in zip(names, shape, laid)])
    check(arrays, operands, names, f"matmul {names} {shape}")


@pytest.mark.parametrize("name", ALL)
def test_larger_products(name):
    rng = np.random.default_rng(9)
    for m, k, n in ((65, 130, 33), (1, 300, 7), (128, 64, 1), (17, 1, 19)):
        a, b = values(rng, name, (m, k)), values(rng, name, (k, n))
        at, bt = xp.permute_dims(array_of(a.T.copy(), name), (1, 0)), xp.permute_dims(array_of(b.T.copy(), name), (1, 0))
        for x in (array_of(a, name), at):
            for y in (array_of(b, name), bt):
                check((x, y), (a, b), (name, name), f"matmul {name} {m} {k} {n}")


@pytest.mark.parametrize("name", ["int8", "uint8", "int32", "uint64", "bool"])
def test_integers_wrap_and_bools_are_or_and(name):
    rng = np.random.default_rng(2)
    a, b = values(rng, name, (5, 40), "bits"), values(rng, name, (40, 6), "bits")
    check((array_of(a), array_of(b)), (a, b), (name, name), name)


def test_what_does_not_fit():
    for a, b in (((), (3,)), ((3,), ()), ((2, 3), (4, 4)), ((2, 2, 3), (3, 3, 4))):
        with pytest.raises(xp.Failure) as caught:
            xp.matmul(xp.zeros(a), xp.zeros(b))
        assert caught.value.status == "TV_ESHAPE"


@examples(200, shape=shapes(max_rank=3, min_rank=1), axis=st.integers(-3, 2), name=st.sampled_from(REALS), layout=layouts,
          kind=kinds, seed=seeds)
def test_softmax(shape, axis, name, layout, kind, seed):
    axis %= len(shape)
    x = values(np.random.default_rng(seed), name, shape, kind)
    array, x = lay_out(rounded(x, name), layout, name)
    wide = x.astype(np.longdouble)
    eps = xp.finfo(BY_NAME[name]).eps
    with np.errstate(all="ignore"):
        z = wide - wide.max(axis, keepdims=True) if wide.size else wide
        e = np.exp(z)
        total = e.sum(axis, keepdims=True)
        for got, want in ((xp.softmax(array, axis), e / total), (xp.log_softmax(array, axis), z - np.log(total))):
            assert (got.dtype.name, got.shape) == (name, shape)
            got = numpy_of(got).astype(np.longdouble)
            size = 8 * eps * (1 + np.abs(np.where(np.isfinite(want), want, 0)) + np.abs(np.where(np.isfinite(z), z, 0)))
            near = (np.abs(got - want) <= size) | (got == want) | (np.isnan(got) & np.isnan(want))
            assert near.all(), (got[~near][0], want[~near][0])


@examples(200, shape=shapes(max_rank=3), classes=st.integers(1, 7), name=st.sampled_from(REALS), layout=layouts, kind=kinds,
          seed=seeds)
def test_softmax_cross_entropy(shape, classes, name, layout, kind, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, name, (*shape, classes)) * storage(name).type(4)
    array, x = lay_out(rounded(x, name), layout, name)
    labels = rng.integers(0, classes, shape)
    got = xp.softmax_cross_entropy(array, array_of(labels))
    wide = x.astype(np.longdouble)
    top = wide.max(-1, keepdims=True)
    picked = np.take_along_axis(wide - top, labels[..., None], -1)[..., 0]
    want = np.asarray(np.log(np.exp(wide - top).sum(-1)) - picked)
    assert (got.dtype.name, got.shape) == (name, shape)
    eps = xp.finfo(BY_NAME[name]).eps
    near = np.abs(numpy_of(got).astype(np.longdouble) - want) <= 8 * eps * (1 + np.abs(want) + np.abs(top[..., 0]))
    assert near.all(), (numpy_of(got), want)
