# SPDX-License-Identifier: MIT
"""Creation, and the ways in and out: lists, buffers, DLPack, against NumPy."""

import numpy as np
import pytest
from hypothesis import strategies as st

import compare
import tensorvar_array as xp
from examples import dtypes, examples, kinds, lay_out, layouts, seeds, shapes, values
from numbers_of import ALL, NUMPYS, array_of, storage
from tensorvar_array import BY_NAME

NUMBERS = [n for n in NUMPYS if n != "bool"]
EXACT = [n for n in NUMPYS if storage(n).kind in "fi" and n != "float16"]


@examples(150, name=dtypes, shape=shapes())
def test_shapes_filled(name, shape):
    dtype, want = BY_NAME[name], storage(name)
    compare.equal(xp.zeros(shape, dtype=dtype), np.zeros(shape, want), name)
    compare.equal(xp.ones(shape, dtype=dtype), np.ones(shape, want), name)
    compare.equal(xp.full(shape, 3, dtype=dtype), np.full(shape, 3, want), name)
    x = xp.zeros(shape, dtype=dtype)
    compare.equal(xp.zeros_like(x), np.zeros(shape, want), name)
    compare.equal(xp.ones_like(x), np.ones(shape, want), name)
    compare.equal(xp.full_like(x, 1), np.full(shape, 1, want), name)


@pytest.mark.parametrize("value", [True, 7, 2.5, 1 - 2j])
def test_full_takes_the_dtype_of_its_value(value):
    compare.equal(xp.full((2, 3), value), np.full((2, 3), value))


@examples(400, bounds=st.tuples(*[st.integers(-20, 20)] * 2), step=st.integers(-5, 5).filter(bool),
          name=st.sampled_from([None, *NUMBERS]))
def test_arange_of_integers(bounds, step, name):
    if name and name[0] == "u" and min(*bounds, bounds[0]) < 0:
        return
    want = np.arange(*bounds, step, dtype=name)
    compare.equal(xp.arange(*bounds, step, dtype=BY_NAME.get(name)), want, f"{want.dtype.name}", f"arange {bounds} {step}")


@examples(400, bounds=st.tuples(*[st.floats(-20, 20, width=32)] * 2), step=st.floats(.05, 3), down=st.booleans())
def test_arange_of_reals(bounds, step, down):
    step, bounds = (-step if down else step), (bounds[0] + 0., bounds[1])  # NumPy gives a first -0 as it is
    compare.equal(xp.arange(*bounds, step), np.arange(*bounds, step), "float64", f"arange {bounds} {step}")


def test_arange_as_documented():
    assert xp.arange(1, 1.3, .1).size == 4 and xp.arange(1., 2., .1).tolist()[3] == 1.3000000000000003
    assert xp.arange(5).tolist() == [0, 1, 2, 3, 4] and xp.arange(5).dtype is xp.int64
    for wrong in ((0, 1, 0), (0., 1., 0.), (0., float("inf"), 1.)):
        with pytest.raises(xp.Failure):
            xp.arange(*wrong)


@examples(300, bounds=st.tuples(*[st.floats(-100, 100, width=32)] * 2), num=st.integers(0, 40),
          name=st.sampled_from([None, *EXACT]), endpoint=st.booleans())
def test_linspace(bounds, num, name, endpoint):
    if not endpoint and name not in (None, "float64"):
        return
    want = np.linspace(*bounds, num, dtype=name, endpoint=endpoint)
    got = xp.linspace(*bounds, num, dtype=BY_NAME.get(name), endpoint=endpoint)
    if want.dtype.kind == "f":
        scale = max(map(abs, bounds))
        assert got.dtype.name == want.dtype.name and got.shape == want.shape
        assert np.allclose(np.asarray(got), want, rtol=0, atol=2 * scale * np.finfo(want.dtype).eps)
        if num > 1 and endpoint:
            assert got.tolist()[-1] == want[-1]
    else:
        close = np.linspace(*bounds, num)
        exact = np.abs(close - np.round(close)) > 1e-9
        assert (np.asarray(got)[exact] == want[exact]).all()


def test_linspace_without_overflow():
    assert xp.linspace(1e308, -1e308, 3).tolist() == [1e308, 0.0, -1e308]


@examples(150, n=st.integers(0, 6), m=st.one_of(st.none(), st.integers(0, 6)), k=st.integers(-8, 8), name=dtypes)
def test_eye(n, m, k, name):
    compare.equal(xp.eye(n, m, k=k, dtype=BY_NAME[name]), np.eye(n, m, k, storage(name)), name)


@examples(300, name=st.sampled_from(NUMPYS), shape=shapes(), layout=layouts, kind=kinds, seed=seeds)
def test_ways_out_and_in(name, shape, layout, kind, seed):
    array, x = lay_out(values(np.random.default_rng(seed), name, shape, kind), layout, name)
    assert compare.same_bits(np.asarray(array), x).all() and np.asarray(array).dtype == x.dtype
    assert np.asarray(array).shape == x.shape
    compare.equal(xp.asarray(x), x, name)
    compare.equal(xp.asarray(x.T), x.T, name)
    compare.equal(array_of(np.array(array.tolist(), x.dtype).reshape(x.shape)), x, name)
    compare.equal(xp.from_dlpack(x.T), x.T, name)
    assert compare.same_bits(np.from_dlpack(array), x).all()
    assert array.__dlpack_device__() == (1, 0) and array.device == "cpu"
    lent = array.__dlpack__()
    del lent


def test_a_consumer_of_dlpack_holds_the_tensor():
    live = xp.native.lib.tv_live_handles()
    view = np.from_dlpack(xp.asarray([1.0, 2.0, 3.0])[::-1])
    assert view.tolist() == [3.0, 2.0, 1.0] and xp.native.lib.tv_live_handles() > live
    del view
    assert xp.native.lib.tv_live_handles() == live


def test_lists():
    for nested in (True, 3, 2.5, 1j, [1, 2], [1, 2.5], [[True, False]], [1, 2j], [[], []], [2**63], [[1, 2], [3, 4]]):
        compare.equal(xp.asarray(nested), np.asarray(nested))
    for name in ALL:
        assert xp.asarray([0, 1], dtype=BY_NAME[name]).dtype.name == name
    with pytest.raises(ValueError):
        xp.asarray([[1], [2, 3]])


def test_the_namespace_says_what_it_is():
    x = xp.zeros((2, 3))
    info = x.__array_namespace__().__array_namespace_info__()
    assert info.default_device() == "cpu" and "cpu" in info.devices()
    assert info.default_dtypes()["real floating"] is xp.float64
    assert set(info.dtypes(kind="bool")) == {"bool"} and "int8" in info.dtypes(kind="signed integer")
    assert (x.shape, x.ndim, x.size, x.T.shape, len(x)) == ((2, 3), 2, 6, (3, 2), 2)
    assert x.to_device("cpu") is not None and str(xp.asarray(1.5)) == "1.5"
    with pytest.raises(xp.Failure):
        x.to_device("nowhere")
