# SPDX-License-Identifier: MIT
"""The same bits for 1, 2, 3 and 7 threads, in two runs, and for every layout."""

import hashlib
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tensorvar_array as xp
from examples import lay_out, specials, values
from numbers_of import ALL, array_of, storage
from reference import REFUSES
from tensorvar_array import BY_NAME, OPS, native, random, recorder

THREADS = (1, 2, 3, 7)
EXAMPLES = os.environ.get("TENSORVAR_EXAMPLES")
DATA = Path(__file__).resolve().parents[2] / "data"
FLOATING = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


@pytest.fixture(autouse=True)
def threads_as_before():
    before = native.lib.tv_threads()
    yield
    native.lib.tv_threads_set(before)


def same_for_all_threads(function, what):
    seen = set()
    for n in (*THREADS, THREADS[-1]):
        assert native.lib.tv_threads_set(n) == 0 and native.lib.tv_threads() == n
        seen.add(function().tobytes())
    assert len(seen) == 1, f"{what}: {len(seen)} different results"


def operand(rng, name, shape):
    """Numbers, among them special ones."""
    x = values(rng, name, shape)
    at = rng.integers(0, x.size, 50)
    x.reshape(-1)[at] = rng.choice(specials(name), 50)
    return x


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("op", OPS)
def test_elementwise(op, name):
    if storage(name).kind in REFUSES.get(op, ""):
        return
    rng, n = np.random.default_rng(1), OPS[op].n_operands
    operands = [operand(rng, name, (300, 1001)) for _ in range(n)]
    if op == "pow" and storage(name).kind == "i":
        operands[1] = np.maximum(operands[1], 0)
    names = ["bool" if op == "where" and k == 0 else name for k in range(n)]
    operands[0] = operands[0] != 0 if op == "where" else operands[0]
    plain = [array_of(x, m) for x, m in zip(operands, names)]
    same_for_all_threads(lambda: OPS[op](*plain), f"{op} of {name}")
    laid = [lay_out(x, layout, m)[0] for x, m, layout in zip(operands, names, ("transposed", "strided", "reversed"))]
    assert OPS[op](*laid).tobytes() == OPS[op](*plain).tobytes(), f"{op} of {name}: layouts differ"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "argmax", "argmin"])
def test_reductions(op, name):
    if storage(name).kind == "c" and op not in ("sum", "mean"):
        return
    rng = np.random.default_rng(2)
    for shape in ((100003,), (7, 9001), (9001, 7), (40, 50, 60)):
        recorder.start()
        x = values(rng, name, shape)
        arrays = [lay_out(x, layout, name)[0] for layout in ("plain", "transposed", "reversed")]
        for axis in (None, 0, len(shape) - 1):
            for array, layout in zip(arrays, ("plain", "transposed", "reversed")):
                same_for_all_threads(lambda: getattr(xp, op)(array, axis=axis), f"{op} of {name} {shape} over {axis}, {layout}")
            found = {getattr(xp, op)(array, axis=axis).tobytes() for array in arrays}
            assert len(found) == 1, f"{op} of {name} {shape} over {axis}: layouts differ"


@pytest.mark.parametrize("name", ALL)
def test_products(name):
    rng = np.random.default_rng(3)
    for a, b in (((150, 170), (170, 130)), ((6, 40, 50), (50, 30)), ((300,), (300, 200)), ((5, 64, 300), (5, 300, 1))):
        recorder.start()
        x, y = array_of(values(rng, name, a), name), array_of(values(rng, name, b), name)
        same_for_all_threads(lambda: xp.matmul(x, y), f"matmul of {name} {a} {b}")
        if len(a) > 1:
            at = lay_out(values(rng, name, a), "transposed", name)[0]
            same_for_all_threads(lambda: xp.matmul(at, y), f"matmul of {name} {a} {b}, transposed")


def test_random_numbers_movement_and_losses():
    rng, key = np.random.default_rng(4), random.from_seed(4)
    for name in ("float16", "bfloat16", "float32", "float64"):
        same_for_all_threads(lambda: random.uniform(key, BY_NAME[name], (100003,)), f"uniform {name}")
        same_for_all_threads(lambda: random.normal(key, BY_NAME[name], (100003,)), f"normal {name}")
        x = array_of(values(rng, name, (2000, 40)), name)
        labels, rows = array_of(rng.integers(0, 40, 2000)), array_of(rng.integers(0, 2000, 9000))
        same_for_all_threads(lambda: xp.softmax_cross_entropy(x, labels), f"softmax_cross_entropy {name}")
        same_for_all_threads(lambda: xp.take(x, rows, axis=0), f"take {name}")
        same_for_all_threads(lambda: xp.concat([x.mT, x.mT], axis=1), f"concat {name}")
        same_for_all_threads(lambda: xp.gradients(lambda x: xp.take(x, rows, axis=0), [x])[0], f"gradient of take {name}")
    same_for_all_threads(lambda: random.permutation(key, 100003), "permutation")
    for a in ALL:
        x = array_of(values(rng, a, (200, 301)), a)
        for b in ALL:
            if not (storage(a).kind == "c" and storage(b).kind in "iuf"):
                same_for_all_threads(lambda: xp.astype(x.mT, BY_NAME[b]), f"{a} to {b}")


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_gradients(name):
    rng = np.random.default_rng(5)
    x, w, b = (array_of(values(rng, name, s), name) for s in ((300, 64), (64, 200), (200,)))
    labels = array_of(rng.integers(0, 200, 300))
    for k in range(2):
        same_for_all_threads(lambda: xp.gradients(
            lambda w, b: xp.mean(xp.softmax_cross_entropy(xp.tanh(x @ w + b), labels)), [w, b])[k], f"gradient {k}")


@pytest.mark.skipif(not EXAMPLES, reason="the examples are not built")
def test_training_gives_the_same_weights(tmp_path):
    seen = {}
    for run, threads in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / run
        out.mkdir()
        subprocess.run([Path(EXAMPLES) / "train_digits", "--epochs", "3", "--threads", str(threads), "--plain", DATA, out],
                       check=True, stdout=subprocess.DEVNULL, timeout=300)
        files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.glob("*.npy"))}
        assert len(files) >= 5, files
        seen[run, threads] = files
    assert len({tuple(f.items()) for f in seen.values()}) == 1, seen
