# SPDX-License-Identifier: MIT
"""Random numbers: Philox's known answers, distributions, and the rules that random.h states."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

import tensorvar_array as xp
from examples import examples
from numbers_of import numpy_of
from tensorvar_array import BY_NAME, random

REALS = ("float16", "bfloat16", "float32", "float64")
# Salmon et al.: block, stream, seed and the four words, for counters below 2^32 blocks.
KNOWN = [(0, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8))]


def philox(seed, stream, block):
    """Philox4x32-10, from the paper."""
    c = [block & 0xFFFFFFFF, block >> 32, stream & 0xFFFFFFFF, stream >> 32]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def words(seed, stream, n):
    return [w for block in range((n + 3) // 4) for w in philox(seed, stream, block)][:n]


def test_the_reference_gives_the_known_answers():
    assert tuple(philox(0, 0, 0)) == KNOWN[0][2]
    assert philox(2**64 - 1, 2**64 - 1, 2**64 - 1) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert philox(0x299F31D0A4093822, 0x0370734413198A2E, 0x85A308D3243F6A88) == [
        0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@examples(60, seed=st.integers(0, 2**64 - 1), stream=st.integers(0, 2**64 - 1), n=st.integers(0, 23))
def test_uniform_numbers_are_philoxs(seed, stream, n):
    key, w = random.key(seed, stream), words(seed, stream, 2 * n + 4)
    assert random.uniform(key, xp.float32, (n,)).tolist() == [(u >> 8) * 2.0**-24 for u in w[:n]]
    assert random.uniform(key, xp.float16, (n,)).tolist() == [(u >> 21) * 2.0**-11 for u in w[:n]]
    assert random.uniform(key, xp.bfloat16, (n,)).tolist() == [(u >> 24) * 2.0**-8 for u in w[:n]]
    pairs = zip(w[::2], w[1::2])
    want = [((a >> 5) * 2.0**26 + (b >> 6)) * 2.0**-53 for a, b in pairs][:n]
    assert random.uniform(key, xp.float64, (n,)).tolist() == want


@pytest.mark.parametrize("name", REALS)
def test_statistics(name):
    n = 200000
    u = numpy_of(random.uniform(random.from_seed(7), BY_NAME[name], (n,))).astype(np.float64)
    z = numpy_of(random.normal(random.from_seed(7), BY_NAME[name], (n,))).astype(np.float64)
    offset = {"float16": 2.0**-12, "bfloat16": 2.0**-9}.get(name, 0)  # the numbers are a cell's lower end
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() + offset - .5) < 5 / math.sqrt(12 * n) and abs(u.var() - 1 / 12) < 5 * .0745 / math.sqrt(n)
    cells = np.bincount((u * 16).astype(int), minlength=16)
    assert ((cells - n / 16) ** 2 / (n / 16)).sum() < 45  # 15 degrees of freedom: one in 10^4
    # Half widths hold so few different uniform numbers that the far ends of the normal ones are coarse.
    slack = {"float16": .003, "bfloat16": .02}.get(name, 0)
    assert np.isfinite(z).all()
    assert abs(z.mean()) < 5 / math.sqrt(n) + slack and abs(z.std() - 1) < 5 / math.sqrt(2 * n) + slack
    assert abs((z**3).mean()) < 5 * math.sqrt(15 / n) + 3 * slack and abs((np.abs(z) < 1).mean() - .6827) < .006 + slack
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 5 / math.sqrt(n)


@examples(80, name=st.sampled_from(REALS), seed=st.integers(0, 2**64 - 1), n=st.integers(0, 700), m=st.integers(0, 700))
def test_elements_do_not_depend_on_the_shape(name, seed, n, m):
    key, small, large = random.key(seed), min(n, m), max(n, m)
    for draw in (random.uniform, random.normal):
        assert draw(key, BY_NAME[name], (large,))[:small].tobytes() == draw(key, BY_NAME[name], (small,)).tobytes()
        if large % 4 == 0:
            assert draw(key, BY_NAME[name], (4, large // 4)).tobytes() == draw(key, BY_NAME[name], (large,)).tobytes()


@examples(60, seed=st.integers(0, 2**64 - 1), n=st.integers(0, 500))
def test_permutation_is_the_order_of_64_bit_draws(seed, n):
    got = random.permutation(random.key(seed), n)
    assert got.dtype is xp.int64 and sorted(got.tolist()) == list(range(n))
    w = words(seed, 0, 2 * n)
    draws = np.array(w[::2], np.uint64) | np.array(w[1::2], np.uint64) << np.uint64(32)
    assert got.tolist() == np.argsort(draws, kind="stable").tolist()


def test_folding_gives_other_streams():
    key = random.from_seed(3)
    folded = [random.fold(key, n) for n in range(1000)]
    assert len({k.stream for k in folded}) == 1000 and {k.seed for k in folded} == {3}
    assert random.fold(key, 5).stream == random.fold(key, 5).stream
    for name in ("int32", "bool", "complex64"):
        with pytest.raises(xp.Failure) as caught:
            random.uniform(key, BY_NAME[name], (2,))
        assert caught.value.status == "TV_EDTYPE"
