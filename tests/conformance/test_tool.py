# SPDX-License-Identifier: MIT
"""The command line tool, against NumPy, the safetensors package and plain Python."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
from safetensors import safe_open
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


# stats -------------------------------------------------------------------------------------------

def figures_of(x, axis=None, ddof=0):
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        wide = x.astype(np.float64) if x.dtype.kind in "fb" else x
        return {"count": np.sum(np.ones_like(x, int), axis), "nan": np.isnan(wide).sum(axis),
                "inf": np.isposinf(wide).sum(axis) if x.dtype.kind == "f" else 0 * np.sum(x, axis).astype(int),
                "neg_inf": np.isneginf(wide).sum(axis) if x.dtype.kind == "f" else 0 * np.sum(x, axis).astype(int),
                "zeros": (x == 0).sum(axis), "min": np.nanmin(wide, axis), "max": np.nanmax(wide, axis),
                "mean": np.nanmean(wide, axis, dtype=np.float64), "std": np.nanstd(wide, axis, dtype=np.float64, ddof=ddof)}


def check_stats(told, wanted):
    for key, value in wanted.items():
        close = dict(rtol=1e-12, atol=1e-12) if key in ("mean", "std") else dict(rtol=1e-6 if key in ("min", "max") else 0)
        np.testing.assert_allclose(np.array(number(told[key]), np.float64), np.array(value, np.float64), **close, err_msg=key)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if "complex" not in d])
@pytest.mark.parametrize("n", [1, 12, 9000])
def test_stats(dtype, n):
    x = np.random.default_rng(n).normal(50, 20, n).astype(dtype)
    np.save("x.npy", x)
    told = one("stats", "x.npy", "--quantiles", "0,0.1,0.5,0.77,1")
    check_stats(told, figures_of(x))
    for q in told["quantiles"]:
        np.testing.assert_allclose(q["value"], np.quantile(x.astype(np.float64), q["at"]), rtol=1e-14)
    assert f"x.npy: {dtype} ({n},)\n  count  {n}\n" in run("stats", "x.npy").stdout


@pytest.mark.parametrize("order", "CF")
def test_stats_by_axis(order):
    x = np.random.default_rng(0).normal(size=(500, 3, 4))
    x[::7, 1] = np.nan
    x[3, 2, 1] = np.inf
    np.save("x.npy", np.asarray(x, order=order))
    for axis in (0, 1, -1):
        told = one("stats", "x.npy", "--axis", axis, "--ddof", 1)
        check_stats(told, figures_of(x, axis, ddof=1))
    lines = run("stats", "x.npy", "--axis", 0).stdout.splitlines()
    assert len(lines) == 14 and lines[2].split()[:4] == ["[0,", "0]", "500", "0"]
    np.save("x.npy", x[..., 0])
    check_stats(one("stats", "x.npy", "--axis", 0, "--slice", "10:20"), figures_of(x[10:20, :, 0], 0))
    assert "--axis: found 2, but x.npy has 2 axes" in refused("stats", "x.npy", "--axis", 2, status=2)


@pytest.mark.parametrize("values", [
    [np.nan, 1, 2], [np.inf, 1, 2], [-np.inf, 1], [np.inf, -np.inf, 0.0], [np.nan], [np.nan, np.inf], [-0.0, 0.0],
    [1e300, -1e300], [5e-324, 0]])
def test_stats_of_special_values(values):
    x = np.array(values)
    np.save("x.npy", x)
    told = one("stats", "x.npy", "--quantiles", "none")
    assert "quantiles" not in told
    check_stats(told, figures_of(x))


def test_stats_of_wide_integers_are_exact():
    for dtype, values in ((np.int64, [-2**63, 2**63 - 1, 2**53 + 1]), (np.uint64, [2**64 - 1, 2**63 + 1])):
        np.save("x.npy", np.array(values, dtype))
        told = one("stats", "x.npy")
        assert (told["min"], told["max"]) == (min(values), max(values))


@pytest.mark.parametrize("dtype, values", [
    (np.int64, [2**53 + 1, 2**53 - 1, 5, -2**53 - 1, -2**63]), (np.uint64, [2**64 - 1, 2**64 - 3, 2**63 + 1, 2**53 + 1, 0]),
    (np.int64, [2**63 - 1, 2**63 - 3, 2**63 - 5, 2**63 - 7, 2**63 - 9])])
def test_quantiles_of_wide_integers_are_exact(dtype, values):
    """Against Python's integers, where they fall on an element."""
    np.save("x.npy", np.array(values, dtype))
    told = one("stats", "x.npy", "--quantiles", "0,0.25,0.5,0.75,1")
    assert [q["value"] for q in told["quantiles"]] == sorted(values)
    assert f"  100%   {max(values)}\n" in run("stats", "x.npy", "--quantiles", "1").stdout
    many = np.concatenate([np.full(1_100_000, values[2], dtype), np.array(values, dtype), np.full(1_100_000, values[0], dtype)])
    np.save("x.npy", many)
    told = one("stats", "x.npy", "--quantiles", f"0,0.25,{2 / (many.size - 1)!r},0.75,1")
    np.testing.assert_array_equal([q["value"] for q in told["quantiles"]],
                                  np.sort(many)[[0, many.size // 4, 2, 3 * many.size // 4, -1]])
    np.save("x.npy", np.array([2**62 + 2**12, 2**62], dtype))  # between two elements
    assert one("stats", "x.npy", "--quantiles", "0.25")["quantiles"][0]["value"] == 2.0**62 + 2.0**10


def test_quantiles_at_an_element_are_the_element():
    """Where NumPy multiplies an infinite step by zero."""
    np.save("x.npy", np.array([1, 2, np.inf, -np.inf, 0]))
    assert [number(q["value"]) for q in one("stats", "x.npy", "--quantiles", "0,0.25,0.5,0.75,1")["quantiles"]] == [
        -np.inf, 0, 1, 2, np.inf]
    assert "-nan" not in run("stats", "x.npy", "--quantiles", "0.9,0.95").stdout


def test_quantiles_are_not_of_columns():
    np.save("x.npy", np.zeros((2, 3)))
    for axis in ((), ("--axis", 0)):
        assert "--quantiles: found 0.1,zz, expected" in refused("stats", "x.npy", "--quantiles", "0.1,zz", *axis, status=2)
    assert "--axis asks for columns" in refused("stats", "x.npy", "--quantiles", "0.1", "--axis", 1, status=2)
    assert "quantiles" not in one("stats", "x.npy", "--quantiles", "none", "--axis", 1)
    assert "quantiles" not in one("stats", "x.npy", "--axis", 1)


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_stats_of_nothing(shape):
    np.save("x.npy", np.zeros(shape))
    told = one("stats", "x.npy")
    assert told["count"] == 0 and told["mean"] == told["min"] == told["quantiles"][0]["value"] == "NaN"


def test_stats_of_complex():
    x = np.array([3 + 4j, 0, -1j, 5 - 12j])
    np.save("x.npy", x)
    assert "--part says of what" in refused("stats", "x.npy", status=2)
    for part, y in (("abs", np.abs(x)), ("real", x.real), ("imag", x.imag)):
        check_stats(one("stats", "x.npy", "--part", part), figures_of(y))
    assert "expected one of" in refused("stats", "x.npy", "--part", "phase", status=2)


@pytest.mark.parametrize("make", [
    lambda r: r.normal(size=3_000_000), lambda r: r.integers(0, 3, 2_500_000).astype(np.float32),
    lambda r: 1 + 1e-13 * r.normal(size=2_200_000), lambda r: np.full(2_100_000, 7.0)])
def test_quantiles_of_many(make):
    x = make(np.random.default_rng(1))
    np.save("x.npy", x)
    told = one("stats", "x.npy", "--quantiles", "0.001,0.5,0.75,0.999")
    check_stats(told, figures_of(x))
    for q in told["quantiles"]:
        assert q["value"] == np.quantile(x.astype(np.float64), q["at"])
    assert "expected at most" in refused("stats", "x.npy", "--quantiles", "0.5,2", status=2)


# diff --------------------------------------------------------------------------------------------

def differs(a, b, *options):
    """What diff says of two arrays, against numpy.allclose; the objects of its JSON."""
    np.save("a.npy", a)
    np.save("b.npy", b)
    words = dict(zip(options[::2], options[1::2]))
    equal_nan = "--equal-nan" in options
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        close = np.isclose(a, b, rtol=float(words.get("--rtol", 1e-5)), atol=float(words.get("--atol", 1e-8)),
                           equal_nan=equal_nan)
    told = one("diff", "a.npy", "b.npy", *options, status=int(not close.all()))
    assert told["equal"] == close.all() and told["arrays"][0]["different"] == (~close).sum()
    text = run("diff", "a.npy", "b.npy", *options, status=int(not close.all())).stdout
    assert bool(text) == (not close.all() or a.dtype != b.dtype)
    return told["arrays"][0], text


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", ["bool", "int8", "uint64", "float32", "complex128"])
def test_diff_is_allclose(dtype, other):
    a, b = sample(dtype), sample(other)
    differs(a, b)
    b.reshape(-1)[5] += np.array(1).astype(other)
    differs(a, b)
    differs(a, b, "--atol", "2")


def test_diff_names_the_worst_element():
    a = np.zeros((3, 4))
    b = a.copy()
    b[1, 2], b[2, 3], b[0, 0] = 0.5, -4, 1e-9
    told, text = differs(a, b)
    assert told["worst"] == {"index": [2, 3], "a": 0.0, "b": -4.0, "absolute": 4.0, "relative": 1.0}
    assert text == "2 of 12 elements differ; worst at [2, 3]: 0.0 and -4.0, absolute 4.0, relative 1.0\n"
    assert told["largest_distance"] == 4
    a[0, 1] = np.nan
    assert differs(a, b)[0]["worst"]["index"] == [0, 1]
    assert differs(np.asfortranarray(a), b)[0]["worst"]["index"] == [0, 1]
    big = np.zeros(3_000_000, np.float32)
    small = big.copy()
    small[2_999_998] = 1
    assert differs(big, small)[0]["worst"]["index"] == [2_999_998]


def test_diff_of_special_values():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0])
    for y in (x, -x, x[::-1].copy(), np.array([np.nan, np.inf, np.inf, -0.0, np.nan]), np.full(5, np.inf)):
        differs(x, y)
        differs(x, y, "--equal-nan")
        differs(x + 0j, y - 1j * x, "--equal-nan")


def test_diff_of_integers_is_exact():
    np.save("a.npy", np.array([2**53 + 1, -2**63]))
    np.save("b.npy", np.array([2**53, 2**63 - 1]))
    told = one("diff", "a.npy", "b.npy", "--rtol", "0", status=1)["arrays"][0]
    assert told["different"] == 2 and told["worst"]["index"] == [1]
    assert (told["worst"]["a"], told["worst"]["b"], told["worst"]["absolute"]) == (-2**63, 2**63 - 1, 2.0**64)


@pytest.mark.parametrize("signed", ["int8", "int32", "int64"])
def test_diff_of_signed_and_unsigned_integers_is_exact(signed):
    """Against Python's integers: NumPy compares such pairs as float64."""
    info = np.iinfo(signed)
    a = [info.min, info.min + 1, -1, 0, 1, 5, info.max, info.max - 1]
    b = [2**64 - 1, 2**64 - 2, 2**63, 2**63 - 1, 2**63 + 1, 2**53, 2**53 + 1, 5, 1, 0]
    a, b = [x for x in a for _ in b], b * len(a)  # the two that are farthest apart are no zeros
    if signed == "int64":
        a, b = a + [2**53 + 1, 2**62 + 1], b + [2**53, 2**62]
    np.save("a.npy", np.array(a, signed))
    np.save("b.npy", np.array(b, np.uint64))
    distances = [abs(x - y) for x, y in zip(a, b)]
    for atol in (0, 1, 2**53):
        for files, sizes in (("ab", b), ("ba", a)):
            told = one("diff", f"{files[0]}.npy", f"{files[1]}.npy", "--rtol", 0, "--atol", atol, status=1)["arrays"][0]
            worst = float(max(distances))
            first = [float(d) for d in distances].index(worst)
            assert told["different"] == sum(float(d) > atol for d in distances)  # rounded once
            assert told["largest_distance"] == worst and told["worst"]["index"] == [first]
            assert told["worst"]["relative"] == worst / abs(float(sizes[first]))
    np.save("a.npy", np.array([2**53 + 1, 5]))
    np.save("b.npy", np.array([2**53, 5], np.uint64))
    assert "1 of 2 elements differ; worst at [0]: 9007199254740993 and 9007199254740992, absolute 1.0" in run(
        "diff", "a.npy", "b.npy", "--rtol", 0, "--atol", 0, status=1).stdout
    run("diff", "a.npy", "b.npy")


def test_tolerances_are_for_integers_too():
    """As in numpy.allclose."""
    differs(np.array([100_000, 3]), np.array([100_001, 3]))
    differs(np.array([100_000, 3]), np.array([100_002, 3]))
    differs(np.array([100_000, 3]), np.array([100_001, 3]), "--rtol", "0", "--atol", "0")
    differs(np.array([100_000, 3], np.uint64), np.array([100_001, 3]))
    differs(np.array([100_000, 3], np.uint64), np.array([100_002, 3]))


def test_diff_of_shapes_and_dtypes():
    np.save("a.npy", np.zeros((2, 3)))
    np.save("b.npy", np.zeros((3, 2), np.float32))
    text = run("diff", "a.npy", "b.npy", status=1).stdout
    assert text == "dtypes are float64 and float32\nshapes are (2, 3) and (3, 2)\n"
    np.save("b.npy", np.zeros((2, 3), np.float32))
    assert run("diff", "a.npy", "b.npy").stdout == "dtypes are float64 and float32\n"
    run("diff", "a.npy", "b.npy", "--same-dtype", status=1)
    run("diff", "a.npy", "a.npy", "--same-dtype")
    assert one("diff", "a.npy", "b.npy", "--slice", "0")["arrays"][0]["a"]["shape"] == [3]


def test_diff_of_archives():
    named = archives()
    run("diff", "x.npz", "x.safetensors")
    named["w"][1, 1] += 1
    named["extra"] = np.zeros(1)
    del named["layer.b"]
    np.savez("y.npz", **named)
    text = run("diff", "x.safetensors", "y.npz", status=1).stdout.splitlines()
    assert text[0].startswith("w: 1 of 6 elements differ; worst at [1, 1]: 4.0 and 5.0")
    assert text[1:] == ["layer.b: only in x.safetensors", "extra: only in y.npz"]
    told = one("diff", "x.safetensors", "y.npz", status=1)
    assert told["only_in_a"] == ["layer.b"] and told["only_in_b"] == ["extra"] and not told["equal"]
    run("diff", "x.npz:w", "y.npz:w", "--atol", 1)
    np.save("w.npy", named["w"])
    run("diff", "w.npy", "y.npz:w")
    assert "x.npz holds 2 arrays; x.npz:NAME takes one" in refused("diff", "w.npy", "x.npz", status=2)
    run("diff", "--name", "w", "y.npz", "w.npy")
    run("diff", "--name", "w", "w.npy", "y.npz")
    run("diff", "--name", "w", "x.npz", "w.npy", "--atol", 1)
    run("diff", "--name", "w", "x.npz", "x.safetensors")
    run("diff", "--name", "layer.b", "y.npz:w", "w.npy")
    assert "w.npy: array w asked for, but a .npy file holds one" in refused("diff", "--name", "w", "w.npy", "w.npy", status=3)
    assert "w.npy: array v asked for" in refused("diff", "--name", "w", "x.npz", "w.npy:v", status=3)
    assert "y.npz: no array v" in refused("diff", "--name", "v", "y.npz", "w.npy", status=3)
    assert "--rtol: found -1, expected" in refused("diff", "w.npy", "w.npy", "--rtol=-1", status=2)
    refused("diff", "w.npy", "none.npy", status=3)


# convert -----------------------------------------------------------------------------------------

def load_safetensors(path):
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("to", ["int8", "uint16", "float16", "float32", "float64", "complex64", "bool"])
def test_convert_is_astype(dtype, to):
    x = sample(dtype)
    np.save("x.npy", x)
    if dtype.startswith("complex") and not to.startswith(("complex", "bool")):
        assert "complex" in refused("convert", "x.npy", "y.npy", "--dtype", to, "--lossy", status=3)
        return
    told = one("convert", "x.npy", "y.npy", "--dtype", to, "--lossy", "--no-sync")
    wanted = x.astype(to)
    back = wanted.astype(dtype)
    np.save("z.npy", wanted)
    assert open("y.npy", "rb").read() == open("z.npy", "rb").read()
    (about,) = told["arrays"]
    assert (about["from"], about["dtype"], about["shape"]) == (dtype, to, [3, 4])
    lost = (back != x).sum()
    assert about["overflow"] + about["inexact"] + about["nan_to_integer"] == lost
    if lost:
        assert about["first"] == np.argwhere(back != x)[0].tolist()


def test_convert_refuses_what_is_lost():
    np.save("x.npy", np.array([[1.0, 2.5], [1e300, np.nan]]))
    open("y.npy", "w").write("old")
    message = refused("convert", "x.npy", "y.npy", "--dtype", "f32", status=3)
    assert "hint: --lossy" in message and "1" in message
    assert open("y.npy").read() == "old"
    refused("convert", "x.npy", "y.npy", "--dtype", "i32", status=3)
    refused("convert", "x.npy", "y.npy", "--dtype", "i32", "--refuse", "nan", status=3)
    refused("convert", "x.npy", "y.npy", "--dtype", "i32", "--refuse", "inexact,nan", status=3)
    run("convert", "x.npy", "y.npy", "--dtype", "f32", "--refuse", "nan")
    text = run("convert", "x.npy", "y.npy", "--dtype", "int16", "--lossy").stdout
    assert text == "y.npy: float64 to int16 (2, 2), 1 overflow, 1 inexact, 1 NaN to integer, the first at [0, 1]\n"
    assert "say int8 or int64" in refused("convert", "x.npy", "y.npy", "--dtype", "i8", status=2)
    assert "expected a dtype" in refused("convert", "x.npy", "y.npy", "--dtype", "float", status=2)
    assert "expected overflow" in refused("convert", "x.npy", "y.npy", "--dtype", "f32", "--refuse", "all", status=2)
    assert "exclude" in refused("convert", "x.npy", "y.npy", "--refuse", "any", "--lossy", status=2)


def test_convert_between_formats():
    named = archives()
    has_zlib = "without zlib" not in subprocess.run([TOOL, "convert", "x.npz", "y.npz", "--compress=6"],
                                                    capture_output=True, text=True).stderr
    run("convert", "x.npz", "y.safetensors", "--no-sync")
    run("convert", "x.safetensors", "z.safetensors")
    run("convert", "x.safetensors", "y.npz", *["--compress=6"] * has_zlib)
    for found in (load_safetensors("y.safetensors")[0], load_safetensors("z.safetensors")[0], dict(np.load("y.npz"))):
        assert found.keys() == named.keys()
        for name, x in named.items():
            assert found[name].dtype == x.dtype and np.array_equal(found[name], x)
    assert load_safetensors("z.safetensors")[1] == {"made": "by \"hand\"\n"}
    run("convert", "x.npz:w", "w.npy", "--slice", "0, ::-1")
    np.testing.assert_array_equal(np.load("w.npy"), named["w"][0, ::-1])
    run("convert", "w.npy", "w.npz")
    assert list(np.load("w.npz")) == ["arr_0"]
    run("convert", "w.npy", "w.bin", "--to", "npz", "--as", "weights")
    assert list(np.load("w.bin")) == ["weights"]
    run("convert", "x.npz:w", "w.npz")
    assert list(np.load("w.npz")) == ["w"]
    assert "x.npz holds 2 arrays, and a .npy file one" in refused("convert", "x.npz", "w.npy", status=2)
    assert "its suffix names no format" in refused("convert", "x.npz", "w.dat", status=2)
    assert "--compress is for .npz files" in refused("convert", "w.npy", "v.npy", "--compress", 1, status=2)
    np.save("c.npy", np.zeros(1, complex))
    assert "complex128" in refused("convert", "c.npy", "c.safetensors", status=3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3), (12,)])
