# SPDX-License-Identifier: MIT
"""Random numbers by key."""

from . import native
from .array import of
from .prototypes import Key


class _Key:
    """A tv_key, in C as in Python."""

    def __init__(self, key):
        self.seed, self.stream, self._key = key.seed, key.stream, key

    def arguments(self):
        return (self._key,)

    def c_text(self):
        return f"(tv_key){{{self.seed}u, {self.stream}u}}"


def key(seed, stream=0):
    return _Key(Key(seed, stream))


def from_seed(seed):
    return _Key(native.lib.tv_key_from_seed(seed))


def fold(key, n):
    return _Key(native.lib.tv_key_fold(*key.arguments(), n))


def uniform(key, dtype, shape):
    return of("tv_random_uniform", key, dtype, native.Sizes(shape))


def normal(key, dtype, shape):
    return of("tv_random_normal", key, dtype, native.Sizes(shape))


def permutation(key, n):
    return of("tv_random_permutation", key, n)
