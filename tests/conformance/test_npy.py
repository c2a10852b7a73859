# SPDX-License-Identifier: MIT
"""Reading and writing .npy files, over a generated corpus and against NumPy."""

import gc
import hashlib
import io
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

from library import NAMES, Failure, Scope, content, lib, npy_options, tensor

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import npy_corpus  # noqa: E402

SEED = int(os.environ.get("TV_SEED", "1"))
PROBE = os.environ.get("TENSORVAR_NPY_PROBE")


def by_memory(data):
    with Scope():
        return content(lib.tv_npy_read_memory(data, len(data), None))


def by_stream(data):
    readable, writable = os.pipe()

    def feed():
        with os.fdopen(writable, "wb", 0) as out:
            try:
                out.write(data)
            except BrokenPipeError:
                pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        with Scope():
            return content(lib.tv_npy_read_fd(readable, b"pipe", None))
    finally:
        os.close(readable)
        feeder.join()


def by_path(path, data, mode):
    path.write_bytes(data)
    options = npy_options(map=mode)
    with Scope():
        return content(lib.tv_npy_load(str(path).encode(), options))


def by_numpy(data):
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False, max_header_size=10**6)
    order = array.dtype.newbyteorder("<")
    elements = array.squeeze().astype(order).tobytes("C")  # beyond 32 axes tobytes does nothing
    return array.dtype.newbyteorder("=").name, list(array.shape), elements


def outcome(read, *arguments):
    try:
        return read(*arguments), None
    except Failure as failure:
        return None, str(failure)


def judge(case, found, why):
    """Whether what was found of a case is right."""
    if case.verdict == "accept":
        assert found == (case.dtype, case.shape, case.content), f"{case.name}: {why}"
    elif case.verdict == "refuse":
        assert found is None, f"{case.name}: accepted, as {found[:2]}"
    elif found:
        assert found == by_numpy(case.data), case.name
    if not found:
        assert why and all(" " <= c <= "~" for c in why), f"{case.name}: {why!r}"
        assert len(why) < 512


def test_every_file_of_the_corpus_by_memory_map_and_stream(tmp_path):
    gc.collect()  # what earlier tests left to the collector is no leak of these
    live = lib.tv_live_handles()
    for case in npy_corpus.Corpus(SEED).fixed():
        ways = [outcome(by_memory, case.data), outcome(by_stream, case.data)]
        ways += [outcome(by_path, tmp_path / "x.npy", case.data, mode) for mode in range(3)]
        for found, why in ways:
            judge(case, found, why)
            assert (found is None) == (ways[0][0] is None)
    assert lib.tv_live_handles() == live


def test_mutants_are_accepted_only_as_numpy_accepts_them(tmp_path):
    corpus, accepted = npy_corpus.Corpus(SEED), 0
    for case in itertools.chain(corpus.mutants(int(os.environ.get("TV_MUTANTS", "20000"))), corpus.spaces(3000)):
        found, why = outcome(by_memory, case.data)
        judge(case, found, why)
        accepted += found is not None
    assert accepted > 1000  # else nothing was compared


@pytest.mark.skipif(not PROBE, reason="TENSORVAR_NPY_PROBE is not set")
def test_npy_probe_tells_what_a_file_holds(tmp_path):
    path = tmp_path / "x.npy"
    for i, case in enumerate(npy_corpus.Corpus(SEED).fixed()):
        path.write_bytes(case.data)
        for words in ([], ["--mmap"]) if case.verdict == "accept" or i % 10 == 0 else ([],):
            done = subprocess.run([PROBE, *words, path], capture_output=True, timeout=10)
            told = json.loads(done.stdout)
            assert done.stdout.count(b"\n") == 1 and not done.stderr
            if case.verdict == "accept":
                assert done.returncode == 0, case.name
                assert told == {"ok": True, "dtype": case.dtype, "shape": case.shape, "fortran": case.fortran,
                                "sha256": hashlib.sha256(case.content).hexdigest()}
            elif case.verdict == "refuse":
                assert (done.returncode, told["ok"]) == (1, False), case.name


