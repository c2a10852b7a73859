# SPDX-License-Identifier: MIT
"""The corpora in one file each, for programs that have no Python: corpus_job.c reads them.

    corpus_pack.py FOLDER [SEED]     write npy.pack, npz.pack and safetensors.pack

Of each file a line, `NAME VERDICT DIGEST BYTES WHY`, and its bytes with a newline behind them. VERDICT is
accept, refuse, either, or unsummed, which is refuse but for maps; DIGEST the CRC-32 of what it holds, as digest() below; WHY a part of the message
that refuses it, which may be empty.
"""

import itertools
import pathlib
import sys
import zlib

import npy_corpus
import npz_corpus
import safetensors_corpus


def digest(arrays, metadata=()):
    """Of (name, dtype, shape, elements in C order as little-endian bytes), one after another; then of keys and
    values."""
    sum_ = 0
    for name, dtype, shape, content in arrays:
        sum_ = zlib.crc32(f"{name}\0{dtype}\0{','.join(map(str, shape))}\0".encode(), sum_)
        sum_ = zlib.crc32(content, sum_)
    for text in metadata:
        sum_ = zlib.crc32(text.encode() + b"\0", sum_)
    return sum_


def npy(seed):
    corpus = npy_corpus.Corpus(seed)
    for case in itertools.chain(corpus.fixed(), corpus.mutants(4000), corpus.spaces(500)):
        arrays = [("", case.dtype, case.shape, case.content)] if case.verdict == "accept" else []
        yield case.name, case.verdict or "either", digest(arrays), case.why or "", case.data


def others(corpus):
    for case in corpus.fixed():
        metadata = itertools.chain.from_iterable(getattr(case, "metadata", {}).items())
        yield case.name, case.verdict, digest(case.arrays, metadata), case.why, case.data


def write(path, cases):
    with open(path, "wb") as out:
        for name, verdict, sum_, why, data in cases:
            name = "".join(c if "!" <= c <= "~" else "?" for c in name)
            out.write(f"{name} {verdict} {sum_:08x} {len(data)} {why}\n".encode() + data + b"\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "npy.pack", npy(seed))
    write(folder / "npz.pack", others(npz_corpus.Corpus(seed)))
    write(folder / "safetensors.pack", others(safetensors_corpus.Corpus(seed)))


if __name__ == "__main__":
    main()
