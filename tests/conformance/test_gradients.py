# SPDX-License-Identifier: MIT
"""Gradients, first and second order, against PyTorch; where it has none, against differences in float64.

A loss is the sum of the real part of the result times fixed weights, so that every element counts and
complex results have a real loss."""

import ctypes
import math
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st

import bounds
import tensorvar_array as xp
from examples import broadcasting, examples, lay_out, layouts, seeds, shapes
from numbers_of import array_of, numpy_of
from tensorvar_array import BY_NAME, OPS, Tape

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it was built for NumPy 1, and says so
    import torch  # the oracle of gradients: without it there is nothing to compare with
    torch.zeros(1)

TORCH = {"float32": torch.float32, "float64": torch.float64, "complex64": torch.complex64,
         "complex128": torch.complex128, "int8": torch.int8, "int64": torch.int64, "bool": torch.bool}
REALS, ALL = ("float64", "float32"), ("float64", "float32", "complex128", "complex64")

# op: function of PyTorch, dtypes, range of the operands. None: PyTorch has no gradient, differences do.
NAMED = {
    "negative": torch.neg, "conj": torch.conj_physical,
    "real": lambda x: torch.real(x) if x.is_complex() else x * 1,
    "expm1": lambda x: torch.exp(x) - 1 if x.is_complex() else torch.expm1(x),
    "log1p": lambda x: torch.log(1 + x) if x.is_complex() else torch.log1p(x), "imag": torch.imag, "abs": torch.abs,
    "sign": torch.sgn, "add": torch.add, "subtract": torch.sub,
    "multiply": torch.mul, "divide": torch.div, "remainder": torch.remainder, "relu": torch.relu, "pow": torch.pow,
    "where": torch.where, "clip": lambda x, a, b: torch.minimum(torch.maximum(x, a), b), "floor_divide": None,
}
REAL_ONLY = ("sigmoid", "relu", "floor", "floor_divide", "remainder", "maximum", "minimum", "clip")
COMPLEX_ONLY = ("imag",)
RANGES = {"sqrt": (.1, 8), "log": (.1, 8), "log1p": (-.5, 8), "pow": (.3, 2.5), "divide": (.5, 4), "remainder": (.5, 4),
          "floor_divide": (.5, 4), "sign": (.2, 3), "abs": (.2, 3), "tanh": (-1.2, 1.2)}
DIFFERENTIABLE = [op for op in OPS if op not in (
    "isnan", "isinf", "isfinite", "logical_not", "equal", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "logical_and", "logical_or", "logical_xor")]


def torch_of(x, wants_gradient=True):
    """PyTorch's tensor of NumPy's numbers, by a buffer: its own bridge is for NumPy 1."""
    x = np.array(x, order="C")
    if x.size == 0:
        t = torch.zeros(x.shape, dtype=TORCH[x.dtype.name])
    elif x.dtype.kind == "c":
        part = np.float32 if x.itemsize == 8 else np.float64
        t = torch.view_as_complex(torch.frombuffer(bytearray(x.tobytes()), dtype=TORCH[part.__name__]).reshape(
            x.shape + (2,)))
    else:
        t = torch.frombuffer(bytearray(x.tobytes()), dtype=TORCH[x.dtype.name]).reshape(x.shape)
    return t.requires_grad_(wants_gradient and x.dtype.kind in "fc")


def numpy_of_torch(t):
    if t._is_zerotensor():  # has no elements in memory
        t = torch.zeros(t.shape, dtype=t.dtype)
    t = t.detach().resolve_conj().resolve_neg().contiguous()
    kind = {v: k for k, v in TORCH.items()}[t.dtype]
    if not t.numel():
        return np.zeros(tuple(t.shape), kind)
    return np.frombuffer(ctypes.string_at(t.data_ptr(), t.numel() * t.element_size()), kind).reshape(tuple(t.shape))


def weights(rng, shape, dtype):
    name = dtype if isinstance(dtype, str) else dtype.name
    w = rng.uniform(.5, 1.5, shape)
    return (w + 1j * rng.uniform(.5, 1.5, shape) if name.startswith("complex") else w).astype(name)


def our_loss(y, w):
    return xp.sum(xp.real(xp.multiply(y, array_of(w))))


def torch_loss(y, w):
    y = y * torch_of(w, False)
    return (torch.real(y) if y.is_complex() else y).sum()


