# SPDX-License-Identifier: MIT
"""The command line tool on large files: signals, progress, and how much memory it takes."""

import os
import pty
import signal
import subprocess
import time

import numpy as np
import pytest

from test_tool import TOOL, check_stats, figures_of, folder, one, refused, run  # noqa: F401

pytestmark = pytest.mark.skipif(not TOOL, reason="TENSORVAR_TOOL is not set: no program to run")


# Signals, progress -------------------------------------------------------------------------------

def fed(words, between, **options):
    """A run whose standard input pauses half way, where `between` is called with the process."""
    process = subprocess.Popen([TOOL, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    np.lib.format.write_array_header_1_0(process.stdin, {"descr": "<f8", "fortran_order": False, "shape": (1 << 22,)})
    half = bytes(1 << 24)
    try:
        process.stdin.write(half)
        process.stdin.flush()
        between(process)
        process.stdin.write(half)
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_work_and_leaves_nothing(number, status):
    def stop(process):
        time.sleep(0.1)
        process.send_signal(number)
        time.sleep(0.1)

    for out in ("out.npy", "out.npz", "out.safetensors"):
        assert fed(["convert", "-", out, "--dtype", "f32"], stop, stderr=subprocess.PIPE) == (status, b"", b"")
        assert os.listdir() == []


def test_a_signal_stops_a_save():
    with open("big.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 36,)})
        file.truncate(file.tell() + (8 << 36))
    for words in (("convert", "big.npy", "out.npz"), ("concat", "out.npy", "big.npy")):
        process = subprocess.Popen([TOOL, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        while len(os.listdir()) == 1:  # until it has begun to write
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (b"", b"") and process.returncode == 130
        assert os.listdir() == ["big.npy"]


def test_a_signal_stops_a_look_at_a_large_file():
    with open("big.npy", "wb") as file:  # of zeros, which take no room on the disk
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 36,)})
        file.truncate(file.tell() + (8 << 36))
    for words in (("stats",), ("diff", "big.npy"), ("plot", "--histogram", "x.png")):
        process = subprocess.Popen([TOOL, words[0], "big.npy", *words[1:]], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (b"", b"") and process.returncode == 130
    assert os.listdir() == ["big.npy"]


def test_progress_is_shown_on_a_terminal_alone():
    def wait(_):
        time.sleep(0.8)

    assert fed(["stats", "-"], wait, stderr=subprocess.PIPE)[2] == b""
    for options, shows in (([], True), (["--quiet"], False)):
        ours, theirs = pty.openpty()
        status, _, _ = fed(["stats", "-", *options], wait, stderr=theirs)
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        assert status == 0 and (b"% [" in text) == shows, text
        if shows:
            assert text.endswith(b"\r") and b" GB/s" in text


@pytest.mark.parametrize("words, gigabytes", [
    (("concat", "out.npy", "big.npy", "big.npy"), "1099.51"), (("convert", "big.npy", "out.npy", "--dtype", "f32"), "274.88"),
    (("convert", "big.npy", "out.npz"), "549.76")])
def test_progress_of_what_is_written_is_in_bytes(words, gigabytes):
    with open("big.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 36,)})
        file.truncate(file.tell() + (8 << 36))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([TOOL, *words], stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    text = b""
    while b"GB/s" not in text:
        text += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    os.close(ours)
    assert f" of {gigabytes} GB, ".encode() in text and process.returncode == 130
    assert os.listdir() == ["big.npy"]


# Memory ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("order", "CF")
def test_large_swapped_files_are_read_in_pieces(order):
    x = np.random.default_rng(3).normal(size=(9000, 1000)).round(6)
    x[1234, 567] = np.nan
    np.save("x.npy", np.asarray(x, order=order).astype(">f8"))
    np.savez("y.npz", x=x)  # which NumPy does not align
    y = x.copy()
    y[8000, 3] += 1
    np.save("y.npy", y)
    check_stats(one("stats", "x.npy"), figures_of(x))
    check_stats(one("stats", "y.npz"), figures_of(x))
    check_stats(one("stats", "x.npy", "--axis", 0), figures_of(x, 0))
    assert one("diff", "x.npy", "y.npz:x", "--equal-nan")["equal"]
    (told,) = one("diff", "x.npy", "y.npy", "--equal-nan", status=1)["arrays"]
    assert told["different"] == 1 and told["worst"]["index"] == [8000, 3] and told["worst"]["a"] == x[8000, 3]
    assert run("head", "x.npy", "-n", 1).stdout == repr(x[:1]) + "\n"


def test_a_large_swapped_file_takes_little_memory():
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": ">f8", "fortran_order": False, "shape": (50000, 1000)})
        file.truncate(file.tell() + 400_000_000)
    for words in ("stats x.npy --quantiles none", "diff x.npy x.npy", "head x.npy"):
        subprocess.run(f"ulimit -v 350000; exec {TOOL} {words}", shell=True, check=True, stdout=subprocess.DEVNULL)


def test_large_files_are_converted_piece_by_piece():
    x = np.random.default_rng(4).normal(size=(9000, 1000)).astype(np.float32)
    x[2345, 678] = 1e30
    x[8999, 999] = np.nan
    np.save("x.npy", x)
    np.save("y.npy", x.astype(">f4"))
    np.save("z.npy", np.asfortranarray(x))
    wanted = np.nan_to_num(x.astype(np.float16), nan=7)
    for name in "xyz":
        (told,) = one("convert", f"{name}.npy", "out.npy", "--dtype", "f16", "--lossy", "--order", "C", "--no-sync")["arrays"]
        assert (told["from"], told["dtype"], told["shape"]) == ("float32", "float16", [9000, 1000])
        lost = x.astype(np.float16).astype(np.float32) != x
        assert told["overflow"] == 1 and told["overflow"] + told["inexact"] == lost.sum() - 1  # NaN is not lost
        assert told["first"] == np.argwhere(lost)[0].tolist()
        np.testing.assert_array_equal(np.nan_to_num(np.load("out.npy"), nan=7), wanted, strict=True)
        message = refused("convert", f"{name}.npy", "out.npy", "--dtype", "f16", status=3)
        assert message.startswith(f"tensorvar: convert: {name}.npy: ") and "1 overflow" in message and "hint: --lossy" in message
        np.testing.assert_array_equal(np.nan_to_num(np.load("out.npy"), nan=7), wanted, strict=True)
        run("convert", f"{name}.npy", "same.npy", "--order", "C", "--no-sync")
        assert open("same.npy", "rb").read() == open("x.npy", "rb").read()
    assert sorted(os.listdir()) == ["out.npy", "same.npy", "x.npy", "y.npy", "z.npy"]
    np.savez("x.npz", w=x)
    run("convert", "x.npz", "x.npz.npy", "--slice", "100:8900", "--no-sync")
    np.testing.assert_array_equal(np.load("x.npz.npy"), x[100:8900], strict=True)


def test_a_conversion_of_a_large_file_takes_little_memory():
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": ">f8", "fortran_order": False, "shape": (50000, 1000)})
        file.truncate(file.tell() + 400_000_000)
    subprocess.run(f"ulimit -v 350000; exec {TOOL} convert x.npy y.npy --dtype f32 --no-sync", shell=True, check=True, stdout=subprocess.DEVNULL)
    assert np.load("y.npy", mmap_mode="r").shape == (50000, 1000)


def test_concat_of_large_files_takes_little_memory():
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": ">i4", "fortran_order": False, "shape": (50000, 1000)})
        file.truncate(file.tell() + 200_000_000)
    subprocess.run(f"ulimit -v 350000; exec {TOOL} concat y.npy x.npy x.npy --no-sync", shell=True, check=True, stdout=subprocess.DEVNULL)
    assert np.load("y.npy", mmap_mode="r").shape == (100000, 1000)
