# SPDX-License-Identifier: MIT
"""Appending rows to .npy files: the bytes are those that NumPy writes for the whole array."""

import ctypes
import io

import numpy as np
import pytest

from library import NAMES, Failure, Scope, lib, sizes, tensor

_p, _i64, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("start", _int), ("durable", ctypes.c_bool), ("fortran", ctypes.c_bool),
                ("rewrite", ctypes.c_bool)]


_declare("tv_npy_writer_open", _p, ctypes.c_char_p, _int, _int, _p, ctypes.POINTER(Options))
_declare("tv_npy_writer_append", _int, _p, _p)
_declare("tv_npy_writer_close", _int, _p)


def append(path, arrays, like, fortran=False, rewrite=False):
    """Arrays behind what the file holds, in one writer; `like` is one of them."""
    options = Options(ctypes.sizeof(Options), 0, False, fortran, rewrite)
    row = like.shape[:-1] if fortran else like.shape[1:]
    with Scope():
        writer = lib.tv_npy_writer_open(str(path).encode(), NAMES.index(like.dtype.name), len(row), sizes(row),
                                        ctypes.byref(options))
        if writer:
            for array in arrays:
                lib.tv_npy_writer_append(writer, tensor(array))
            lib.tv_npy_writer_close(writer)


def saved(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def wholes():
    rng = np.random.default_rng(7)
    for name in NAMES:
        if name == "bfloat16":
            continue
        dtype = np.dtype(name)
        for row in [(), (3,), (2, 3), (0,), (1, 1, 5)]:
            size = 123 * int(np.prod(row)) * dtype.itemsize
            raw = rng.integers(0, 2 if name == "bool" else 256, size, np.uint8)
            yield np.frombuffer(raw.tobytes(), dtype).reshape(123, *row)


@pytest.mark.parametrize("fortran", [False, True])
def test_a_grown_file_has_the_bytes_that_numpy_writes(tmp_path, fortran):
    path = tmp_path / "x.npy"
    for whole in wholes():
        if fortran and whole.ndim < 2:
            continue
        path.unlink(missing_ok=True)
        parts = [whole[:9], np.asarray(whole[9]), whole[10:10], whole[10:12], whole[12:]]
        if fortran:
            whole = np.asfortranarray(np.moveaxis(whole, 0, -1))
            parts = [np.moveaxis(part, 0, -1) if part.ndim == whole.ndim else part for part in parts]
        append(path, parts[:2], whole, fortran)
        append(path, parts[2:], whole, fortran)
        if fortran and whole.flags.c_contiguous:  # NumPy calls that C order, and we only where there is no choice
            assert np.array_equal(np.load(path).view(np.uint8), np.ascontiguousarray(whole).view(np.uint8))
        else:
            assert path.read_bytes() == saved(whole), (whole.dtype, whole.shape)


def test_a_file_of_numpys_is_continued(tmp_path):
    path = tmp_path / "x.npy"
    for whole in wholes():
        path.write_bytes(saved(whole[:7]))
        append(path, [whole[7:]], whole)
        assert path.read_bytes() == saved(whole), (whole.dtype, whole.shape)


@pytest.mark.parametrize("version", [(2, 0), (3, 0)])
def test_other_versions_are_continued_as_they_are(tmp_path, version):
    path = tmp_path / "x.npy"
    whole = np.arange(3000, dtype=np.float32).reshape(1000, 3)

    def written(array):
        out = io.BytesIO()
        np.lib.format.write_array(out, array, version=version)
        return out.getvalue()

    path.write_bytes(written(whole[:7]))
    append(path, [whole[7:100], whole[100:]], whole)
    assert path.read_bytes() == written(whole)


def test_numpy_maps_a_file_while_it_grows(tmp_path):
    path = tmp_path / "x.npy"
    whole = np.arange(3000, dtype=np.float64).reshape(1000, 3)
    append(path, [whole[:400]], whole)
    view = np.load(path, mmap_mode="r")
    append(path, [whole[400:]], whole)
    assert np.array_equal(view, whole[:400]) and np.array_equal(np.load(path), whole)


def test_big_endian_files_and_other_rows_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    np.save(path, array)
    with pytest.raises(Failure, match="found big-endian elements"):
        append(path, [], array.astype("<f4"))
    np.save(path, array.astype("<f4"))
    with pytest.raises(Failure, match=r"found \[2, 3\] of float32, expected \[2, 3\] of float64"):
        append(path, [], array.astype("<f8"))
    assert np.array_equal(np.load(path), array)