def agree(got, want, what, scale=1.0):
    name = got.dtype.name
    got = numpy_of(got)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, want {want.shape}"
    assert name == want.dtype.name, f"{what}: dtype {name}, want {want.dtype}"
    size = scale * bounds.GRADIENT[name] * (1 + np.abs(want))
    wrong = ~((np.abs(got - want) <= size) | (np.isnan(got) & np.isnan(want)) | (got == want))
    assert not wrong.any(), f"{what}: got {got[wrong][0]}, want {want[wrong][0]} at {np.argwhere(wrong)[0]}"


def compare(ours, theirs, arrays, operands, rng, second=True, what=""):
    """Gradients of a loss of ours and of theirs by all floating operands; then of a loss of those."""
    kept = [k for k, x in enumerate(operands) if x.dtype.kind in "fc"]
    sources = [arrays[k] for k in kept]
    leaves = [torch_of(x) for x in operands]
    wanted = [leaves[k] for k in kept]
    with Tape() as outer, Tape() as inner:
        outer.watch(*sources)
        inner.watch(*sources)
        y, t = ours(*arrays), theirs(*leaves)
        assert y.shape == tuple(t.shape), f"{what}: shape {y.shape}, want {tuple(t.shape)}"
        w = weights(rng, y.shape, y.dtype)
        first = inner.gradient(our_loss(y, w), sources)
        again = _torch_gradients(torch_loss(t, w), wanted, second)
        for k, g, d in zip(kept, first, again):
            agree(g, numpy_of_torch(d), f"{what}: gradient by operand {k}")
        if not second:
            return
        parts = [weights(rng, g.shape, g.dtype) for g in first]
        loss = our_loss(first[0], parts[0])
        for g, w in zip(first[1:], parts[1:]):
            loss = loss + our_loss(g, w)
        total = sum(torch_loss(d, w) for d, w in zip(again, parts))
        last = _torch_gradients(total, wanted, False)
        for k, g, d in zip(kept, outer.gradient(loss, sources), last):
            agree(g, numpy_of_torch(d), f"{what}: second gradient by operand {k}", 10)


def _torch_gradients(loss, leaves, create):
    if not loss.requires_grad:
        return [torch.zeros_like(x) for x in leaves]
    found = torch.autograd.grad(loss, leaves, create_graph=create, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves)]


def numbers(rng, shape, name, low=-3.0, high=3.0):
    """Numbers off the kinks: no two are equal, none is near 0."""
    n = math.prod(shape)
    if name == "int8":
        return rng.integers(1, 4, shape).astype(name)
    x = rng.permutation(np.linspace(low, high, n + 2)[1:-1] if n else np.zeros(0))
    x = x + np.where(np.abs(x) < .05, .1, 0) + rng.uniform(0, 1e-3, n)
    if name.startswith("complex"):
        x = x + 1j * rng.uniform(.2, 1.2, n)
    return x.astype(name).reshape(shape)


def differences(function, operands, k, rng_weights):
    """Central differences of the loss by a real operand, in float64."""
    found = np.zeros(operands[k].shape)
    for at in np.ndindex(operands[k].shape):
        side = []
        for step in (1e-6, -1e-6):
            moved = [x.copy() for x in operands]
            moved[k][at] += step
            y = function(*[array_of(x) for x in moved])
            side.append(float(our_loss(y, rng_weights)))
        found[at] = (side[0] - side[1]) / 2e-6
    return found


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_elementwise(op):
    n = OPS[op].n_operands
    allowed = REALS if op in REAL_ONLY else ("complex128", "complex64") if op in COMPLEX_ONLY else ALL
    function = NAMED[op] if op in NAMED else getattr(torch, op)

    @examples(60, shape=broadcasting(n, max_rank=3), names=st.lists(st.sampled_from(allowed), min_size=n, max_size=n),
              mixed=st.booleans(), integer=st.integers(0, 5), laid=st.lists(layouts, min_size=n, max_size=n), seed=seeds)
    def sweep(shape, names, mixed, integer, laid, seed):
        rng = np.random.default_rng(seed)
        names = names if mixed and op != "where" else names[:1] * n
        if n == 2 and integer < n:
            names[integer] = "int8"
        arrays, operands, what = [], [], f"{op}({', '.join(names)})"
        for k, (s, name, layout) in enumerate(zip(shape, names, laid)):
            x = numbers(rng, s, name, *RANGES.get(op, (-3, 3)))
            if op == "where" and k == 0:
                x, name, what = x > 0, "bool", f"where(bool, {', '.join(names[1:])})"
            array, x = lay_out(x, layout, name)
            arrays.append(array)
            operands.append(x)
        if function is not None:
            common = TORCH[np.result_type(*[x.dtype for x in operands if x.dtype.kind != "b"]).name]
            theirs = lambda *a: function(*[t if t.dtype is torch.bool else t.to(common) for t in a])  # noqa: E731
            compare(OPS[op], theirs, arrays, operands, rng, what=what)
            return
        operands = [x.astype(np.float64) for x in operands]
        arrays = [array_of(x) for x in operands]
        w = weights(rng, np.broadcast_shapes(*[x.shape for x in operands]), "float64")
        for k, g in enumerate(xp.gradients(lambda *a: our_loss(OPS[op](*a), w), arrays)):
            want = differences(OPS[op], operands, k, w)
            assert np.allclose(numpy_of(g), want, rtol=bounds.DIFFERENCES, atol=1e-6), what

    sweep()


