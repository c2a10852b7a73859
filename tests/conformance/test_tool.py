# SPDX-License-Identifier: MIT
"""The command line tool, against NumPy, the safetensors package and plain Python."""

import json
import os
import subprocess

import numpy as np
import pytest
from safetensors.numpy import save_file

TOOL = os.environ.get("TENSORVAR_TOOL")
pytestmark = pytest.mark.skipif(not TOOL, reason="TENSORVAR_TOOL is not set: no program to run")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words, status=0, **options):
    options = {"capture_output": True, "text": "input" not in options, "timeout": 120} | options
    done = subprocess.run([TOOL, *map(str, words)], **options)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done


def said(*words, **options):
    """The JSON objects, one a line."""
    return [json.loads(line) for line in run(*words, "--json", **options).stdout.splitlines()]


def one(*words, **options):
    (value,) = said(*words, **options)
    return value


def refused(*words, status):
    """The message, which is one line, and a hint where one helps."""
    lines = run(*words, status=status).stderr.splitlines()
    assert lines and lines[0].startswith("tensorvar: "), lines
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("  hint: ")), lines
    return "\n".join(lines)


NUMBER = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def number(x):
    """What json_real wrote, back."""
    if isinstance(x, list):
        return [number(y) for y in x]
    return NUMBER.get(x, x) if isinstance(x, str) else x


def archives():
    """The same arrays as .npz and .safetensors."""
    named = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "layer.b": np.array([1, -2], np.int64)}
    np.savez("x.npz", **named)
    save_file(named, "x.safetensors", {"made": "by \"hand\"\n"})
    return named


DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()


def sample(dtype, shape=(3, 4)):
    n = int(np.prod(shape))
    x = np.array([0, 1, 100, 3, 0.5, 7.25, -0.0, 64, 9, 2, 11, 1e-3] * (n // 12 + 1))[:n].reshape(shape)
    if np.dtype(dtype).kind == "c":
        x = x - 0.1j * x
    return x.astype(dtype)


# Usage -------------------------------------------------------------------------------------------

def commands():
    text = run("--help").stdout
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ")]


def test_help_and_version():
    assert run("--version").stdout.startswith("tensorvar ")
    assert commands()[:3] == ["info", "show", "head"]
    for command in commands():
        assert f"usage: tensorvar {command} " in run(command, "--help").stdout


def test_wrong_usage_is_status_2():
    assert refused(status=2) == "tensorvar: no command; tensorvar --help lists them"
    assert "no command inof; did you mean info?" in refused("inof", status=2)
    assert "no option --sluce; did you mean --slice?" in refused("show", "--sluce=1", "x.npy", status=2)
    assert "no option -z; tensorvar show --help lists them" in refused("show", "-z", status=2)
    assert "0 files given, expected FILE..." in refused("info", status=2)
    assert "--slice needs a value: INDEX" in refused("show", "x.npy", "--slice", status=2)
    assert "--json takes no value" in refused("show", "--json=1", "x.npy", status=2)
    assert "--rows: found ten, expected an integer from 0" in refused("head", "-n", "ten", "x.npy", status=2)
    assert "abacus" in refused("show", "--device", "abacus", "x.npy", status=2)


def test_trouble_with_files_is_status_3():
    np.save("x.npy", np.zeros(2))
    np.savez("x.npz", weights=np.zeros(2))
    np.save("text.npy", np.array(["a"]))
    open("empty.npy", "w").close()
    open("empty.npz", "w").close()
    assert refused("info", "none.npy", status=3) == "tensorvar: info: none.npy: No such file or directory"
    assert "descr '<U1' is not supported (text)" in refused("show", "text.npy", status=3)
    assert refused("show", "empty.npy", status=3).startswith("tensorvar: show: empty.npy: ")
    assert refused("show", "empty.npz", status=3).startswith("tensorvar: show: empty.npz: ")
    assert "x.npz: no array weihgts; did you mean weights?" in refused("show", "x.npz:weihgts", status=3)
    assert "array w asked for, but a .npy file holds one without a name" in refused("show", "x.npy:w", status=3)
    assert refused("show", "x.npy", "--slice", "2", status=3).startswith("tensorvar: show: x.npy: index 2 ")
    assert "no index at character 1" in refused("show", "x.npy", "--slice", "a", status=3)
    assert refused("show", ".", status=3).startswith("tensorvar: show: .: ")
    with open("/dev/full", "w") as full:
        assert b"No space left" in run("show", "x.npy", status=3, stdout=full, stderr=subprocess.PIPE,
                                       capture_output=False, text=False).stderr


def test_control_characters_do_not_reach_the_terminal():
    save_file({"a\x1b[31m": np.zeros(1)}, "x.safetensors", {"k": "v\x1b]0;"})
    for command in ("info", "show"):
        assert "\x1b" not in run(command, "x.safetensors").stdout
    assert one("info", "x.safetensors")["metadata"] == {"k": "v\x1b]0;"}


# info --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", DTYPES)
def test_info_tells_what_a_header_says(dtype):
    x = sample(dtype)
    for order in "CF":
        for endian in "<>":
            np.save("x.npy", np.asarray(x, order=order).astype(np.dtype(dtype).newbyteorder(endian)))
            told = one("info", "x.npy")
            assert told["format"] == "npy" and told["dtype"] == dtype and told["shape"] == [3, 4]
            assert told["order"] == ("C" if order == "C" else "Fortran")
            assert told["endian"] == ("big" if endian == ">" and x.itemsize > 1 else "little")
            assert told["offset"] == 128 and told["bytes"] == x.nbytes and told["version"] == 1
    assert f"dtype   {dtype}" in run("info", "x.npy").stdout


def test_info_of_archives():
    named = archives()
    for format in ("npz", "safetensors"):
        told = one("info", f"x.{format}")
        assert told["format"] == format
        found = {x["name"]: x for x in told["arrays"]}
        assert {n: (x["dtype"], x["shape"], x["bytes"]) for n, x in found.items()} == {
            n: (x.dtype.name, list(x.shape), x.nbytes) for n, x in named.items()}
        assert [x["name"] for x in one("info", f"x.{format}:w")["arrays"]] == ["w"]
        assert "2 arrays" in run("info", f"x.{format}").stdout
    assert told["metadata"] == {"made": "by \"hand\"\n"}
    assert len(said("info", "x.npz", "x.safetensors")) == 2


def test_info_goes_on_after_a_bad_file():
    archives()
    assert len(said("info", "none.npy", "x.npz", status=3)) == 1


def test_info_reads_no_elements():
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 37,)})
        file.truncate(file.tell() + (8 << 37))
    assert one("info", "x.npy")["bytes"] == 8 << 37


