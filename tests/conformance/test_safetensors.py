# SPDX-License-Identifier: MIT
"""Reading and writing safetensors files, against the safetensors package."""

import ctypes
import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import mutants
from library import Failure, Scope, content, lib, npy_options, tensor
from test_npy import SEED, arrays, layouts
import safetensors_corpus  # noqa: E402, beside test_npy's own

_p, _i64, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


_declare("tv_safetensors_open", _p, ctypes.c_char_p)
_declare("tv_safetensors_count", _i64, _p)
_declare("tv_safetensors_name", ctypes.c_char_p, _p, _i64)
_declare("tv_safetensors_read", _p, _p, ctypes.c_char_p, _p)
_declare("tv_safetensors_metadata_count", _i64, _p)
_declare("tv_safetensors_metadata_key", ctypes.c_char_p, _p, _i64)
_declare("tv_safetensors_metadata_value", ctypes.c_char_p, _p, _i64)
_declare("tv_safetensors_release", None, _p)
_declare("tv_safetensors_save", _int, ctypes.c_char_p, _i64, _p, _p, _p)


class SaveOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("durable", ctypes.c_bool), ("n_metadata", _i64), ("keys", _p),
                ("values", _p)]


def texts(words):
    return (ctypes.c_char_p * max(1, len(words)))(*(word.encode() for word in words))


def save(path, named, metadata=None):
    keys, values = texts(metadata or {}), texts((metadata or {}).values())
    options = SaveOptions(ctypes.sizeof(SaveOptions), False, len(metadata or {}), ctypes.cast(keys, _p),
                          ctypes.cast(values, _p))
    with Scope():
        tensors = (_p * max(1, len(named)))(*(tensor(array) for array in named.values()))
        lib.tv_safetensors_save(str(path).encode(), len(named), texts(named), tensors, ctypes.byref(options))


def load(path, **options):
    """name: (dtype, shape, bytes) of every tensor; and the metadata."""
    found, metadata = {}, {}
    with Scope():
        file = lib.tv_safetensors_open(str(path).encode())
        if file:
            for i in range(lib.tv_safetensors_count(file)):
                name = lib.tv_safetensors_name(file, i)
                found[name.decode()] = content(lib.tv_safetensors_read(file, name, npy_options(**options)))
            for i in range(lib.tv_safetensors_metadata_count(file)):
                key = lib.tv_safetensors_metadata_key(file, i).decode()
                metadata[key] = lib.tv_safetensors_metadata_value(file, i).decode()
            lib.tv_safetensors_release(file)
    return found, metadata


def told(array):
    return array.dtype.name, list(array.shape), array.tobytes("C")


def sample():
    named = {f"a{i}": array for i, array in enumerate(arrays()) if array.dtype != np.complex128}
    named |= {f"layer.{i}": array for i, array in enumerate(layouts(np.arange(24.0).reshape(2, 3, 4)))}
    named["größe \"\\\n😀"] = np.zeros(3)
    return named


METADATA = {"format": "np", "a \"text\"\\": "größe\n\t\x01\x7f 😀", "": ""}


def test_the_package_reads_ours(tmp_path):
    path, named = tmp_path / "x.safetensors", sample()
    save(path, named, METADATA)
    found = safetensors.numpy.load_file(path)
    assert set(found) == set(named)
    for name, array in named.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == METADATA
    wanted = {name: told(array) for name, array in named.items()}
    assert load(path) == (wanted, METADATA)
    save(path, {})
    assert safetensors.numpy.load_file(path) == {} and load(path) == ({}, {})


def test_the_header_is_the_packages_but_for_blanks(tmp_path):
    path, named = tmp_path / "x.safetensors", {n: a for n, a in sample().items() if a.flags.c_contiguous}
    save(path, named, {"k": "v"})
    ours, theirs = path.read_bytes(), safetensors.numpy.save(named, {"k": "v"})

    def split(data):
        n = int.from_bytes(data[:8], "little")
        return json.loads(data[8:8 + n]), data[8 + n:]

    assert split(ours) == split(theirs)
    assert (8 + int.from_bytes(ours[:8], "little")) % 64 == 0


def test_we_read_the_packages(tmp_path):
    path, named = tmp_path / "x.safetensors", sample()
    named = {name: np.ascontiguousarray(array) for name, array in named.items()}
    safetensors.numpy.save_file(named, path, METADATA)
    wanted = {name: told(array) for name, array in named.items()}
    for map in range(3):
        assert load(path, map=map) == (wanted, METADATA)


def by_package(path):
    """What the package makes of it; None if it refuses, or if NumPy has no such dtype."""
    try:
        found = safetensors.numpy.load_file(path)
        with safetensors.safe_open(path, "np") as file:
            return {name: told(array) for name, array in found.items()}, file.metadata() or {}
    except Exception:  # SafetensorError, KeyError, TypeError
        return None


def test_changed_files_are_read_only_as_the_package_reads_them(tmp_path):
    """Every byte of a small file changed in five ways, and the file cut there."""
    path, accepted = tmp_path / "x.safetensors", 0
    save(path, {"w": np.arange(3, dtype=np.int16), "b": np.array([True, False])}, {"k": "é\n"})
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at])
        with pytest.raises(Failure):
            load(path)
        for change in (1, 2, 0x10, 0x20, 0xFF):
            data = bytearray(good)
            data[at] ^= change
            path.write_bytes(data)
            try:
                found = load(path)
            except Failure:
                continue
            assert found == by_package(path), (at, change)
            accepted += 1
    assert accepted > 50


@pytest.mark.parametrize("header, why", [
    ('{"x":{"dtype":"U8","shape":[],"data_offsets":[0,1],"more":1}}', "expected the field dtype, shape"),
    ('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
     "found 'x' twice"),
    ('{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', "dtype 'F8_E4M3' is not supported"),
    ('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}{', "nothing but blanks"),
    ("[" * 100_000, "expected '{'"),
    ('{"' + "a" * 1_000_000, "expected the closing quote"),
])
def test_headers_are_read_strictly(tmp_path, header, why):
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\0")
    with pytest.raises(Failure, match=why):
        load(path)


def test_mutants_are_accepted_only_as_the_package_accepts_them(tmp_path):
    path = tmp_path / "x.safetensors"
    save(path, {"w": np.arange(3, dtype=np.int16), "b": np.array([True, False])}, {"k": "é\n"})
    words = [b'"', b"{", b"}", b",", b"[0,6]", b"\\u0041", b"\xff", b" ", b"0", b"\\"]
    accepted = 0
    for data in mutants.of([path.read_bytes()], words):
        path.write_bytes(data)
        try:
            found = load(path)
        except Failure:
            continue
        assert found == by_package(path)
        accepted += 1
    assert accepted > mutants.COUNT // 100


def test_every_good_file_of_the_corpus_is_read_as_the_package_reads_it(tmp_path):
    """That the bad ones are refused is corpus_job's to say, in every way there is."""
    path = tmp_path / "x.safetensors"
    names = {name: ours for name, (ours, _) in safetensors_corpus.DTYPES.items()}
    for case in safetensors_corpus.Corpus(SEED).well_formed():
        path.write_bytes(case.data)
        wanted = {name: (dtype, shape, content) for name, dtype, shape, content in case.arrays}
        found = {name: (names[about["dtype"]], about["shape"], bytes(about["data"]))
                 for name, about in safetensors.deserialize(case.data)}
        assert found == wanted, case.name
        with safetensors.safe_open(path, "np") as file:
            assert (file.metadata() or {}) == case.metadata, case.name
        assert load(path) == (wanted, case.metadata), case.name
