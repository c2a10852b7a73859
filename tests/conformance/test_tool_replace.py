# SPDX-License-Identifier: MIT
"""Files that the command line tool writes beside the old one: names, permissions, and failures."""

import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import numpy as np
import pytest

from test_tool import TOOL, folder, refused, run  # noqa: F401

pytestmark = pytest.mark.skipif(not TOOL, reason="TENSORVAR_TOOL is not set: no program to run")

LARGE = (9000, 1000)  # is converted piece by piece


def sparse(path, descr, shape):
    """A file of zeros, which take no room on the disk."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + int(np.prod(shape, dtype=object)) * np.dtype(descr).itemsize)


def shell(script, status=0, **options):
    done = subprocess.run(["sh", "-c", script], text=True, capture_output=True, timeout=120, **options)
    assert done.returncode == status, done
    return done


def has_png():
    np.save("probe.npy", np.zeros((2, 2)))
    done = subprocess.run([TOOL, "plot", "probe.npy", "probe.png"], capture_output=True, text=True)
    for name in ("probe.npy", "probe.png"):
        pathlib.Path(name).unlink(missing_ok=True)
    return "without libpng" not in done.stderr


def writers():
    """Command lines that write beside the old file, and the file."""
    np.save("m.npy", np.ones((3, 4)))
    np.save("large.npy", np.zeros(LARGE, np.float32))
    lines = [("concat out.npy m.npy m.npy", "out.npy"), ("convert large.npy out.npy --no-sync", "out.npy"),
             ("convert m.npy out.npy", "out.npy")]
    return lines + [("plot m.npy out.png", "out.png")] * has_png()


# Names -------------------------------------------------------------------------------------------

def test_only_what_was_made_is_taken_away():
    """A shell's process number is that of the program that takes its place."""
    for line, out in writers():
        for fails in (False, True):
            before = set(os.listdir())
            planted = "for n in tv-tool-$$ .tensorvar-tool-$$-0.tmp .tensorvar-$$-0.tmp; do echo precious > $n; done"
            limit = "ulimit -f 0; trap '' XFSZ; " if fails else ""
            shell(f"{planted}; {limit}exec {TOOL} {line}", status=3 if fails else 0)
            kept = set(os.listdir()) - before - {out}
            assert len(kept) == 3 and all(open(name).read() == "precious\n" for name in kept), (line, kept)
            assert os.path.exists(out) != fails
            for name in kept | ({out} if not fails else set()):
                os.unlink(name)


def test_where_every_name_is_taken_nothing_is_touched():
    for line, out in writers():
        if line.startswith("convert m.npy"):  # by the library alone
            continue
        before = set(os.listdir())
        planted = "i=0; while [ $i -lt 100 ]; do echo precious > .tensorvar-tool-$$-$i.tmp; i=$((i + 1)); done"
        assert "File exists" in shell(f"{planted}; exec {TOOL} {line}", status=3).stderr
        kept = set(os.listdir()) - before
        assert len(kept) == 100 and all(open(name).read() == "precious\n" for name in kept)
        for name in kept:
            os.unlink(name)


def test_links_that_somebody_planted_are_not_followed():
    np.save("x.npy", np.zeros(100))
    open("victim", "w").write("precious")
    os.mkdir("scratch")
    planted = "for n in tensorvar-bench-$$.npy tensorvar-bench-$$; do ln -s ../victim scratch/$n; done"
    shell(f"{planted}; exec {TOOL} bench x.npy --runs 1 --scratch scratch")
    assert open("victim").read() == "precious"
    assert len(os.listdir("scratch")) == 2 and all(os.path.islink(f"scratch/{name}") for name in os.listdir("scratch"))


def test_bench_leaves_nothing_after_a_failure():
    np.save("x.npy", np.zeros(1 << 16))
    os.mkdir("scratch")
    message = shell(f"ulimit -f 100; trap '' XFSZ; {TOOL} bench x.npy --scratch scratch", status=3).stderr
    assert "File too large" in message and "scratch/tensorvar-bench-" in message
    assert os.listdir("scratch") == []


# Permissions -------------------------------------------------------------------------------------