def test_info_of_a_stream():
    np.save("x.npy", np.zeros((2, 3), ">i2"))
    with open("x.npy", "rb") as file:
        told = json.loads(run("info", "--json", "-", stdin=file).stdout)
    assert told["shape"] == [2, 3] and told["endian"] == "big"


# show, head --------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", DTYPES)
def test_show_prints_as_numpy(dtype):
    x = sample(dtype)
    np.save("x.npy", x)
    assert run("show", "x.npy").stdout == repr(x) + "\n"
    assert run("show", "x.npy", "--slice", "1:, ..., ::-2").stdout == repr(x[1:, ..., ::-2]) + "\n"
    assert run("head", "x.npy", "-n", 2).stdout == repr(x[:2]) + "\n"
    told = one("show", "x.npy")
    if x.dtype.kind == "c":
        back = np.array([complex(*z) for z in np.reshape(told["data"], (-1, 2))]).reshape(3, 4).astype(dtype)
    else:
        back = np.array(told["data"], dtype)
    assert back.tobytes() == x.tobytes() and told["dtype"] == dtype and told["shape"] == [3, 4]


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3, 0, 4), (0, 3), (2, 1, 3), (1, 1, 1)])
def test_show_of_any_shape(shape):
    x = np.arange(np.prod(shape, dtype=int), dtype=np.int16).reshape(shape)
    np.save("x.npy", x)
    assert one("show", "x.npy")["data"] == x.tolist()
    assert run("show", "x.npy").stdout == repr(x) + "\n"


def test_json_has_what_json_has_not():
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.1, 1e300], np.float64)
    np.save("x.npy", x)
    assert one("show", "x.npy")["data"][:3] == ["NaN", "Infinity", "-Infinity"]
    np.testing.assert_array_equal(np.array(number(one("show", "x.npy")["data"])), x)
    np.save("x.npy", x.astype(np.float32))
    assert np.array(number(one("show", "x.npy")["data"]), np.float32).tobytes() == x.astype(np.float32).tobytes()


def test_show_of_archives():
    named = archives()
    for format in ("npz", "safetensors"):
        path = f"x.{format}"
        assert {x["name"]: x["data"] for x in said("show", path)} == {n: x.tolist() for n, x in named.items()}
        for one_of in ((f"{path}:layer.b",), (path, "--name", "layer.b")):
            assert run("show", *one_of).stdout == repr(named["layer.b"]) + "\n"
        assert f"{path}:w:\n" in run("show", path).stdout


def test_a_colon_in_a_path():
    np.save("a:b.npy", np.arange(2))
    np.savez("c:d.npz", **{"e:f": np.arange(3)})
    assert one("show", "a:b.npy")["data"] == [0, 1]
    assert one("show", "c:d.npz:e:f")["data"] == [0, 1, 2]


def test_show_of_streams():
    x = np.arange(6.0).reshape(2, 3)
    np.save("x.npy", x)
    os.mkfifo("pipe")
    with open("x.npy", "rb") as file:
        assert run("show", "-", stdin=file).stdout == repr(x) + "\n"
    writer = subprocess.Popen(["sh", "-c", "cat x.npy > pipe"])
    assert run("show", "pipe").stdout == repr(x) + "\n"
    writer.wait()


def test_bfloat16():
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<V2", "fortran_order": False, "shape": (2,)})
        file.write(bytes.fromhex("803fc03f"))
    assert "hint: --bf16" in refused("show", "x.npy", status=3)
    assert one("show", "--bf16", "x.npy")["data"] == [1.0, 1.5]