@pytest.mark.skipif(not PROBE, reason="TENSORVAR_NPY_PROBE is not set")
def test_npy_probe_refuses_what_is_no_file(tmp_path):
    for path in ("/", "/dev/null", "/dev/zero", str(tmp_path), str(tmp_path / "none"), "", "\xff\n", "x" * 4095,
                 "/proc/self/status"):
        done = subprocess.run([PROBE, path], capture_output=True, timeout=2)
        assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False


def arrays():
    rng = np.random.default_rng(SEED)
    for name in NAMES:
        if name == "bfloat16":
            continue
        dtype = np.dtype(name)
        for shape in [(), (0,), (1,), (5,), (2, 3), (3, 0, 2), (1, 1, 4), (4, 1), (2, 3, 4), (1,) * 20, (70, 50)]:
            size = int(np.prod(shape)) * dtype.itemsize
            raw = rng.integers(0, 2 if name == "bool" else 256, size, np.uint8)
            yield np.frombuffer(raw.tobytes(), dtype).reshape(shape)


def layouts(array):
    yield array
    yield np.asfortranarray(array)
    yield array.T
    if array.ndim:
        yield array[::-1]
        yield np.repeat(array, 2, axis=-1)[..., ::2]
        yield np.broadcast_to(array, (2,) + array.shape)
        yield np.moveaxis(array, 0, -1)


def test_saved_files_have_the_bytes_that_numpy_writes(tmp_path):
    path = tmp_path / "x.npy"
    for array in itertools.chain.from_iterable(map(layouts, arrays())):
        with Scope():
            lib.tv_npy_save(str(path).encode(), tensor(array), None)
        wanted = io.BytesIO()
        np.save(wanted, array)
        assert path.read_bytes() == wanted.getvalue(), (array.dtype, array.shape, array.strides)
    assert os.listdir(tmp_path) == ["x.npy"]


def test_bfloat16_round_trips_as_void(tmp_path):
    path = tmp_path / "x.npy"
    array = np.arange(7, dtype=np.uint16)
    with Scope():
        lib.tv_npy_save(str(path).encode(), tensor(array, "bfloat16"), None)
    assert np.load(path).dtype == np.dtype("V2") and np.load(path).tobytes() == array.tobytes()
    with pytest.raises(Failure, match="2-byte void; if this is bfloat16, ask for it"):
        by_path(path, path.read_bytes(), 0)
    with Scope():
        assert content(lib.tv_npy_load(str(path).encode(), npy_options(void2_is_bf16=True))) == (
            "bfloat16", [7], array.tobytes())


def test_arrays_one_after_another_are_read_from_one_descriptor(tmp_path):
    path = tmp_path / "x.npy"
    wanted = [a for a in arrays()][:40]
    with open(path, "wb") as out:
        for array in wanted:
            np.save(out, array)
    descriptor = os.open(path, os.O_RDONLY)
    for array in wanted:
        with Scope():
            found = content(lib.tv_npy_read_fd(descriptor, b"x", None))
        assert found == (array.dtype.name, list(array.shape), array.tobytes())
    with pytest.raises(Failure, match="byte 0: found the end of the file"):
        with Scope():
            lib.tv_npy_read_fd(descriptor, b"x", None)
    os.close(descriptor)


def test_sparse_files_beyond_32_bits_are_mapped(tmp_path):
    path = tmp_path / "x.npy"
    for code, shape in (("|i1", (2**31 + 16,)), ("|u1", (2**32 + 5,)), ("<f8", (2**16, 2**14))):
        text = npy_corpus.padded(npy_corpus.header(code, False, shape))
        bytes_ = int(np.prod(shape, dtype=object)) * int(code[2])
        path.write_bytes(npy_corpus.file_of(text))
        os.truncate(path, 10 + len(text) + bytes_)
        with Scope():
            x = lib.tv_npy_load(str(path).encode(), npy_options(map=1, require_map=True))
            assert x and lib.tv_tensor_bytes(x) == bytes_
        os.truncate(path, 10 + len(text) + bytes_ - 1)
        with pytest.raises(Failure, match=f"found {bytes_ - 1} bytes, expected {bytes_} for shape"):
            with Scope():
                lib.tv_npy_load(str(path).encode(), npy_options(map=1))
