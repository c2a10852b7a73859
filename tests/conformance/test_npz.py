# SPDX-License-Identifier: MIT
"""Reading and writing .npz files, against NumPy and Python's zipfile."""

import ctypes
import io
import struct
import zipfile

import numpy as np
import pytest

import mutants
from library import Failure, Scope, content, lib, npy_options, tensor
from test_npy import SEED, arrays, layouts
import npz_corpus  # noqa: E402, beside test_npy's own

_p, _i64, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


_declare("tv_npz_open", _p, ctypes.c_char_p, _p)
_declare("tv_npz_count", _i64, _p)
_declare("tv_npz_name", ctypes.c_char_p, _p, _i64)
_declare("tv_npz_read", _p, _p, ctypes.c_char_p, _p)
_declare("tv_npz_verify", _int, _p)
_declare("tv_npz_release", None, _p)
_declare("tv_npz_save", _int, ctypes.c_char_p, _i64, _p, _p, _p)


class SaveOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("durable", ctypes.c_bool), ("compression", _int)]


def save(path, named, compression=0):
    options = SaveOptions(ctypes.sizeof(SaveOptions), False, compression)
    with Scope():
        tensors = (_p * len(named))(*(tensor(array) for array in named.values()))
        names = (ctypes.c_char_p * len(named))(*(name.encode() for name in named))
        lib.tv_npz_save(str(path).encode(), len(named), names, tensors, ctypes.byref(options))


def has_zlib(tmp_path):
    try:
        save(tmp_path / "probe.npz", {"x": np.zeros(1)}, 6)
    except Failure as failure:
        assert "this build of the library is without zlib" in str(failure)
        return False
    return True


def load(path, **options):
    """name: (dtype, shape, bytes) of every member."""
    found = {}
    with Scope():
        npz = lib.tv_npz_open(str(path).encode(), None)
        if npz:
            for i in range(lib.tv_npz_count(npz)):
                name = lib.tv_npz_name(npz, i)
                found[name.decode()] = content(lib.tv_npz_read(npz, name, npy_options(**options)))
            lib.tv_npz_verify(npz)
            lib.tv_npz_release(npz)
    return found


def told(array):
    return array.dtype.newbyteorder("=").name, list(array.shape), array.astype(array.dtype.newbyteorder("<")).tobytes("C")


def sample():
    return {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "layer/b": np.array([True, False]), "µ": np.array(7)}


def test_numpy_and_zipfile_read_ours(tmp_path):
    path = tmp_path / "x.npz"
    named = {f"a{i}": array for i, array in enumerate(arrays()) if array.ndim <= 6}
    named |= {f"layer/{i}": array for i, array in enumerate(layouts(np.arange(24.0).reshape(2, 3, 4)))}
    named["größe"] = np.zeros(3)
    for compression in (0, 1, 6, 9) if has_zlib(tmp_path) else (0,):
        save(path, named, compression)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            for member in archive.infolist():
                assert member.date_time == (1980, 1, 1, 0, 0, 0)
                assert member.compress_type == (8 if compression else 0)
        with np.load(path) as found:
            assert found.files == list(named)
            for name, array in named.items():
                assert found[name].dtype == array.dtype and found[name].shape == array.shape
                assert found[name].tobytes() == array.tobytes(), name
        assert load(path) == {name: told(array) for name, array in named.items()}


def test_stored_arrays_begin_at_multiples_of_64(tmp_path):
    path = tmp_path / "x.npz"
    save(path, {"n" * n: np.arange(n, dtype=np.int8) for n in range(1, 130)})
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name, extra = struct.unpack_from("<HH", data, member.header_offset + 26)
            assert (member.header_offset + 30 + name + extra) % 64 == 0
    assert load(path, map=1, require_map=True) == load(path)