def test_convert_order_and_byte_order(dtype, shape):
    x = sample(dtype, shape)
    np.save("x.npy", x)
    for order in "CF":
        for endian, letter in (("big", ">"), ("little", "<")):
            run("convert", "x.npy", "y.npy", "--order", order, "--endian", endian, "--no-sync")
            np.save("z.npy", np.asarray(x, order=order).astype(x.dtype.newbyteorder(letter)))
            assert open("y.npy", "rb").read() == open("z.npy", "rb").read()
            run("convert", "y.npy", "back.npy", "--order", "C")
            assert open("back.npy", "rb").read() == open("x.npy", "rb").read()
    assert "are for .npy files" in refused("convert", "x.npy", "y.npz", "--endian", "big", status=2)


def test_convert_in_place_and_by_streams():
    x = np.arange(12, dtype=np.float64).reshape(3, 4)
    np.save("x.npy", x)
    run("convert", "x.npy", "x.npy", "--dtype", "i16")
    np.testing.assert_array_equal(np.load("x.npy"), x.astype(np.int16), strict=True)
    with open("x.npy", "rb") as file, open("y.npy", "wb") as out:
        run("convert", "-", "-", "--dtype", "f32", stdin=file, stdout=out, stderr=subprocess.PIPE, capture_output=False)
    np.testing.assert_array_equal(np.load("y.npy"), x.astype(np.float32), strict=True)
    piped = subprocess.run(f"cat y.npy | {TOOL} convert - - --slice 1 | {TOOL} show -", shell=True, text=True,
                           check=True, capture_output=True)
    assert piped.stdout == repr(x[1].astype(np.float32)) + "\n"
    assert "both go to the standard output" in refused("convert", "x.npy", "-", "--json", status=2)
    assert "only .npy goes to the standard output" in refused("convert", "x.npy", "-", "--to", "npz", status=2)


