# SPDX-License-Identifier: MIT
"""The text of tensors against NumPy's repr and str, on random arrays.

NumPy has no bfloat16. Its text is checked by NumPy's own layout of float32 over digits found here by
search, in exact arithmetic.
"""

import os
import random
from fractions import Fraction

import numpy as np
import pytest
from numpy._core import arrayprint

from library import NAMES, text

SEED = int(os.environ.get("TV_SEED", "1"))
ROUNDS = int(os.environ.get("TV_ROUNDS", "300"))
REAL = ("float16", "float32", "float64")


def random_shape(rng):
    kind = rng.randrange(12)
    if kind == 0:
        return ()
    if kind < 4:
        return (rng.randrange(30),)
    if kind < 7:
        return (rng.randrange(6), rng.randrange(6))
    if kind < 9:
        return tuple(rng.randrange(1, 5) for _ in range(rng.randrange(3, 6)))
    if kind == 9:
        return (rng.randrange(990, 1030),)
    if kind == 10:
        return (rng.randrange(1, 60), rng.randrange(1, 60))
    return tuple(rng.choice([1, 2, 3, 5, 6, 7, 8]) for _ in range(rng.randrange(1, 6)))


def random_reals(rng, dtype, n):
    g = np.random.default_rng(rng.getrandbits(60))
    kinds = [
        lambda: np.frombuffer(g.bytes(n * dtype.itemsize), dtype).copy(),
        lambda: g.normal(size=n),
        lambda: g.normal(size=n) * 10.0 ** g.uniform(-5, 9, n),
        lambda: np.round(g.normal(size=n) * 100, rng.randrange(4)),
        lambda: g.integers(-1000, 1000, n),
        lambda: 10.0 ** g.integers(-6, 10, n),
        lambda: g.choice([1, 1000, 999.5, 1000.5, 0.1, 100, 0.0001, 0.1001, 1e8, 9.9999e7, 1001, 1004, 0], n),
        lambda: 10.0 ** rng.uniform(-6, 9) * g.uniform(0.99, 1.01, n),
        lambda: 2.0 ** g.integers(-30, 30, n) * rng.choice([1, 1e5, 1e-5]),
    ]
    with np.errstate(all="ignore"):
        x = rng.choice(kinds)().astype(dtype)
    for _ in range(rng.choice([0, 0, 1, 3]) if n else 0):
        x[rng.randrange(n)] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0])
    return x


