#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files beside NumPy, in one process and one run: ./dev bench files, or by hand

    TENSORVAR_LIBRARY=libtensorvar.so files.py [--quick] [--only PATTERN] [--out FOLDER] [--scratch FOLDER]

Every file is in the page cache. Each round times each side once, in turn; the ratio is that of the medians. Each
result is first held against the other's. Both sides are called from Python, which takes a microsecond or so; what
opens in less is measured in C besides (bench_memory). The page, with the quartiles, goes to FOLDER/<date>-files.md."""

import argparse
import ctypes
import datetime
import fnmatch
import functools
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "conformance"))
import library  # noqa: E402
from library import NAMES, lib, npy_options  # noqa: E402

_p, _i64 = ctypes.c_void_p, ctypes.c_int64
for name, result, arguments in (
        ("tv_npz_open", _p, (ctypes.c_char_p, _p)), ("tv_npz_release", None, (_p,)),
        ("tv_npz_read", _p, (_p, ctypes.c_char_p, _p)),
        ("tv_npz_save", ctypes.c_int, (ctypes.c_char_p, _i64, _p, _p, _p)),
        ("tv_tensor_data", _p, (_p,))):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments

F32, MAP = NAMES.index("float32"), 1


class Case:
    """One thing that both do. `goal`: how many times faster; `before`: what is done each time and not timed."""

    def __init__(self, name, what, ours, theirs, goal, peer="NumPy", check=None, before=lambda: None):
        self.name, self.what, self.ours, self.theirs = name, what, ours, theirs
        self.goal, self.peer, self.check, self.before = goal, peer, check, before


def scoped(call):
    def run():
        with library.Scope():
            call()
    return run


def loaded(path, **options):
    return lambda: lib.tv_npy_load(str(path).encode(), npy_options(**options))


def first_element(x):
    return ctypes.cast(lib.tv_tensor_data(x), ctypes.POINTER(ctypes.c_float))[0]


def array_of(call):
    """What a call loads, as an array."""
    with library.Scope():
        name, shape, data = library.content(call())
    return np.frombuffer(data, name).reshape(shape)


def cases(folder, n):
    side = 1 << (n.bit_length() // 2)
    values = np.random.default_rng(1).standard_normal(n, dtype=np.float32)
    paths = {name: folder / f"{name}.npy" for name in ("f32", "big", "fortran", "f64")}
    # In memory where that is possible: what a disk is writing back would be measured otherwise.
    paths["out"] = pathlib.Path("/dev/shm" if os.path.isdir("/dev/shm") else folder) / f"tensorvar-{os.getpid()}.npy"
    np.save(paths["f32"], values)
    np.save(paths["big"], values.astype(">f4"))
    np.save(paths["fortran"], np.asfortranarray(values.reshape(-1, side)))
    wide = values[: n // 2].astype(np.float64)
    np.save(paths["f64"], wide)
    npz = folder / "all.npz"
    keep = library.tensor
    with library.Scope():
        names = (ctypes.c_char_p * 1)(b"w")
        tensors = (_p * 1)(keep(values))
        lib.tv_npz_save(str(npz).encode(), 1, names, tensors, None)
    out = np.zeros(n, np.float32)
    into = {"out": out.ctypes.data, "capacity": out.nbytes}
    saved = library.NpySaveOptions(size=ctypes.sizeof(library.NpySaveOptions), durable=False)
    target, part = str(paths["out"]).encode(), paths["out"].with_suffix(".part.npy")

    def member(options):
        z = lib.tv_npz_open(str(npz).encode(), None)
        x = lib.tv_npz_read(z, b"w", options)
        lib.tv_npz_release(z)
        return x

    def rows():
        return np.load(paths["f32"], mmap_mode="r").reshape(-1, side)[10:20].copy()

    gib = values.nbytes / 2**30
    size = f"{gib:.3g} GiB"
    load = loaded(paths["f32"])
    yield Case("load", f"load {size} f32", load, lambda: np.load(paths["f32"]), 1.5, check=load)
    medium = folder / "medium.npy"
    np.save(medium, values[: 1 << 20])
    yield Case("medium", "load 4 MiB f32", loaded(medium), lambda: np.load(medium), 1, check=loaded(medium))
    yield Case("into", f"load {size} f32 into memory used before", loaded(paths["f32"], **into),
               lambda: ctypes.memmove(out.ctypes.data, values.ctypes.data, values.nbytes), 0.9, "memcpy")
    yield Case("open", "map to first element", lambda: first_element(loaded(paths["f32"], map=MAP)()),
               lambda: np.load(paths["f32"], mmap_mode="r")[0], 1)
    save = functools.partial(np.save, paths["out"], values)

    def replace():
        np.save(part, values)
        os.replace(part, paths["out"])

    def save_ours():
        lib.tv_npy_save(target, keep(values), ctypes.byref(saved))

    yield Case("save", f"save {size} f32 to a new file", save_ours, save, 1,
               before=lambda: paths["out"].unlink(missing_ok=True))
    yield Case("replace", f"save {size} f32 over a file, which stays whole until the end", save_ours, replace, 1,
               "NumPy and os.replace")
    yield Case("over", f"save {size} f32 over a file", save_ours, save, 1, "NumPy, which empties it first")
    narrow = loaded(paths["f64"], dtype=F32)
    yield Case("narrow", "load f64 as f32, overflow refused", narrow,
               lambda: np.load(paths["f64"]).astype(np.float32), 2, check=narrow)
    swap = loaded(paths["big"])
    yield Case("swap", "load big-endian f32 as native", swap, lambda: np.load(paths["big"]).astype("<f4"), 2, check=swap)
    fortran = loaded(paths["fortran"])
    yield Case("fortran", "load Fortran order as it lies", fortran, lambda: np.load(paths["fortran"]), 2, check=fortran)
    yield Case("transpose", "load Fortran order into C order, used memory", loaded(paths["fortran"], **into),
               lambda: np.copyto(out.reshape(-1, side), np.load(paths["fortran"])), 2)
    yield Case("rows", "rows 10 to 20 by reading", loaded(paths["f32"], slice=f"{10 * side}:{20 * side}".encode()), rows, 1,
               "NumPy map")
    yield Case("member", "npz member: map to first element", lambda: first_element(member(npy_options(map=MAP))),
               lambda: np.load(npz)["w"][0], 1)
    yield Case("member_copy", "npz member: load", lambda: member(None), lambda: np.load(npz)["w"], 1,
               check=lambda: member(None))


def measure(case, rounds):
    ours, theirs = scoped(case.ours), case.theirs
    if case.check:
        assert np.array_equal(array_of(case.check), theirs()), case.name
    times = [], []
    for _ in range(rounds + 1):
        for side, kept in ((ours, times[0]), (theirs, times[1])):
            case.before()
            begin = time.perf_counter()
            result = side()
            kept.append(time.perf_counter() - begin)
            del result
    return [kept[1:] for kept in times]  # the first one warms up


def text(seconds):
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def row(case, times):
    medians = [statistics.median(t) for t in times]
    quartiles = ["{} to {}".format(*map(text, np.percentile(t, (25, 75)))) for t in times]
    ratio = medians[1] / medians[0]
    met = "yes" if ratio >= case.goal else "no"
    return (f"| {case.what} | {text(medians[0])} ({quartiles[0]}) | {case.peer} {text(medians[1])} ({quartiles[1]}) | "
            f"{ratio:.2f} | {case.goal} | {met} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="256 MiB instead of 1 GiB, fewer rounds")
    parser.add_argument("--only", default="*", help="cases by name, a pattern")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench" / "results")
    parser.add_argument("--scratch", type=pathlib.Path, help="where files are made and removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        lines = []
        for case in cases(pathlib.Path(folder), 1 << (26 if given.quick else 28)):
            if fnmatch.fnmatch(case.name, given.only):
                lines.append(row(case, measure(case, 7 if given.quick else 15)))
                print(lines[-1], flush=True)
        pathlib.Path(f"/dev/shm/tensorvar-{os.getpid()}.npy").unlink(missing_ok=True)
    date = datetime.date.today().isoformat()
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    page = ["# Files beside NumPy", "",
            f"{date}, {processor}, {os.cpu_count()} processors, NumPy {np.__version__}, Python {platform.python_version()}; "
            "`./dev bench files`. Files in the page cache, medians (quartiles), ratio of medians.", "",
            "| what | libtensorvar | beside | ratio | goal | met |", "| --- | --- | --- | --- | --- | --- |", *lines]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{date}-files.md").write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