def one(theirs, ours, **limits):
    """Compare a function of one array on random shapes; the draw is handed to both."""
    @examples(60, shape=shapes(**limits), name=st.sampled_from(ALL), layout=layouts, seed=seeds)
    def sweep(shape, name, layout, seed):
        rng = np.random.default_rng(seed)
        array, x = lay_out(numbers(rng, shape, name), layout, name)
        choice = np.random.default_rng(seed + 1)
        state = choice.bit_generator.state

        def again(function):
            def call(x):
                choice.bit_generator.state = state
                return function(x, choice)

            return call

        compare(again(ours), again(theirs), [array], [x], rng)

    sweep()


def some_axes(rng, rank):
    return tuple(int(k) for k in rng.permutation(rank)[: rng.integers(0, rank + 1)])


def test_sum_and_mean():
    def torch_reduce(name):
        return lambda x, rng: getattr(torch, name)(x, axes) if (axes := some_axes(rng, x.ndim)) else x * 1

    for name in ("sum", "mean"):
        one(torch_reduce(name), lambda x, rng, name=name: getattr(xp, name)(x, axis=some_axes(rng, x.ndim)), min_size=1)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", ["max", "min"])
def test_largest_and_smallest(name, ties):
    theirs = {"max": torch.amax, "min": torch.amin}[name]

    @examples(60, shape=shapes(min_size=1, min_rank=1), dtype=st.sampled_from(REALS), layout=layouts, seed=seeds,
              keepdims=st.booleans())
    def sweep(shape, dtype, layout, seed, keepdims):
        rng = np.random.default_rng(seed)
        x = numbers(rng, shape, dtype)
        array, x = lay_out(np.round(x) if ties else x, layout, dtype)
        axes = some_axes(rng, len(shape)) or (0,)
        compare(lambda x: getattr(xp, name)(x, axis=axes, keepdims=keepdims), lambda x: theirs(x, axes, keepdims),
                [array], [x], rng)

    sweep()


def test_ties_of_maximum_and_minimum_are_shared():
    for op in ("maximum", "minimum"):
        x = np.array([1.0, 2.0, 3.0])
        y = np.array([1.0, 3.0, 2.0])
        compare(OPS[op], getattr(torch, op), [array_of(x), array_of(y)], [x, y], np.random.default_rng(1), False)


def test_movement():
    def order(rng, rank):
        return tuple(int(k) for k in rng.permutation(rank))

    one(lambda x, rng: x.permute(order(rng, x.ndim)), lambda x, rng: xp.permute_dims(x, order(rng, x.ndim)))
    one(lambda x, rng: torch.flip(x, some_axes(rng, x.ndim)), lambda x, rng: xp.flip(x, axis=some_axes(rng, x.ndim)))
    one(lambda x, rng: x.reshape(-1), lambda x, rng: xp.reshape(x, (-1,)))
    one(lambda x, rng: x.unsqueeze(0).expand((2, *x.shape)), lambda x, rng: xp.broadcast_to(x, (2, *x.shape)))
    one(lambda x, rng: x.mT * 2, lambda x, rng: xp.matrix_transpose(x) * 2, min_rank=2)
    one(lambda x, rng: x.unsqueeze(-1), lambda x, rng: xp.expand_dims(x, axis=-1))
    one(lambda x, rng: x.unsqueeze(0).squeeze(0), lambda x, rng: xp.squeeze(xp.expand_dims(x, axis=0), 0))
    one(lambda x, rng: x[..., 1:4:2] * x[..., :1], lambda x, rng: x[..., 1:4:2] * x[..., :1], min_rank=1)
    one(lambda x, rng: x[0, ..., None], lambda x, rng: x[0, ..., None], min_rank=1, min_size=1)


