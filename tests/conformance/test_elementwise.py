# SPDX-License-Identifier: MIT
"""Every op of the table, in every dtype, shape and layout, against NumPy."""

import numpy as np
import pytest
from hypothesis import strategies as st

import bounds
import compare
import reference
import tensorvar_array as xp
from examples import broadcasting, dtypes, examples, kinds, lay_out, layouts, seeds, specials, values
from numbers_of import ALL, array_of, storage
from tensorvar_array import OPS, recorder

ROUNDS = 150


def check(op, arrays, operands, names):
    """An op on arrays gives what the reference says of the same numbers."""
    what = f"{op}({', '.join(names)})"
    met = names[1:] if op == "where" else names
    kind = storage(reference.loop_dtype(op, met)).kind
    raw = storage(reference.as_numpy_promotes(met)).kind
    if raw in reference.REFUSES.get(op, ""):
        with pytest.raises(xp.Failure) as caught:
            OPS[op](*arrays)
        assert caught.value.status == "TV_EDTYPE", what
        return
    if op == "pow" and kind in "iu" and (operands[1].astype(reference.loop_dtype(op, names)) < 0).any():
        if np.broadcast_shapes(*[x.shape for x in operands]):
            with pytest.raises(xp.Failure) as caught:
                OPS[op](*arrays)
            assert caught.value.status == "TV_EVALUE", what
        return
    name, want, bound = reference.expected(op, operands, names)
    got = OPS[op](*arrays)
    if bound is None:
        compare.equal(got, want, name, what, operands)
        return
    growth = 0
    if op in ("sign", "pow") and kind == "c":  # documented deviations: finite numbers alone are compared
        arrays, operands, want, got = finite_part(op, operands, names, want, got)
    if op == "pow" and kind == "c":
        z = operands[1].astype(want.dtype) * np.log(operands[0].astype(want.dtype))
        growth = bounds.pow_growth(np.where(np.isfinite(z), np.abs(np.where(np.isfinite(z), z, 0)), 0))
    compare.close(got, want, name, bound, what, operands, growth)


def finite_part(op, operands, names, want, got):
    operands = np.broadcast_arrays(*operands)
    kept = np.isfinite(want)
    for x in operands:
        kept = kept & np.isfinite(x)
    if op == "pow":
        kept = kept & (operands[0] != 0)
    flat = xp.asarray(np.flatnonzero(kept).astype(np.int64))
    return None, [x[kept] for x in operands], want[kept], xp.take(xp.reshape(got, (-1,)), flat, axis=0)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", ALL)
def test_special_values(op, name):
    n = OPS[op].n_operands
    grid = specials(name)
    if n == 3:
        grid = grid[::3] if name.startswith(("float", "bfloat")) else grid[:8]
    operands = [grid.reshape((-1,) + (1,) * (n - 1 - k)) for k in range(n)]
    names = [name] * n
    if op == "where":
        operands[0], names[0] = np.array([False, True]).reshape(-1, 1, 1), "bool"
    if op == "pow" and storage(name).kind == "i":
        operands[1] = np.abs(grid)[np.abs(grid) >= 0]
    check(op, [array_of(x, m) for x, m in zip(operands, names)], operands, names)


@pytest.mark.parametrize("op", OPS)
def test_random_operands(op):
    n = OPS[op].n_operands

    @examples(ROUNDS, shape=broadcasting(n), names=st.lists(dtypes, min_size=n, max_size=n), laid=st.lists(
        layouts, min_size=n, max_size=n), kind=kinds, same=st.booleans(), seed=seeds)
    def sweep(shape, names, laid, kind, same, seed):
        rng = np.random.default_rng(seed)
        if same:
            names = names[:1] * n
        if op == "where":
            names = ["bool", *names[1:]]
        if n > 1 and any(storage(m).kind == "c" for m in names) and kind == "bits":
            kind = "small"
        arrays, operands = zip(*[lay_out(values(rng, m, s, kind), layout, m) for m, s, layout in zip(names, shape, laid)])
        check(op, list(arrays), list(operands), names)

    sweep()


@pytest.mark.parametrize("op", [op for op in OPS if OPS[op].n_operands == 1])
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_number_of_16_bits(op, name):
    bits = np.arange(1 << 16, dtype=np.uint32)
    x = (bits << 16).view(np.float32) if name == "bfloat16" else bits.astype(np.uint16).view(np.float16)
    check(op, [array_of(x, name)], [x], [name])


@pytest.mark.parametrize("name", ["int8", "uint8"])
@pytest.mark.parametrize("op", [op for op in OPS if OPS[op].n_operands == 2])
def test_every_pair_of_8_bits(op, name):
    every = np.arange(256, dtype=np.uint8).view(name)
    a, b = every[:, None], every[every >= 0] if op == "pow" else every
    check(op, [array_of(a), array_of(b)], [a, b], [name, name])


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("op", [op for op in OPS if op in bounds.REAL and OPS[op].n_operands <= 2])
def test_accuracy_on_many_numbers(op, name):
    rng = np.random.default_rng(11)
    n = 20000
    for low, high in ((-30, 30), (-2, 3), (-8, 0)):
        sign = 1 if op == "log" or op == "pow" else rng.choice([-1, 1], n)
        x = (sign * 10.0 ** rng.uniform(low, high, n)).astype(name)
        operands = [x] if OPS[op].n_operands == 1 else [x, rng.normal(size=n).astype(name) * 10]
        recorder.start()
        check(op, [array_of(v) for v in operands], operands, [name] * len(operands))


def test_operators_are_the_functions():
    a, b = xp.asarray([1.0, -2.0, 3.5]), xp.asarray([2.0, 4.0, -1.5])
    x, y = np.array([1.0, -2.0, 3.5]), np.array([2.0, 4.0, -1.5])
    for got, want in [
        (a + b, x + y), (a - b, x - y), (a * b, x * y), (a / b, x / y), (a // b, x // y), (a % b, x % y), (a**b, x**y),
        (2 + a, 2 + x), (2 - a, 2 - x), (2 * a, 2 * x), (2 / a, 2 / x), (2 // a, 2 // x), (2 % a, 2 % x), (2**a, 2**x),
        (-a, -x), (abs(a), abs(x)), (+a, x), (a == b, x == y), (a != b, x != y), (a < b, x < y), (a <= b, x <= y),
        (a > b, x > y), (a >= b, x >= y), (a @ b, x @ y), (~(a > b), ~(x > y)), ((a > 0) & (b > 0), (x > 0) & (y > 0)),
        (a < 2, x < 2), (a + 1j, x + 1j),
    ]:
        if got.dtype.kind in "fc":
            compare.close(got, np.asarray(want), np.asarray(want).dtype.name, 1)
        else:
            compare.equal(got, want)
    c = a
    c += 1
    assert c is not a and float(c[0]) == 2 and float(a[0]) == 1


def test_numbers_of_python():
    assert bool(xp.asarray(True)) and int(xp.asarray(7)) == 7 and float(xp.asarray(2.5)) == 2.5
    assert complex(xp.asarray(1 + 2j)) == 1 + 2j and range(5)[xp.asarray(3)] == 3
    for wrong in (lambda: bool(xp.ones((1,))), lambda: float(xp.asarray([1.0])), lambda: [][xp.asarray(1.0)]):
        with pytest.raises(TypeError):
            wrong()
