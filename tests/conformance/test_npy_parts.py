# SPDX-License-Identifier: MIT
"""Parts of .npy files against NumPy: slices, fields of records, dtypes, orders and byte orders."""

import ctypes
import io
import os
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from library import NAMES, Failure, NpySaveOptions, Scope, content, lib, npy_options, tensor

DEPTH = int(os.environ.get("TENSORVAR_DEPTH", "1"))
SUPPORTED = ["|b1", "|i1", "<i2", ">i2", "<i4", ">i8", "|u1", "<u2", ">u4", "<u8", "<f2", ">f2", "<f4",
             ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", ">c16"]


READ = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


def load_with(data, door, path="", **options):
    """The array of a file's bytes, through a door, as content() gives it."""
    for name in ("slice", "field"):
        if name in options:
            options[name] = options[name].encode()
    stream = io.BytesIO(data)

    def read(_, out, n):  # never all that is asked for
        piece = stream.read(min(n, 11))
        ctypes.memmove(out, piece, len(piece))
        return len(piece)

    with Scope():
        if door == "memory":
            return content(lib.tv_npy_read_memory(data, len(data), npy_options(**options)))
        if door == "callback":
            return content(lib.tv_npy_read_callback(READ(read), None, b"short", npy_options(**options)))
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return content(lib.tv_npy_load(file.name.encode(), npy_options(map=int(door == "map"), **options)))


def save_with(path, array, **options):
    options = NpySaveOptions(size=ctypes.sizeof(NpySaveOptions), **options)
    with Scope():
        lib.tv_npy_save(str(path).encode(), tensor(array), ctypes.byref(options))
    return path.read_bytes()


def same(got, want):
    want = np.asarray(want)
    little = want.astype(want.dtype.newbyteorder("<"))
    assert got == (want.dtype.newbyteorder("=").name, list(want.shape), little.tobytes())


def text_of(index):
    """An index as NumPy is given it, in its notation."""
    def term(i):
        if i is None:
            return "None"
        if i is Ellipsis:
            return "..."
        if isinstance(i, slice):
            parts = ["" if p is None else str(p) for p in (i.start, i.stop)]
            return ":".join(parts) + ("" if i.step is None else f":{i.step}")
        return str(i)
    return ", ".join(map(term, index if isinstance(index, tuple) else (index,))) or "..."


@st.composite
def arrays_and_indices(draw):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=7))
    dtype = np.dtype(draw(st.sampled_from(SUPPORTED)))
    array = draw(hnp.arrays(dtype.newbyteorder("="), shape, elements=None, fill=st.nothing())
                 if draw(st.integers(0, 9)) == 0 else st.just(None))
    if array is None:
        seed = draw(st.integers(0, 2**32 - 1))
        raw = np.random.default_rng(seed).integers(0, 2 if dtype.kind == "b" else 256,
                                                   int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8)
        array = raw.view(dtype).reshape(shape)
    array = array.astype(dtype)
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    index = draw(hnp.basic_indices(array.shape, min_dims=0, max_dims=7, allow_newaxis=True, allow_ellipsis=True))
    return array, index


@settings(max_examples=300 * DEPTH, deadline=None)
@given(arrays_and_indices())
def test_slices_are_numpys(case):
    array, index = case
    file = io.BytesIO()
    np.save(file, array)
    for door in ("memory", "load", "map", "callback"):
        same(load_with(file.getvalue(), door, slice=text_of(index)), array[index])


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("source", [">f4", "<f8", "|b1", "<c8"])
def test_large_arrays_are_numpys_on_any_number_of_threads(source, threads):
    side = 3001
    raw = np.random.default_rng(5).integers(0, 2, (side, side))
    array = raw.astype(source) if source == "|b1" else (raw * 0.37 + np.arange(side)).astype(source)
    try:
        lib.tv_threads_set(threads)
        for order in "CF":
            file = io.BytesIO()
            np.save(file, np.asarray(array, order=order))
            for door in ("memory", "load"):
                same(load_with(file.getvalue(), door), array)
                same(load_with(file.getvalue(), door, slice="7:, 1::2"), array[7:, 1::2])
                wide = "complex64" if source == "<c8" else "float32"
                same(load_with(file.getvalue(), door, dtype=NAMES.index(wide), refuse=1), array.astype(wide))
        field = np.zeros(side * 300, [("a", "u1"), ("b", source)])
        field["b"] = np.resize(array, field.shape)
        file = io.BytesIO()
        np.save(file, field)
        same(load_with(file.getvalue(), "load", field="b"), field["b"])
    finally:
        lib.tv_threads_set(0)


NUMBERS = st.sampled_from(SUPPORTED)
OTHERS = st.sampled_from(["|S3", "<M8[25s]", "<m8[3D]", "<U2", ">U1", "|V5", "<M8[us]", "<m8[D]", "<M8", "<f16", "<c32", "|S1"])