@pytest.fixture
def somebody(monkeypatch):
    """A folder that anybody may write to, the program where anybody can run it, and how to, without privileges."""
    where, program = tempfile.mkdtemp(), tempfile.mkdtemp()
    os.chmod(where, 0o777)
    os.chmod(program, 0o755)
    shutil.copy(TOOL, program)
    shutil.copy(os.environ["TENSORVAR_LIBRARY"], f"{program}/libtensorvar.so.0")
    monkeypatch.chdir(where)
    options = {"env": os.environ | {"LD_LIBRARY_PATH": program}}
    if os.getuid() == 0:
        options |= {"user": 65534, "group": 65534, "extra_groups": []}
    yield f"{program}/{os.path.basename(TOOL)}", options
    os.chdir("/")
    shutil.rmtree(where)
    shutil.rmtree(program)


def test_a_file_that_must_not_be_written_is_not_replaced(somebody):
    program, options = somebody
    for line, out in writers():
        pathlib.Path(out).write_text("old")
        os.chmod(out, 0o444)
        before = set(os.listdir())
        message = shell(f"exec {program} {line}", status=3, **options).stderr
        assert message.startswith(f"tensorvar: {line.split()[0]}: {out}: ") and "Permission denied" in message
        assert pathlib.Path(out).read_text() == "old" and set(os.listdir()) == before
        os.chmod(out, 0o600)
        os.unlink(out)


def test_permissions_are_kept():
    for line, out in writers():
        run(*line.split())
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(os.stat(out).st_mode) == 0o666 & ~mask
        for mode in (0o600, 0o640, 0o666):
            os.chmod(out, mode)
            run(*line.split())
            assert stat.S_IMODE(os.stat(out).st_mode) == mode
        os.unlink(out)


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_nobody_else_reads_what_grows_beside_an_old_file(mode):
    sparse("big.npy", "<f8", (1 << 36,))
    open("old.npy", "w").write("old")
    os.chmod("old.npy", mode)
    process = subprocess.Popen([TOOL, "concat", "old.npy", "big.npy"], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    grown = []
    while not grown:
        time.sleep(0.001)
        beside = [name for name in os.listdir() if name not in ("big.npy", "old.npy")]
        grown = [name for name in beside if os.stat(name).st_size > 128]
    assert [stat.S_IMODE(os.stat(name).st_mode) for name in grown] == [0o600]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"") and process.returncode == 130
    assert sorted(os.listdir()) == ["big.npy", "old.npy"] and open("old.npy").read() == "old"
    assert stat.S_IMODE(os.stat("old.npy").st_mode) == mode


# Failures ----------------------------------------------------------------------------------------

def test_a_failure_is_told_of_the_file_that_it_is_about():
    x = np.zeros(LARGE, np.float32)
    x[0, 0] = 1e-30  # is inexact, which is not refused
    np.save("x.npy", x)
    os.mkdir("a" * 200 + "\u00e9")
    for out in ("out.npy", "a" * 200 + "\u00e9/out.npy", os.path.abspath("out.npy")):
        done = shell(f"ulimit -f 100; trap '' XFSZ; {TOOL} convert x.npy {out} --dtype f16 --no-sync", status=3)
        assert done.stderr == f"tensorvar: convert: {out}: cannot write: File too large\n"
        done = shell(f"ulimit -f 100; trap '' XFSZ; {TOOL} concat {out} x.npy x.npy --no-sync", status=3)
        assert done.stderr == f"tensorvar: concat: {out}: cannot write: File too large\n"
    assert sorted(os.listdir()) == sorted(["x.npy", "a" * 200 + "\u00e9"])
    assert "none/out.npy: cannot write: No such file or directory" in refused("concat", "none/out.npy", "x.npy", status=3)


def test_a_refusal_counts_from_the_front_of_the_array():
    x = np.zeros(12_000_000, np.float32)
    x[9_000_000] = 1e30
    np.save("x.npy", x)
    message = refused("convert", "x.npy", "out.npy", "--dtype", "f16", status=3)
    assert "from float32 to float16: 1 overflow, 0 inexact, 0 NaN to integer in the first " in message
    assert message.endswith("; first at 9000000\n  hint: --lossy converts all the same, and tells what was lost")
    x[[3, 5_000_000]] = 1 / 3, np.nan
    np.save("x.npy", x)
    message = refused("convert", "x.npy", "out.npy", "--dtype", "f16", status=3)
    assert "1 overflow, 1 inexact, 0 NaN to integer" in message and "; first at 3\n" in message
    message = refused("convert", "x.npy", "out.npy", "--dtype", "i32", status=3)
    assert "0 overflow, 1 inexact, 1 NaN to integer" in message and "; first at 3\n" in message
    assert os.listdir() == ["x.npy"]