def random_array(rng, name):
    dtype, shape = np.dtype(name), random_shape(rng)
    n = int(np.prod(shape))
    g = np.random.default_rng(rng.getrandbits(60))
    if dtype.kind == "c":
        part = np.dtype(REAL[dtype.itemsize // 8])
        x = np.empty(n, dtype)
        x.real, x.imag = random_reals(rng, part, n), random_reals(rng, part, n)
    elif dtype.kind == "f":
        x = random_reals(rng, dtype, n)
    elif dtype.kind == "b":
        x = g.integers(0, 2, n).astype(bool)
    else:
        x = np.frombuffer(g.bytes(n * dtype.itemsize), dtype) >> dtype.type(rng.randrange(dtype.itemsize * 8))
    x = np.require(x, dtype).reshape(shape)
    return x.T if rng.random() < 0.2 else x[::-1] if shape and rng.random() < 0.2 else x


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bfloat16"])
def test_text_is_numpys(name):
    rng = random.Random(f"{SEED} {name}")
    for _ in range(ROUNDS):
        x = random_array(rng, name)
        with np.errstate(all="ignore"):
            wanted = repr(x), str(x)
        assert (text(x, 0), text(x, 1)) == wanted, x.tobytes()


@pytest.mark.parametrize("name", REAL)
def test_text_of_every_power_is_numpys(name):
    for exponent in range(-330, 310):
        with np.errstate(all="ignore"):
            x = np.array([float(f"{m}e{exponent}") for m in ("1", "9.999999999", "-5.5")]).astype(name)
            wanted = [repr(x), str(x)] + [str(x[i, ...]) for i in range(3)]
        assert [text(x, 0), text(x, 1)] + [text(x[i, ...], 1) for i in range(3)] == wanted


def bf16_value(bits):
    return np.array(int(bits) << 16, np.uint32).view(np.float32)[()]


def bf16_bits(x):
    """The bits of float32 values, which are bfloat16's."""
    return (np.asarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def half_even(x):
    below = x.numerator // x.denominator
    rest = x - below
    return below + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1))


class Bf16:
    """A magnitude: its value, and the numbers that read back as it."""

    def __init__(self, bits):
        fraction, field = bits & 127, bits >> 7 & 255
        unit = Fraction(2) ** (max(field, 1) - 134)
        self.value = (fraction | (128 if field else 0)) * unit
        self.low = self.value - unit / (4 if not fraction and field > 1 else 2)
        self.high = self.value + unit / 2
        self.has_ends = not fraction % 2

    def reads(self, x):
        return self.low <= x <= self.high if self.has_ends else self.low < x < self.high

    def shortest(self):
        """Whole digits and power of ten of the shortest decimal."""
        if not self.value:
            return 0, 0
        for power in range(40, -60, -1):
            step = Fraction(10) ** power
            near = [q for q in (self.value // step, self.value // step + 1) if q and self.reads(q * step)]
            if near:
                return min(near, key=lambda q: (abs(q * step - self.value), q % 2)), power

    def digits(self, most, least, origin):
        """The same with at most, and at least, so many digits behind power `origin`."""
        digits, power = self.shortest()
        n = max(origin - power, 0)
        wanted = max(min(n, most) if most >= 0 else n, least)
        if wanted < n or (wanted > origin - power and least >= 0):
            power = origin - wanted
            step = Fraction(10) ** power
            below = self.value // step
            down, up = self.reads(below * step), self.reads((below + 1) * step)
            digits = half_even(self.value / step) if down == up else below + up
        return digits, power


def bf16_positional(x, precision=-1, trim=".", sign=False, pad_left=-1, pad_right=-1, min_digits=None, **_):
    bits = int(bf16_bits(x))
    digits, power = Bf16(bits).digits(precision, -1 if min_digits is None else min_digits, 0)
    whole = str(digits * 10 ** max(power, 0)).rjust(1 - min(power, 0), "0")
    head, tail = (whole[:power], whole[power:]) if power < 0 else (whole, "")
    head = ("-" if bits >> 15 else "+" if sign else "") + head
    return head.rjust(pad_left) + "." + tail.rstrip("0").ljust(pad_right)


def bf16_scientific(x, precision=-1, trim=".", sign=False, pad_left=-1, exp_digits=-1, min_digits=-1, **_):
    bits = int(bf16_bits(x))
    value = Bf16(bits).value
    digits, power, exponent = 0, 0, 0
    if value:
        while Fraction(10) ** (exponent + 1) <= value:
            exponent += 1
        while Fraction(10) ** exponent > value:
            exponent -= 1
        digits, power = Bf16(bits).digits(precision, min_digits if trim == "k" else -1, exponent)
        exponent = len(str(digits)) - 1 + power
    mantissa = str(digits).rstrip("0") or "0"
    tail = mantissa[1:].ljust(min_digits if trim == "k" else 0, "0")
    head = ("-" if bits >> 15 else "+" if sign else "") + mantissa[0]
    return f"{head.rjust(pad_left)}.{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):0{max(exp_digits, 2)}}"


def test_text_of_bfloat16_is_numpys_layout_of_its_own_digits(monkeypatch):
    monkeypatch.setattr(arrayprint, "dragon4_positional", bf16_positional)
    monkeypatch.setattr(arrayprint, "dragon4_scientific", bf16_scientific)
    monkeypatch.setattr(arrayprint, "dtype_short_repr", lambda dtype: "bfloat16")
    rng = random.Random(SEED)
    for _ in range(ROUNDS // 3):  # exact arithmetic is slow
        shape = random_shape(rng)
        x = random_reals(rng, np.dtype(np.float32), int(np.prod(shape)))
        x = (x.view(np.uint32) & 0xFFFF0000).view(np.float32).reshape(shape)
        sizes = np.abs(x[np.isfinite(x) & (x != 0)]).astype(np.float64)
        if sizes.size and 1000 < sizes.max() / sizes.min() <= 1002:
            continue  # 1000 in bfloat16: no exponents, which float32 does not know
        bits = np.asarray(bf16_bits(x)).reshape(shape)
        with np.errstate(all="ignore"):
            assert text(bits, 0, "bfloat16") == repr(x), bits.tobytes()
            if shape:
                assert text(bits, 1, "bfloat16") == str(x), bits.tobytes()