@st.composite
def records(draw, depth=0):
    n = draw(st.integers(1, 4))
    fields = []
    for i in range(n):
        kind = draw(st.integers(0, 9))
        name = f"{'xyz'[depth]}{i}"
        if kind == 0 and depth < 2:
            item = (name, draw(records(depth + 1)))
        elif kind == 1:
            item = (("title " + name, name), draw(NUMBERS))
        elif kind < 4:
            item = (name, draw(OTHERS))
        else:
            item = (name, draw(NUMBERS))
        if draw(st.integers(0, 3)) == 0:
            item += (tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=2))),)
        fields.append(item)
    return fields


def paths(dtype, prefix="", is_within=False):
    """The fields that can be asked for, and how NumPy reads each; None for those that cannot."""
    for name in dtype.names:
        field = dtype.fields[name][0]
        base, shape = field.subdtype or (field, ())
        if base.names:
            yield prefix + name, None
            yield from paths(base, prefix + name + ".", is_within or bool(shape))
        else:
            yield prefix + name, None if is_within or base.str[1:] not in {s[1:] for s in SUPPORTED} else base


@settings(max_examples=150 * DEPTH, deadline=None)
@given(records(), st.lists(st.integers(0, 4), max_size=3), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_fields_are_numpys(fields, shape, is_fortran, is_aligned, seed):
    dtype = np.dtype(fields, align=is_aligned)
    if dtype.itemsize == 0:
        return
    n = int(np.prod(shape, dtype=int))
    raw = np.random.default_rng(seed).integers(0, 2, n * dtype.itemsize, dtype=np.uint8)  # bools are 0 or 1
    array = raw.view(dtype).reshape(shape)
    if is_fortran:
        array = np.asfortranarray(array)
    file = io.BytesIO()
    np.save(file, array)
    read = np.load(io.BytesIO(file.getvalue()))
    with pytest.raises(Failure, match="ask for a field"):
        load_with(file.getvalue(), "memory")
    for path, base in paths(dtype):
        if base is None:
            with pytest.raises(Failure, match="is not supported"):
                load_with(file.getvalue(), "memory", field=path)
            continue
        want = read
        for name in path.split("."):
            want = want[name]
        for door in ("memory", "load", "map"):
            same(load_with(file.getvalue(), door, field=path), want)


@pytest.mark.parametrize("source", SUPPORTED)
def test_dtypes_are_converted_as_astype_does(source):
    rng = np.random.default_rng(3)
    array = (rng.standard_normal(1000) * 90).astype(np.complex128 if "c" in source else np.float64)
    array = (np.abs(array) % 100 if "u" in source else array).astype(source)
    file = io.BytesIO()
    np.save(file, array)
    for target in ("int8", "uint64", "float16", "float32", "float64", "complex64", "bool"):
        if array.dtype.kind == "c" and target not in ("complex64", "bool"):
            with pytest.raises(Failure, match="tv_real"):
                load_with(file.getvalue(), "load", dtype=NAMES.index(target), refuse=0)
            continue
        if target in ("int8", "uint64") and array.dtype.kind in "fc" and (np.abs(array) > 120).any():
            continue  # out of range: the processor's answer, see test_cast.py
        with np.errstate(all="ignore"):
            want = array.astype(target)
        if target == "uint64" and (array < 0).any():
            continue
        same(load_with(file.getvalue(), "load", dtype=NAMES.index(target), refuse=0), want)


@pytest.mark.parametrize("code", [s for s in SUPPORTED if s[0] != ">"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_what_is_written_is_what_numpy_writes(code, order, tmp_path):
    """order: as it lies, C, Fortran; little-endian and big-endian."""
    rng = np.random.default_rng(5)
    for shape in ((), (7,), (3, 4), (2, 3, 4), (0, 3), (1, 5), (4, 1)):
        dtype = np.dtype(code)
        n = int(np.prod(shape)) * dtype.itemsize
        array = rng.integers(0, 2 if dtype.kind == "b" else 256, n, dtype=np.uint8).view(dtype).reshape(shape)
        want = np.asfortranarray(array).reshape(shape, order="F") if order == 2 else array
        for is_big in (False, True):
            typed = want.astype(dtype.newbyteorder(">" if is_big else "<"), order="K")
            expected = io.BytesIO()
            np.save(expected, typed)
            got = save_with(tmp_path / "x.npy", array, order=order, big_endian=is_big)
            if order == 2 and typed.flags.c_contiguous and array.ndim > 1:
                # It lies in both orders: NumPy calls it C, ours says what was asked for.
                assert b"'fortran_order': True" in got
                assert np.load(io.BytesIO(got)).tobytes() == typed.tobytes()
                continue
            assert got == expected.getvalue()