class Pipe(io.BytesIO):
    """What zipfile cannot seek in: sizes follow the data."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation

    def tell(self):
        raise io.UnsupportedOperation


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def test_numpys_and_zipfiles_are_read(tmp_path):
    path = tmp_path / "x.npz"
    wanted = {name: told(array) for name, array in sample().items()}
    methods = [zipfile.ZIP_STORED] + [zipfile.ZIP_DEFLATED] * has_zlib(tmp_path)
    for write in [np.savez, np.savez_compressed][: len(methods)]:
        write(path, **sample())
        assert load(path) == wanted
        assert load(path, map=2) == wanted
    for method in methods:
        for target in (io.BytesIO(), Pipe()):
            with zipfile.ZipFile(target, "w", method) as archive:
                archive.comment = b"a comment" * 1000
                for name, array in sample().items():
                    with archive.open(name + ".npy", "w", force_zip64=name == "w") as out:
                        out.write(npy(array))
            path.write_bytes(target.getvalue())
            assert load(path) == wanted
    np.savez(path)
    assert load(path) == {}


def test_big_endian_and_fortran_order_are_read(tmp_path):
    path = tmp_path / "x.npz"
    named = {"big": np.arange(5, dtype=">i4"), "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    np.savez(path, **named)
    assert load(path) == {name: told(array) for name, array in named.items()}


def archive_of(*members, method=0):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_readers_could_read_in_two_ways_is_refused(tmp_path):
    path, x = tmp_path / "x.npz", npy(np.arange(3))
    for data, why in [
        (archive_of(("x.npy", x), ("x.npy", x)), "found 'x' twice"),
        (archive_of(("x.npy", x), ("x", x)), "found 'x' twice"),
        (archive_of(("../x.npy", x)), "with '..' as a part of its path"),
        (archive_of(("/x.npy", x)), "an absolute path"),
        (b"junk" + archive_of(("x.npy", x)), "nothing in front of the archive"),
        (archive_of(("x.npy", x), method=zipfile.ZIP_LZMA), "packed neither as stored nor as deflated"),
        (archive_of(("x.npy", x), method=zipfile.ZIP_BZIP2), "packed neither as stored nor as deflated"),
        (archive_of(("readme", b"text")), "expected the magic of a .npy file"),
        (archive_of(("x.npy", x[:-1])), "found 23 bytes, expected 24"),
        (archive_of(("x.npy", npy(np.array([None])))), "Python objects"),
    ]:
        path.write_bytes(data)
        with pytest.raises(Failure, match=why):
            load(path)


def test_zeros_are_unpacked_and_bombs_are_not(tmp_path):
    if not has_zlib(tmp_path):
        pytest.skip("without zlib")
    path, n = tmp_path / "x.npz", 50_000_000
    np.savez_compressed(path, x=np.zeros(n, np.uint8))  # 1028 to 1, as honest as can be
    assert path.stat().st_size < n / 1000
    assert load(path)["x"] == ("uint8", [n], bytes(n))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2")
    packed, unpacked = struct.unpack_from("<II", data, entry + 20)
    struct.pack_into("<I", data, entry + 24, 1032 * (packed + 2))
    path.write_bytes(data)
    with pytest.raises(Failure, match="claims to unpack to more than 1032 times its size"):
        load(path)
    struct.pack_into("<I", data, entry + 24, unpacked + 1)
    path.write_bytes(data)
    with pytest.raises(Failure, match="found 1 bytes less than promised"):
        load(path)
    struct.pack_into("<I", data, entry + 24, unpacked - 1)
    path.write_bytes(data)
    with pytest.raises(Failure, match="expected 50000000 for shape"):
        load(path)


def by_numpy(data):
    """What NumPy and zipfile make of it; None if they refuse anything."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            assert found.zip.testzip() is None
            return {name: told(found[name]) for name in found.files}
    except Exception:  # zipfile raises of every kind
        return None


@pytest.mark.filterwarnings("ignore")
def test_changed_files_are_read_only_as_numpy_reads_them(tmp_path):
    """Every byte of small files changed in three ways."""
    path, accepted = tmp_path / "x.npz", 0
    small = {"w": np.arange(3, dtype=np.int16), "b": np.array([True])}
    files = []
    for compression in (0, 6) if has_zlib(tmp_path) else (0,):
        save(path, small, compression)
        files.append(path.read_bytes())
    np.savez(path, **small)
    files.append(path.read_bytes())
    for good in files:
        for cut in range(len(good)):
            path.write_bytes(good[:cut])
            with pytest.raises(Failure):
                load(path)
        for at in range(len(good)):
            for change in (1, 0xFF, 1 << at % 8):
                data = bytearray(good)
                data[at] ^= change
                path.write_bytes(data)
                try:
                    found = load(path)
                except Failure:
                    continue
                assert found == by_numpy(bytes(data)), (at, change)
                accepted += 1
    assert accepted > 100


@pytest.mark.filterwarnings("ignore")
def test_mutants_are_accepted_only_as_numpy_accepts_them(tmp_path):
    path, small, files = tmp_path / "x.npz", {"w": np.arange(3, dtype=np.int16), "b": np.array([True])}, []
    packs = has_zlib(tmp_path)
    for compression in (0, 6)[: 1 + packs]:
        save(path, small, compression)
        files.append(path.read_bytes())
    for write in (np.savez, np.savez_compressed)[: 1 + packs]:
        write(path, **small)
        files.append(path.read_bytes())
    words = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\1\0\x10\0", b"\xff" * 4, b"\0" * 4]
    accepted = 0
    for data in mutants.of(files, words):
        path.write_bytes(data)
        try:
            found = load(path)
        except Failure:
            continue
        assert found == by_numpy(data)
        accepted += 1
    assert accepted > mutants.COUNT // 100


@pytest.mark.filterwarnings("ignore")
def test_every_good_file_of_the_corpus_is_read_as_numpy_reads_it(tmp_path):
    """That the bad ones are refused is corpus_job's to say, in every way there is."""
    path, packs = tmp_path / "x.npz", has_zlib(tmp_path)
    for case in npz_corpus.Corpus(SEED).well_formed():
        path.write_bytes(case.data)
        wanted = {name: (dtype, shape, content) for name, dtype, shape, content in case.arrays}
        with np.load(path, allow_pickle=False) as found:
            assert {name: told(found[name]) for name in found.files} == wanted, case.name
        if packs:
            assert load(path) == wanted, case.name
