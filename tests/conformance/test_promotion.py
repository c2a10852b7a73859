# SPDX-License-Identifier: MIT
"""How dtypes meet, against NumPy: pairs, several at once, weak scalars, casts that are allowed."""

import itertools

import numpy as np
import pytest
from hypothesis import strategies as st

import tensorvar_array as xp
from examples import dtypes, examples
from numbers_of import ALL, INTEGERS, NUMPYS, as_numpy_promotes
from tensorvar_array import BY_NAME, recorder

SAMPLES = {"bool": True, "int": 3, "real": 2.5, "complex": 1 + 2j}


def empty(name):
    return xp.zeros((1,), dtype=BY_NAME[name])


@pytest.mark.parametrize("a", ALL)
def test_pairs_of_dtypes(a):
    for b in ALL:
        recorder.start()
        want = as_numpy_promotes([a, b])
        assert xp.result_type(BY_NAME[a], BY_NAME[b]).name == want, (a, b)
        assert xp.result_type(empty(a), empty(b)).name == want, (a, b)
        assert xp.add(empty(a), empty(b)).dtype.name == want, (a, b)
        assert xp.native.lib.tv_promote_types(BY_NAME[a].number, BY_NAME[b].number) == BY_NAME[want].number, (a, b)


def test_triples_of_dtypes():
    for names in itertools.product(NUMPYS, repeat=3):
        assert xp.result_type(*[BY_NAME[n] for n in names]).name == np.result_type(*names).name, names


@examples(200, names=st.lists(dtypes, min_size=1, max_size=6))
def test_several_dtypes_at_once(names):
    if "bfloat16" in names and "float16" in names:
        return  # no counterpart in NumPy for more than two
    assert xp.result_type(*[BY_NAME[n] for n in names]).name == as_numpy_promotes(names)
    assert xp.concat([empty(n) for n in names]).dtype.name == as_numpy_promotes(names)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("name", ALL)
def test_weak_scalars(name, kind):
    value = SAMPLES[kind]
    want = (np.ones(1, "float16" if name == "bfloat16" else name) + value).dtype.name
    want = "bfloat16" if name == "bfloat16" and want == "float16" else want
    for got in (xp.add(empty(name), value), xp.add(value, empty(name)), xp.add(xp.zeros((), dtype=BY_NAME[name]), value)):
        assert got.dtype.name == want
    assert xp.result_type(BY_NAME[name], value).name == want
    assert xp.where(xp.asarray([True]), value, empty(name)).dtype.name == want


@pytest.mark.parametrize("name", INTEGERS)
def test_weak_integers_fit_or_are_refused(name):
    limits = np.iinfo(name)
    x = xp.asarray([limits.min, 0, limits.max], dtype=None) if name == "int64" else xp.astype(
        xp.asarray([limits.min, 0, limits.max]), BY_NAME[name])
    y = np.array([limits.min, 0, limits.max], name)
    for value in (limits.min, limits.max, 0, 1):
        assert xp.add(x, value).tolist() == (y + y.dtype.type(value)).tolist()
    for value in (limits.min - 1, limits.max + 1):
        if not -(2**63) <= value < 2**64:
            continue
        with pytest.raises(xp.Failure):
            xp.add(x, value)
        for op in ("less", "less_equal", "equal", "not_equal", "greater", "greater_equal"):
            assert xp.OPS[op](x, value).tolist() == getattr(np, op)(y, value).tolist(), (op, value)
            assert xp.OPS[op](value, x).tolist() == getattr(np, op)(value, y).tolist(), (op, value)
        low, high = min(value, 0), max(value, 0)
        assert xp.clip(x, low, high).tolist() == np.clip(y, max(low, limits.min), min(high, limits.max)).tolist()


def test_weak_reals_overflow_to_infinity():
    for name in ("float16", "float32"):
        y = xp.multiply(xp.ones((2,), dtype=BY_NAME[name]), 1e300)
        assert y.dtype.name == name and y.tolist() == [np.inf] * 2


def test_casts_that_are_allowed():
    order = "buifc"
    for a, b in itertools.product(ALL, ALL):
        x, y = BY_NAME[a], BY_NAME[b]
        same_kind = bool(xp.native.lib.tv_can_cast(x.number, y.number, 1))
        assert same_kind == (order.index(x.kind) <= order.index(y.kind)), (a, b)
        if "bfloat16" not in (a, b):
            assert xp.can_cast(x, y) == np.can_cast(a, b, "safe"), (a, b)
            # NumPy's own same_kind differs in one thing: it lets signed integers become unsigned.
            if not (x.kind == "i" and y.kind == "u"):
                assert same_kind == np.can_cast(a, b, "same_kind"), (a, b)
        elif a == b:
            assert xp.can_cast(x, y)
        elif a == "bfloat16":
            assert xp.can_cast(x, y) == (b in ("float32", "float64", "complex64", "complex128")), b
        else:
            assert xp.can_cast(x, y) == (a in ("bool", "int8", "uint8")), a


def test_kinds_and_limits():
    for name in NUMPYS:
        dtype = BY_NAME[name]
        assert xp.isdtype(dtype, "numeric") == (dtype.kind != "b") and xp.isdtype(dtype, dtype)
        if dtype.kind in "iu":
            assert (xp.iinfo(dtype).min, xp.iinfo(dtype).max) == (np.iinfo(name).min, np.iinfo(name).max)
        elif dtype.kind in "fc":
            ours, theirs = xp.finfo(dtype), np.finfo(name)
            assert (ours.max, ours.eps, ours.smallest_normal) == (theirs.max, theirs.eps, theirs.smallest_normal)