def test_joins():
    one(lambda x, rng: torch.cat([x, x * x, x], -1), lambda x, rng: xp.concat([x, x * x, x], axis=-1), min_rank=1)
    one(lambda x, rng: torch.stack([x, x * x], 0), lambda x, rng: xp.stack([x, x * x], axis=0))


def test_take():
    def indices(rng, n):
        return rng.integers(0, n, 5)

    one(lambda x, rng: torch.index_select(x, -1, torch_of(indices(rng, x.shape[-1]), False)) ** 2,
        lambda x, rng: xp.take(x, array_of(indices(rng, x.shape[-1])), axis=-1) ** 2, min_rank=1, min_size=1)


def test_matmul():
    @examples(120, lead=broadcasting(2, max_rank=2), sizes=st.tuples(*[st.integers(0, 5)] * 3), name=st.sampled_from(ALL),
              vector=st.sampled_from(["", "a", "b", "ab"]), laid=st.tuples(layouts, layouts), seed=seeds)
    def sweep(lead, sizes, name, vector, laid, seed):
        rng = np.random.default_rng(seed)
        m, k, n = sizes
        shape = ((k,) if "a" in vector else lead[0] + (m, k)), ((k,) if "b" in vector else lead[1] + (k, n))
        arrays, operands = zip(*[lay_out(numbers(rng, s, name), layout, name) for s, layout in zip(shape, laid)])
        compare(xp.matmul, torch.matmul, list(arrays), list(operands), rng, what=f"matmul {shape}")

    sweep()


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax(op):
    @examples(80, shape=shapes(max_rank=3, min_rank=1), axis=st.integers(0, 2), name=st.sampled_from(REALS),
              layout=layouts, seed=seeds)
    def sweep(shape, axis, name, layout, seed):
        rng, axis = np.random.default_rng(seed), axis % len(shape)
        array, x = lay_out(numbers(rng, shape, name), layout, name)
        compare(lambda x: getattr(xp, op)(x, axis), lambda x: getattr(torch, op)(x, axis), [array], [x], rng,
                what=f"{op} {shape} along {axis}")

    sweep()


def test_softmax_cross_entropy():
    def theirs(x, labels):
        return -torch.log_softmax(x, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)

    @examples(80, shape=shapes(max_rank=3, min_rank=1), classes=st.integers(1, 6), name=st.sampled_from(REALS),
              layout=layouts, seed=seeds)
    def sweep(shape, classes, name, layout, seed):
        rng = np.random.default_rng(seed)
        x, labels = numbers(rng, (*shape, classes), name, -20, 20), rng.integers(0, classes, shape)
        array, x = lay_out(x, layout, name)
        compare(xp.softmax_cross_entropy, theirs, [array, array_of(labels)], [x, labels], rng)

    sweep()


def test_conversion():
    @examples(60, shape=shapes(), names=st.tuples(*[st.sampled_from(ALL)] * 2), seed=seeds)
    def sweep(shape, names, seed):
        if names[0].startswith("complex") and names[1].startswith("float"):
            return
        rng = np.random.default_rng(seed)
        x = numbers(rng, shape, names[0])
        compare(lambda x: xp.astype(x, BY_NAME[names[1]]), lambda x: x.to(TORCH[names[1]]), [array_of(x)], [x], rng)

    sweep()


def test_of_what_the_target_does_not_depend_on():
    x, y = xp.asarray([1.0, 2.0]), xp.asarray([3.0])
    g, h = xp.gradients(lambda a, b: a * a, [x, y])
    assert g.tolist() == [2.0, 4.0] and h.tolist() == [0.0]


@examples(40, shape=broadcasting(2, max_rank=3), name=st.sampled_from(ALL), laid=st.tuples(layouts, layouts), seed=seeds)
def test_of_a_longer_expression(shape, name, laid, seed):
    rng = np.random.default_rng(seed)
    arrays, operands = zip(*[lay_out(numbers(rng, s, name, .3, 2), layout, name) for s, layout in zip(shape, laid)])
    compare(lambda a, b: xp.exp(a * b) / (xp.sqrt(a) + b) - xp.tanh(a - b) * a,
            lambda a, b: torch.exp(a * b) / (torch.sqrt(a) + b) - torch.tanh(a - b) * a, list(arrays), list(operands), rng)
