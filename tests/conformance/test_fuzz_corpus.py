# SPDX-License-Identifier: MIT
"""The inputs of the fuzz targets against NumPy and the safetensors package: what they refuse is refused,
and what both accept is the same. TV_FUZZ_CORPUS names a folder of more, one folder for each target."""

import ctypes
import io
import os
import pathlib
import sys

import numpy as np
import pytest
import safetensors

import test_npy
import test_npz
import test_safetensors
from library import Failure, Scope, content, lib, npy_options, tensor

FUZZ = pathlib.Path(__file__).parent.parent.parent / "fuzz"
sys.path.insert(0, str(FUZZ))
import seeds  # noqa: E402

lib.tv_slice.restype, lib.tv_slice.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)


def inputs(target):
    yield from seeds.lines_of(FUZZ / "corpus" / f"{target}.inputs")
    if "TV_FUZZ_CORPUS" in os.environ:
        for path in sorted((pathlib.Path(os.environ["TV_FUZZ_CORPUS"]) / target).iterdir()):
            yield path.read_bytes()


def accepted(read, *arguments):
    try:
        return read(*arguments)
    except Failure:
        return None


@pytest.mark.filterwarnings("ignore")
def test_npy_inputs():
    n = 0
    for data in inputs("npy"):
        found = accepted(test_npy.by_memory, data)
        if found:
            n += 1
            assert found == test_npy.by_numpy(data), data
    assert n > 20  # else nothing was compared


def members(path):
    """Those members of an archive that can be read."""
    found = {}
    with Scope():
        npz = lib.tv_npz_open(str(path).encode(), None)
        names = [lib.tv_npz_name(npz, i) for i in range(lib.tv_npz_count(npz))] if npz else []
    for name in names:
        def read():
            with Scope():
                return content(lib.tv_npz_read(npz, name, None))

        found[name.decode()] = accepted(read)
    lib.tv_npz_release(npz)
    return {name: told for name, told in found.items() if told}


@pytest.mark.filterwarnings("ignore")
def test_part_inputs():
    """Without the dtype that an input asks for: conversions have tests of their own."""
    n = 0
    for data in inputs("part"):
        slice_, field, rest = (data + b"\n\n").split(b"\n", 2)
        if b"\0" in slice_ + field or len(rest) < 3:
            continue

        def part():
            with Scope():
                return content(lib.tv_npy_read_memory(rest[1:-2], len(rest) - 3, npy_options(slice=slice_, field=field or None)))

        found = accepted(part)
        if found:
            n += 1
            array = np.lib.format.read_array(io.BytesIO(rest[1:-2]), max_header_size=10**6)
            for name in field.decode().split(".") if field else ():
                array = array[name]
            wanted = np.asarray(eval(b"array[" + slice_ + b"]", {"array": array}))
            order = wanted.dtype.newbyteorder("<")
            assert found == (wanted.dtype.newbyteorder("=").name, list(wanted.shape), wanted.astype(order).tobytes()), data
    assert n > 50


@pytest.mark.filterwarnings("ignore")
def test_npz_inputs(tmp_path):
    path, n = tmp_path / "x.npz", 0
    for data in inputs("npz"):
        path.write_bytes(data)
        for name, found in (accepted(members, path) or {}).items():
            n += 1
            with np.load(path, allow_pickle=False) as file:
                assert found == test_npz.told(file[name]), data
    assert n > 10


DTYPES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
          "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
          "C64": "complex64"}


def by_package(path, data):
    """As load, but of every dtype that the format has; NumPy has no bfloat16."""
    found = {name: (DTYPES[told["dtype"]], told["shape"], bytes(told["data"])) for name, told in safetensors.deserialize(data)}
    with safetensors.safe_open(path, "np") as file:
        return found, file.metadata() or {}


def test_safetensors_inputs(tmp_path):
    path, n = tmp_path / "x.safetensors", 0
    for data in inputs("safetensors"):
        path.write_bytes(data)
        found = accepted(test_safetensors.load, path)
        if found is not None:
            n += 1
            assert found == by_package(path, data), data
    assert n > 20


def shape_and_text(data):
    """As fuzz_slice.c takes an input apart."""
    rank = data[0] % 5 if data else 0
    sizes = [size % 6 for size in data[1:1 + rank]]
    text = data[1 + rank:] if data else b""
    return sizes + [1] * (rank - len(sizes)), text.split(b"\0")[0][:400]


@pytest.mark.filterwarnings("ignore")
def test_slice_inputs():
    n = 0
    for data in inputs("slice"):
        shape, text = shape_and_text(data)
        array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)

        def slice():
            with Scope():
                return content(lib.tv_slice(tensor(array), text))

        found = accepted(slice)
        if found:
            n += 1
            wanted = np.asarray(eval(b"array[" + text + b"]", {"array": array}))
            assert found == ("int64", list(wanted.shape), wanted.tobytes()), (shape, text)
    assert n > 50