def test_convert_keeps_the_old_file_when_the_disk_is_full():
    np.save("x.npy", np.zeros(1 << 16))
    open("y.npy", "w").write("old")
    limited = subprocess.run(f"ulimit -f 100; trap '' XFSZ; {TOOL} convert x.npy y.npy", shell=True, text=True, capture_output=True)
    assert limited.returncode == 3 and limited.stderr.startswith("tensorvar: convert: y.npy: "), limited
    assert open("y.npy").read() == "old" and sorted(os.listdir()) == ["x.npy", "y.npy"]


# concat ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("options", [(), ("--no-sync",), ("--order", "F"), ("--endian", "big")])
def test_concat(axis, options):
    a, b, c = sample("int16"), np.asfortranarray(sample("float32")), sample("int8").astype(">i2")
    for name, x in zip("abc", (a, b, c)):
        np.save(f"{name}.npy", x)
    told = one("concat", "out.npy", "a.npy", "b.npy", "c.npy", "--axis", axis, *options)
    wanted = np.concatenate([a, b, c], axis)
    np.testing.assert_array_equal(np.load("out.npy"), wanted)
    assert told == {"file": "out.npy", "dtype": "float32", "shape": list(wanted.shape)}
    if not options:
        np.save("numpy.npy", wanted)
        assert open("out.npy", "rb").read() == open("numpy.npy", "rb").read()
    run("concat", "a.npy", "a.npy", "a.npy", "--axis", axis)  # onto a file that it reads
    np.testing.assert_array_equal(np.load("a.npy"), np.concatenate([a, a], axis), strict=True)
    assert sorted(set(os.listdir()) - {"numpy.npy"}) == ["a.npy", "b.npy", "c.npy", "out.npy"]


