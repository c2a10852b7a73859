# SPDX-License-Identifier: MIT
"""astype for every pair of dtypes: NumPy where it is defined, the documented rule where it is not."""

import numpy as np
import pytest

import compare
import tensorvar_array as xp
from examples import dtypes, examples, kinds, lay_out, layouts, seeds, shapes, specials, values
from numbers_of import ALL, COMPLEX, array_of, rounded, storage
from tensorvar_array import BY_NAME, recorder


def integer_of(x, name):
    """Numbers of Python for floats as integers: toward zero, out of range as on x86-64."""
    bits, signed = np.iinfo(name).bits, name[0] == "i"

    def through(width, number):
        fits = np.isfinite(number) and -(2 ** (width - 1)) <= int(number) < 2 ** (width - 1)
        return int(number) if fits else -(2 ** (width - 1))

    def one(number):
        if name == "uint64":
            n = (through(64, number - 2.0**63) ^ 2**63) if number >= 2.0**63 else through(64, number)
        else:
            n = through(64 if bits == 64 or name == "uint32" else 32, number)
        n &= 2**bits - 1
        return n - 2**bits if signed and n >= 2 ** (bits - 1) else n

    return np.array([one(float(v)) for v in x.ravel()], name).reshape(x.shape)


def converted(x, source, name):
    kinds_ = storage(source).kind + storage(name).kind
    if name == "bool":
        return x != 0
    if kinds_[0] == "f" and kinds_[1] in "iu":
        return integer_of(x, name)
    return rounded(x.astype(np.float64) if kinds_[0] == "f" and name == "bfloat16" else x, name)


def check(array, x, source, name):
    if source in COMPLEX and name not in COMPLEX and name != "bool":
        with pytest.raises(xp.Failure) as caught:
            xp.astype(array, BY_NAME[name])
        assert caught.value.status == "TV_EDTYPE"
        return
    compare.equal(xp.astype(array, BY_NAME[name]), converted(x, source, name), name, f"{source} to {name}", [x])


@pytest.mark.parametrize("source", ALL)
def test_special_values(source):
    x = specials(source)
    if storage(source).kind == "f":  # halves, and both sides of the integers' limits
        edges = [s * (2.0**k + d) for k in (7, 8, 15, 16, 31, 32, 53, 63, 64) for d in (-1, -.5, 0, .5, 1) for s in (1, -1)]
        x = np.concatenate([x, rounded(np.array(edges + [65519.99, 65520, 300.7, -300.7, -.9, 127.9, 3e9]), source)])
    for name in ALL:
        recorder.start()
        check(array_of(x, source), x, source, name)


@examples(500, source=dtypes, name=dtypes, shape=shapes(), layout=layouts, kind=kinds, seed=seeds)
def test_random_numbers(source, name, shape, layout, kind, seed):
    array, x = lay_out(values(np.random.default_rng(seed), source, shape, kind), layout, source)
    check(array, x, source, name)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_doubles_are_rounded_once(name):
    rng = np.random.default_rng(3)
    fraction = {"float16": 10, "bfloat16": 7, "float32": 23}[name]
    whole = rounded(rng.normal(size=3000), name).astype(np.float64)
    half = np.abs(whole) * 2.0 ** -(fraction + 1)
    near = np.concatenate([whole + half * d for d in (1, 1 + 2.0**-20, 1 - 2.0**-20, 0)])
    near = np.concatenate([near, near * 2.0**-16, np.ldexp(near, -130)])
    check(array_of(near), near, "float64", name)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_all_16_bits_there_and_back(name):
    bits = np.arange(1 << 16, dtype=np.uint16)
    x = xp.from_bytes(bits.tobytes(), BY_NAME[name], bits.shape)
    wide = xp.astype(x, xp.float64)
    back = np.frombuffer(xp.astype(wide, BY_NAME[name]).tobytes(), np.uint16)
    number = ~np.isnan(compare.numpy_of(wide))
    assert (back == bits)[number].all()
    assert np.isnan(compare.numpy_of(xp.astype(wide, BY_NAME[name])))[~number].all()
