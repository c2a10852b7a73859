# SPDX-License-Identifier: MIT
"""Parts by position against NumPy: slices as text and as structs, assignment, take, one_hot."""

import numpy as np
import pytest
from hypothesis import strategies as st

import compare
import tensorvar_array as xp
from examples import dtypes, examples, lay_out, layouts, seeds, shapes, values
from numbers_of import INTEGERS, NUMPYS, array_of
from tensorvar_array import BY_NAME
from tensorvar_array.indexing import text

bounds_ = st.one_of(st.none(), st.integers(-7, 7))
steps = st.sampled_from([None, 1, 2, 3, -1, -2, -3, 7, -7])
terms = st.one_of(st.integers(-5, 4), st.builds(slice, bounds_, bounds_, steps), st.none())


@st.composite
def keys(draw):
    """An index: terms, and at most one `...` among them."""
    found = draw(st.lists(terms, max_size=5))
    if draw(st.booleans()):
        found.insert(draw(st.integers(0, len(found))), Ellipsis)
    return tuple(found)


@examples(1500, name=dtypes, shape=shapes(), layout=layouts, key=keys(), seed=seeds)
def test_slices(name, shape, layout, key, seed):
    array, x = lay_out(values(np.random.default_rng(seed), name, shape, "bits"), layout, name)
    try:
        want = x[key]
    except IndexError:
        for wrong in (lambda: array[key], lambda: xp.slice_text(array, text(key))):
            with pytest.raises(xp.Failure) as caught:
                wrong()
            assert caught.value.status == "TV_EINDEX"
        return
    compare.equal(array[key], want, name, text(key))
    compare.equal(xp.slice_text(array, text(key)), want, name, text(key))


@examples(600, name=dtypes, shape=shapes(), layout=layouts, key=keys(), scalar=st.booleans(), seed=seeds)
def test_slice_assignment(name, shape, layout, key, scalar, seed):
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape, "bits"), layout, name)
    x = x.copy()
    try:
        part = x[key]
    except IndexError:
        return
    value = values(rng, name, () if scalar else np.shape(part))
    x[key] = value
    array[key] = array_of(value, name)
    compare.equal(array, x, name, text(key))


@examples(200, name=dtypes, shape=shapes(), layout=layouts, seed=seeds)
def test_masked_assignment(name, shape, layout, seed):
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape), layout, name)
    x, mask, value = x.copy(), rng.integers(0, 2, shape).astype(bool), values(rng, name, ())
    x[mask] = value
    array[array_of(mask)] = array_of(value, name)
    compare.equal(array, x, name)


@examples(400, name=dtypes, shape=shapes(min_rank=1), layout=layouts, way=layouts, axes=st.integers(1, 4),
          share=st.sampled_from([0, .1, .5, 1]), seed=seeds)
def test_choice_by_a_mask(name, shape, layout, way, axes, share, seed):
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape, "bits"), layout, name)
    mask, chosen = lay_out(rng.random(shape[:axes]) < share, way, "bool")
    compare.equal(array[mask], x[chosen], name)
    with pytest.raises(xp.Failure) as caught:
        array[array_of(np.ones((shape[0] + 1,), bool))]
    assert caught.value.status == "TV_ESHAPE"


def test_text_that_is_no_index():
    x = xp.zeros((3, 3))
    for wrong, status in (("1:2:0", "TV_EVALUE"), ("..., ...", "TV_EVALUE"), ("a", "TV_EVALUE"), ("1 2", "TV_EVALUE"),
                          ("0,0,0", "TV_EINDEX"), ("3", "TV_EINDEX"), ("1.5", "TV_EVALUE"), ("::::", "TV_EVALUE")):
        with pytest.raises(xp.Failure) as caught:
            xp.slice_text(x, wrong)
        assert caught.value.status == status, wrong
    assert xp.slice_text(x, " 1 : 3 , ... , None ").shape == (2, 3, 1)


@examples(500, name=dtypes, index=st.sampled_from(INTEGERS), shape=shapes(min_rank=1), taken=shapes(max_rank=2),
          layout=layouts, seed=seeds)
def test_take(name, index, shape, taken, layout, seed):
    rng = np.random.default_rng(seed)
    array, x = lay_out(values(rng, name, shape, "bits"), layout, name)
    axis = int(rng.integers(-len(shape), len(shape)))
    n = shape[axis]
    if not n and 0 not in taken:
        return
    indices = rng.integers(-n if index[0] == "i" else 0, max(n, 1), taken).astype(index)
    where, indices = lay_out(indices, layout, index)
    compare.equal(xp.take(array, where, axis=axis), np.take(x, indices.astype(np.int64), axis), name)
    if indices.size:
        wrong = indices.copy()
        wrong.flat[-1] = n
        with pytest.raises(xp.Failure) as caught:
            xp.take(array, array_of(wrong), axis=axis)
        assert caught.value.status == "TV_EINDEX"


def test_take_wants_integers():
    for name in ("bool", "float32", "complex64"):
        with pytest.raises(xp.Failure) as caught:
            xp.take(xp.zeros((3,)), xp.zeros((2,), dtype=BY_NAME[name]), axis=0)
        assert caught.value.status == "TV_EDTYPE"


@examples(150, name=st.sampled_from(NUMPYS), index=st.sampled_from(INTEGERS), shape=shapes(), classes=st.integers(1, 5),
          seed=seeds)
def test_one_hot(name, index, shape, classes, seed):
    indices = np.random.default_rng(seed).integers(0, classes, shape).astype(index)
    compare.equal(xp.one_hot(array_of(indices), classes, BY_NAME[name]), np.eye(classes, dtype=name)[indices], name)


def test_rows_by_an_array_of_integers():
    x = np.arange(12.0).reshape(4, 3)
    compare.equal(array_of(x)[array_of(np.array([2, -1, 2]))], x[[2, -1, 2]])