@pytest.mark.parametrize("shapes", [[(0,), (3,)], [(0, 4), (0, 4)], [(5, 0), (3, 0)], [(1, 2, 1)] * 3, [(4,)]])
def test_concat_of_odd_shapes(shapes):
    for i, shape in enumerate(shapes):
        np.save(f"{i}.npy", np.full(shape, i))
    run("concat", "out.npy", *(f"{i}.npy" for i in range(len(shapes))))
    np.testing.assert_array_equal(np.load("out.npy"), np.concatenate([np.full(s, i) for i, s in enumerate(shapes)]), strict=True)


def test_concat_replaces_as_a_whole():
    np.save("a.npy", np.zeros((1000, 100)))
    with open("b.npy", "wb") as file:  # shorter than it says
        file.write(open("a.npy", "rb").read()[:-100])
    open("real.npy", "w").write("old")
    os.chmod("real.npy", 0o640)
    os.symlink("real.npy", "link.npy")
    refused("concat", "link.npy", "a.npy", "b.npy", status=3)
    limited = subprocess.run(f"ulimit -f 100; trap '' XFSZ; {TOOL} concat link.npy a.npy a.npy", shell=True, text=True, capture_output=True)
    assert limited.returncode == 3 and limited.stderr.startswith("tensorvar: concat: link.npy: "), limited
    assert open("real.npy").read() == "old"
    run("concat", "link.npy", "a.npy", "a.npy")
    assert os.path.islink("link.npy") and np.load("real.npy").shape == (2000, 100) and os.stat("real.npy").st_mode & 0o777 == 0o640
    assert sorted(os.listdir()) == ["a.npy", "b.npy", "link.npy", "real.npy"]


