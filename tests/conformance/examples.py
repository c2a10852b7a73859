# SPDX-License-Identifier: MIT
"""Random examples: the same in every run. Shapes, layouts and values of operands."""

import functools
import math
import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensorvar_array as xp
from numbers_of import ALL, array_of, rounded
from tensorvar_array import recorder

DEPTH = int(os.environ.get("TENSORVAR_DEPTH", "1"))
LAYOUTS = ("plain", "transposed", "reversed", "strided", "broadcast", "offset")


def examples(count, **strategies):
    """Run a test on `count` examples, always the same; TENSORVAR_DEPTH times as many, always others, if that
    is set. The record of calls begins anew with each."""
    def decorate(function):
        @functools.wraps(function)
        def one(*arguments, **named):
            recorder.start()
            function(*arguments, **named)

        hidden = settings(max_examples=count * DEPTH, derandomize=DEPTH == 1, deadline=None, database=None, print_blob=False,
                          suppress_health_check=HealthCheck.all())
        return hidden(given(**strategies)(one))

    return decorate


def shapes(max_rank=4, max_size=5, min_rank=0, min_size=0):
    sizes = st.sampled_from([n for n in (3, 2, 1, 4, 5, 0, 7) if min_size <= n <= max_size])
    return st.lists(sizes, min_size=min_rank, max_size=max_rank).map(tuple)


@st.composite
def broadcasting(draw, count, **limits):
    """`count` shapes that broadcast together."""
    shape = draw(shapes(**limits))
    found = []
    for k in range(count):
        kept = draw(st.integers(0, len(shape))) if k else 0
        found.append(tuple(1 if draw(st.integers(0, 4)) == 0 else n for n in shape[kept:]))
    return draw(st.permutations(found)) if count > 1 else found


layouts = st.sampled_from(LAYOUTS)
dtypes = st.sampled_from(ALL)
seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["small", "bits", "special"])


def specials(name):
    """Numbers at which something happens."""
    if name == "bool":
        return np.array([False, True])
    if name.startswith(("int", "uint")):
        limits = np.iinfo(name)
        wanted = [0, 1, 2, 3, 7, 10, 64, 100, limits.max, limits.max - 1, limits.min, limits.min + 1, limits.max // 2,
                  -1, -2, -3, -7, -100]
        return np.array(sorted({v for v in wanted if limits.min <= v <= limits.max}), name)
    if name.startswith("complex"):
        part = rounded(np.array([0., -0., 1., -1., .5, -2., 3., 1e-3, math.inf, -math.inf, math.nan]), "float64")
        x = np.empty((part.size, part.size), name)
        x.real, x.imag = part[:, None], part
        return x.ravel()
    limits = xp.finfo(xp.BY_NAME[name])
    tiny = limits.smallest_normal
    wanted = [0., .5, 1., 1.5, 2., 3., math.pi, 1e-3, 10., 88.5, 1000., limits.eps, 1 + limits.eps,
              1 - limits.eps / 2, tiny, tiny * limits.eps, tiny / 2, limits.max, limits.max / 2, math.inf, math.nan, .1, 1e4]
    return rounded(np.array([s * v for v in wanted for s in (1, -1)]), name)


def values(rng, name, shape, kind="small"):
    """An array of a dtype; bfloat16's numbers are in a float32 array."""
    n = math.prod(shape)
    if name.startswith("complex") and kind != "special":
        part = "float32" if name == "complex64" else "float64"
        x = np.empty(n, name)
        kind = "small" if kind == "bits" else kind
        x.real, x.imag = values(rng, part, (n,), kind), values(rng, part, (n,), kind)
    elif kind == "special":
        x = rng.choice(specials(name), n) if n else specials(name)[:0]
    elif name == "bool":
        x = rng.integers(0, 2, n).astype(bool)
    elif name.startswith(("int", "uint")):
        x = rng.integers(-9 if name[0] == "i" else 0, 10, n).astype(name)
        if kind == "bits":
            x = np.frombuffer(rng.bytes(n * x.itemsize), name).copy()
    elif kind == "bits":
        if name == "bfloat16":
            x = (np.frombuffer(rng.bytes(2 * n), np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            x = np.frombuffer(rng.bytes(n * np.dtype(name).itemsize), name).copy()
    else:
        x = rounded(rng.normal(size=n) * 3, name)
    return x.reshape(shape)


def lay_out(x, layout, name):
    """The array of these numbers in a layout. "broadcast" repeats the first along some axis, so the
    numbers are given back too."""
    n = x.ndim
    if layout == "transposed" and n > 1:
        order = tuple(range(1, n)) + (0,)
        base = np.ascontiguousarray(x.transpose(np.argsort(order)))
        return xp.permute_dims(array_of(base, name), order), x
    if layout == "reversed" and n:
        return xp.flip(array_of(np.ascontiguousarray(np.flip(x)), name)), x
    if layout == "strided" and n:
        base = np.ones([2 * s + 1 for s in x.shape], x.dtype)
        base[(slice(1, None, 2),) * n] = x
        return array_of(base, name)[(slice(1, None, 2),) * n], x
    if layout == "broadcast" and n and x.shape[-1]:
        first = np.ascontiguousarray(x[..., :1])
        return xp.broadcast_to(array_of(first, name), x.shape), np.array(np.broadcast_to(first, x.shape), order="C")
    if layout == "offset" and n:
        base = np.concatenate([x[:1], x]) if x.shape[0] else x
        return array_of(base, name)[base.shape[0] - x.shape[0]:], x
    return array_of(x, name), x
