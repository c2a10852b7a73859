# SPDX-License-Identifier: MIT
"""Random edits of good files: bits, bytes, words of the format, pieces left out and pieces repeated."""

import os
import random

SEED = int(os.environ.get("TV_SEED", "1"))
COUNT = int(os.environ.get("TV_MUTANTS", "20000")) // 4


def of(files, words):
    """COUNT files, each one of these with a few edits, most of them near its end."""
    rng = random.Random(SEED)
    for _ in range(COUNT):
        data = bytearray(rng.choice(files))
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            size = max(1, len(data))
            at = rng.randrange(size) if rng.random() < 0.4 else max(0, size - 1 - rng.randrange(min(size, 220)))
            word = rng.choice(words)
            kind = rng.randrange(6)
            if kind == 0:
                data[at:at + 1] = bytes([(data[at] if data else 0) ^ 1 << rng.randrange(8)])
            elif kind == 1:
                data[at:at + 1] = bytes([rng.randrange(256)])
            elif kind == 2:
                data[at:at + len(word)] = word
            elif kind == 3:
                data[at:at] = word
            elif kind == 4:
                del data[at:at + rng.randrange(1, 9)]
            else:
                data[at:at] = data[rng.randrange(size):][:rng.randrange(1, 40)]
        yield bytes(data)