def test_concat_of_other_shapes():
    np.save("a.npy", np.zeros((2, 3)))
    np.save("b.npy", np.zeros((2, 4)))
    np.savez("c.npz", x=np.ones((2, 4), bool), y=np.zeros(1))
    message = refused("concat", "out.npy", "a.npy", "b.npy", status=3)
    assert message == "tensorvar: concat: b.npy: shape (2, 4) does not go behind (2, 3) of a.npy along axis 0"
    assert not os.path.exists("out.npy")
    assert run("concat", "out.npy", "a.npy", "b.npy", "--axis", 1).stdout == "out.npy: float64 (2, 7)\n"
    run("concat", "out.npz", "b.npy", "c.npz:x", "--as", "both")
    np.testing.assert_array_equal(np.load("out.npz")["both"], np.r_[np.zeros((2, 4)), np.ones((2, 4))])
    assert "c.npz holds 2 arrays; c.npz:NAME takes one" in refused("concat", "out.npy", "b.npy", "c.npz", status=2)
    assert "--axis: found 7, but a.npy has 2 axes" in refused("concat", "out.npy", "a.npy", "--axis", "7", status=2)


# Structured files, bytes behind ------------------------------------------------------------------

def test_fields_of_structured_files():
    x = np.zeros(4, [("id", "<i4"), ("pos", [("x", "<f4"), ("y", ">f8")]), ("v", ">i2", (2,))])
    x["id"], x["pos"]["y"], x["v"] = range(4), [0.5, 1.5, np.nan, 2], np.arange(8).reshape(4, 2)
    np.save("x.npy", x)
    for command in ("info", "show", "stats"):
        message = refused(command, "x.npy", status=3)
        assert "'id', 'pos', 'v'" in message and "hint: --field NAME takes one" in message
    assert "there is no field 'idd'" in refused("show", "x.npy", "--field", "idd", status=3)
    told = one("info", "x.npy", "--field", "pos.y")
    assert (told["dtype"], told["shape"], told["record_bytes"], told["field_offset"]) == ("float64", [4], 20, 8)
    assert one("show", "x.npy", "--field", "v")["data"] == x["v"].tolist()
    assert one("show", "x.npy", "--field", "v", "--slice", "1:3, 1")["data"] == x["v"][1:3, 1].tolist()
    check_stats(one("stats", "x.npy", "--field", "pos.y"), figures_of(x["pos"]["y"]))
    run("convert", "x.npy", "y.npy", "--field", "id", "--dtype", "int16")
    np.testing.assert_array_equal(np.load("y.npy"), x["id"].astype(np.int16), strict=True)


