# SPDX-License-Identifier: MIT
"""Shapes, axes and joins against NumPy: values, dtypes, shapes, and what is a view."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

import compare
import tensorvar_array as xp
from examples import dtypes, examples, lay_out, layouts, seeds, shapes, values
from numbers_of import array_of, as_numpy_promotes, rounded, storage
from tensorvar_array import native


def is_view(x, y):
    return bool(native.lib.tv_tensor_shares(x.handle, y.handle))


def one(count=150, **limits):
    """Run a test with an array of any dtype, shape and layout, its numbers, and a generator."""
    def decorate(function):
        @examples(count, name=dtypes, shape=shapes(**limits), layout=layouts, seed=seeds)
        def sweep(name, shape, layout, seed):
            rng = np.random.default_rng(seed)
            array, x = lay_out(values(rng, name, shape, "bits"), layout, name)
            function(array, x, name, rng)

        return sweep

    return decorate


@one()
def test_permute_dims(array, x, name, rng):
    order = tuple(int(k) for k in rng.permutation(x.ndim))
    y = xp.permute_dims(array, order)
    compare.equal(y, x.transpose(order), name)
    assert is_view(array, y)


@one(min_rank=2)
def test_matrix_transpose(array, x, name, rng):
    compare.equal(array.mT, np.swapaxes(x, -1, -2), name)


@one()
def test_flip(array, x, name, rng):
    axes = tuple(int(k) - x.ndim for k in rng.permutation(x.ndim)[: rng.integers(0, x.ndim + 1)])
    compare.equal(xp.flip(array, axis=axes), np.flip(x, axes), name)
    compare.equal(xp.flip(array), np.flip(x), name)


@one(300)
def test_reshape(array, x, name, rng):
    n, shape = x.size, []
    for _ in range(rng.integers(0, 4)):
        shape.append(int(rng.choice([d for d in range(1, n + 1) if n % d == 0] or [1])))
        n //= max(shape[-1], 1)
    shape.insert(int(rng.integers(0, len(shape) + 1)), int(n))
    compare.equal(xp.reshape(array, shape), x.reshape(shape), name)
    if x.size and shape:
        shape[int(rng.integers(0, len(shape)))] = -1
        compare.equal(xp.reshape(array, shape), x.reshape(shape), name)
    assert is_view(array, xp.reshape(array, array.shape))
    with pytest.raises(xp.Failure) as caught:
        xp.reshape(array, (x.size + 1,))
    assert caught.value.status == "TV_ESHAPE"


@one()
def test_broadcast_to(array, x, name, rng):
    shape = [int(v) for v in rng.integers(0, 3, rng.integers(0, 3))] + [
        int(rng.integers(0, 4)) if n == 1 else n for n in x.shape]
    compare.equal(xp.broadcast_to(array, shape), np.broadcast_to(x, shape), name)


@one()
def test_expand_and_squeeze(array, x, name, rng):
    for axis in range(-x.ndim - 1, x.ndim + 1):
        y = xp.expand_dims(array, axis=axis)
        compare.equal(y, np.expand_dims(x, axis), name)
        compare.equal(xp.squeeze(y, axis if axis >= 0 else axis), x, name)
    ones = tuple(k for k, n in enumerate(x.shape) if n == 1)
    compare.equal(xp.squeeze(array, ones), np.squeeze(x, ones), name)
    for k, n in enumerate(x.shape):
        if n != 1:
            with pytest.raises(xp.Failure) as caught:
                xp.squeeze(array, k)
            assert caught.value.status == "TV_ESHAPE"


@one(min_rank=1)
def test_moveaxis_and_unstack(array, x, name, rng):
    a, b = (int(v) for v in rng.integers(-x.ndim, x.ndim, 2))
    compare.equal(xp.moveaxis(array, a, b), np.moveaxis(x, a, b), name)
    for got, want in zip(xp.unstack(array, axis=a), np.unstack(x, axis=a), strict=True):
        compare.equal(got, want, name)


@examples(300, names=st.lists(dtypes, min_size=1, max_size=4), shape=shapes(min_rank=1), axis=st.integers(-4, 3),
          laid=st.lists(layouts, min_size=4, max_size=4), seed=seeds)
def test_concat(names, shape, axis, laid, seed):
    if "bfloat16" in names and "float16" in names:
        return
    rng, axis = np.random.default_rng(seed), axis % len(shape)
    arrays, operands = [], []
    for name, layout in zip(names, laid):
        own = (*shape[:axis], int(rng.integers(0, 4)), *shape[axis + 1:])
        array, x = lay_out(values(rng, name, own), layout, name)
        arrays.append(array)
        operands.append(x)
    name = as_numpy_promotes(names)
    compare.equal(xp.concat(arrays, axis=axis), np.concatenate([rounded(x, name) for x in operands], axis), name)
    compare.equal(xp.concat(arrays, axis=axis - len(shape)), np.concatenate([rounded(x, name) for x in operands], axis), name)
    compare.equal(xp.concat(arrays, axis=None), np.concatenate([rounded(x, name) for x in operands], None), name)


@examples(200, names=st.lists(dtypes, min_size=1, max_size=4), shape=shapes(), laid=st.lists(layouts, min_size=4, max_size=4),
          seed=seeds)
def test_stack(names, shape, laid, seed):
    if "bfloat16" in names and "float16" in names:
        return
    rng = np.random.default_rng(seed)
    arrays, operands = zip(*[lay_out(values(rng, n, shape), layout, n) for n, layout in zip(names, laid)])
    name, axis = as_numpy_promotes(names), int(rng.integers(-len(shape) - 1, len(shape) + 1))
    compare.equal(xp.stack(arrays, axis=axis), np.stack([rounded(x, name) for x in operands], axis), name)


def test_64_axes():
    x = np.arange(2.0)
    shape = (1,) * 63 + (2,)
    y = xp.reshape(array_of(x), shape)
    compare.equal(y + xp.flip(y), x.reshape(shape) + np.flip(x.reshape(shape)))
    compare.equal(xp.permute_dims(y, tuple(reversed(range(64)))), x.reshape(shape[::-1]))
    with pytest.raises(xp.Failure):
        xp.expand_dims(y, axis=0)


def test_sizes_beyond_64_bits_are_refused():
    x = xp.zeros((1,), dtype=xp.int8)
    for shape in ((2**40, 2**40), (2**62, 2, 2)):
        with pytest.raises(xp.Failure) as caught:
            xp.broadcast_to(x, shape)
        assert caught.value.status in ("TV_EOVERFLOW", "TV_ESHAPE")
    assert math.prod(xp.broadcast_to(x, (2**40, 2**20)).shape) == 2**60 and storage("int8").itemsize == 1