def test_bytes_behind_the_array():
    np.save("x.npy", np.zeros(2))
    with open("x.npy", "ab") as file:
        file.write(b"tail")
    assert one("info", "x.npy")["behind"] == 4
    assert ", and 4 bytes behind" in run("info", "x.npy").stdout


# bench -------------------------------------------------------------------------------------------

def test_bench():
    np.save("x.npy", np.zeros((500, 100)))
    os.mkdir("scratch")
    told = one("bench", "x.npy", "--runs", 3, "--scratch", "scratch")
    assert told["bytes"] == 400000 and told["runs"] == 3 and not os.listdir("scratch")
    for work in ("memcpy", "read", "write", "open", "load", "map", "save"):
        assert told[work]["seconds"] > 0
    assert told["load"]["of_memcpy"] > 0 and told["save"]["of_write"] > 0
    lines = run("bench", "x.npy", "--runs", 1).stdout.splitlines()
    assert lines[0] == "x.npy: 390.62 KiB, median of 1 runs" and len(lines) == 8
    np.savez("x.npz", a=np.zeros(3), b=np.zeros(3))
    assert "x.npz holds 2 arrays" in refused("bench", "x.npz", status=2)
    assert one("bench", "x.npz:b", "--runs", 1)["bytes"] == 24
    assert "No such file or directory" in refused("bench", "x.npy", "--scratch", "none", status=3)


# README ------------------------------------------------------------------------------------------

def test_the_readme_shows_what_is_printed():
    root = pathlib.Path(__file__).parents[2]
    os.symlink(root / "data", "data")
    os.symlink(TOOL, "tensorvar")
    shown = (root / "README.md").read_text().split("```console\n")[1].split("```")[0]
    for part in shown.split("$ ")[1:]:
        command, wanted = part.split("\n", 1)
        if " plot " in command and b"without libpng" in subprocess.run(f"./{command}", shell=True, capture_output=True).stderr:
            continue
        done = subprocess.run(f"./{command}", shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.stdout == wanted, command
