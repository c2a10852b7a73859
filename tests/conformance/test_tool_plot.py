# SPDX-License-Identifier: MIT
"""The pictures of the command line tool, decoded by zlib alone, against NumPy."""

import json
import os
import struct
import zlib

import numpy as np
import pytest

from test_tool import TOOL, folder, one, refused, run  # noqa: F401

pytestmark = pytest.mark.skipif(not TOOL, reason="TENSORVAR_TOOL is not set: no program to run")

PINK, WHITE, BLUE = (0xe8, 0x40, 0x8c), (255, 255, 255), (0x31, 0x68, 0x8e)
# Of matplotlib 3.8: viridis(0), viridis(85), viridis(170), viridis(255).
VIRIDIS = {0: (68, 1, 84), 85: (49, 104, 142), 170: (53, 183, 121), 255: (253, 231, 37)}


def decode(path):
    """The dots of an 8-bit RGB file without interlacing: PNG, third edition, W3C 2023, clauses 5, 7 and 9."""
    data = open(path, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, *rest = struct.unpack(">IIBBBBB", body)
            assert rest == [8, 2, 0, 0, 0]
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)
    out = np.zeros((height, 3 * width), np.uint8)
    for y in range(height):
        above = out[y - 1].astype(int) if y else np.zeros(3 * width, int)
        line, kind, row = lines[y, 1:].astype(int), lines[y, 0], out[y]
        if kind in (0, 2):
            row[:] = line + (above if kind else 0) & 255
            continue
        for x in range(3 * width):
            a, b, c = int(row[x - 3]) if x >= 3 else 0, above[x], above[x - 3] if x >= 3 else 0
            p = a + b - c
            paeth = a if abs(p - a) <= abs(p - b) and abs(p - a) <= abs(p - c) else b if abs(p - b) <= abs(p - c) else c
            row[x] = line[x] + {1: a, 3: (a + b) // 2, 4: paeth}[kind] & 255
    return out.reshape(height, width, 3)


def has_png():
    np.save("probe.npy", np.zeros(1))
    import subprocess
    return "without libpng" not in subprocess.run([TOOL, "plot", "probe.npy", "probe.png"], capture_output=True, text=True).stderr


@pytest.fixture(autouse=True)
def png(folder):  # noqa: F811
    if not has_png():
        pytest.skip("the tool was built without libpng")


def plot(x, *options):
    """What the tool tells, and the dots of the area."""
    np.save("x.npy", x)
    size = () if "--width" in options else ("--width", 400, "--height", 300)
    told = one("plot", "x.npy", "x.png", *options, *size)
    dots = decode("x.png")
    assert dots.shape == (told["height"], told["width"], 3)
    area = told["area"]
    assert (dots[0] == 255).all() and (dots[:, 0] == 255).all()
    return told, dots[area["y"]:area["y"] + area["height"], area["x"]:area["x"] + area["width"]]


def test_each_cell_of_a_small_matrix_has_its_colour():
    told, dots = plot(np.array([[0.0, 1.0, 2.0], [3.0, np.nan, 0.0]]))
    assert told["kind"] == "heat map" and (told["across"], told["down"], told["nan"]) == (3, 2, 1)
    h, w = dots.shape[0] // 2, dots.shape[1] // 3
    assert h == w and dots.shape == (2 * h, 3 * w, 3)  # square
    for (row, column), colour in {(0, 0): VIRIDIS[0], (0, 1): VIRIDIS[85], (0, 2): VIRIDIS[170], (1, 0): VIRIDIS[255],
                                  (1, 1): PINK, (1, 2): VIRIDIS[0]}.items():
        cell = dots[row * h:(row + 1) * h, column * w:(column + 1) * w]
        assert (cell == colour).all(), (row, column, cell[0, 0])


@pytest.mark.parametrize("shape", [(1500, 1100), (3000, 701), (517, 4001)])
def test_a_large_matrix_is_shown_by_means(shape):
    x = np.random.default_rng(0).normal(size=shape)
    x += np.linspace(0, 3, shape[0])[:, None]
    told, dots = plot(x)
    rows, columns = told["down"], told["across"]
    assert dots.shape[:2] == (rows, columns)
    i, j = np.arange(shape[0]) * rows // shape[0], np.arange(shape[1]) * columns // shape[1]
    sums, counts = np.zeros((rows, columns)), np.zeros((rows, columns))
    np.add.at(sums, (i[:, None], j[None, :]), x)
    np.add.at(counts, (i[:, None], j[None, :]), 1)
    means = sums / counts
    np.testing.assert_allclose((told["low"], told["high"]), (means.min(), means.max()), rtol=1e-9)
    np.testing.assert_allclose((told["min"], told["max"]), (x.min(), x.max()))
    for value, colour in ((means.min(), VIRIDIS[0]), (means.max(), VIRIDIS[255])):
        assert tuple(dots[tuple(np.argwhere(means == value)[0])]) == colour
    third = np.floor((means - means.min()) / (means.max() - means.min()) * 256) == 85
    inner = np.abs((means - means.min()) / (means.max() - means.min()) * 256 % 1 - 0.5) < 0.4
    assert (third & inner).any() and (dots[third & inner] == VIRIDIS[85]).all()


def test_strips_are_stretched_and_infinities_are_the_ends():
    told, dots = plot(np.array([[np.inf, -np.inf, 0.0, 1.0] * 50]).repeat(2, 0))
    assert dots.shape[0] > 100 and told["inf"] == 200
    assert tuple(dots[0, 0]) == VIRIDIS[255] and tuple(dots[0, told["area"]["width"] // 200 + 1]) == VIRIDIS[0]


def test_a_long_vector_shows_every_peak():
    x = np.zeros(1_000_000)
    x[123_456] = 5
    x[700_000] = -5
    x[900_000] = np.nan
    told, dots = plot(x)
    assert told["kind"] == "line" and (told["min"], told["max"], told["nan"]) == (-5, 5, 1)
    is_line = (dots == BLUE).all(-1)
    assert is_line.any(0).all()  # no gap
    height, width = is_line.shape
    peak, dip = (int(np.ceil(is_line[rows].sum(0).argmax())) for rows in (slice(0, height // 2 - 5), slice(height // 2 + 5, None)))
    assert abs(peak - 0.123456 * width) <= 1 and abs(dip - 0.7 * width) <= 1
    pink = (dots == PINK).all(-1)
    assert pink.any(0).sum() <= 2 and abs(pink.any(0).argmax() - 0.9 * width) <= 1


def test_a_short_vector_is_a_line_of_points():
    told, dots = plot(np.array([0.0, 1.0, np.nan, 1.0, 0.0]), "--width", 800)
    assert told["across"] == 5
    is_line = (dots == BLUE).all(-1)
    height, width = is_line.shape
    assert is_line[:, :width // 4 - 10].any(0).all() and not is_line[:, width // 4 + 10:3 * width // 4 - 10].any()
    assert is_line[:height // 4, width // 4 - 3:width // 4 + 3].any()
    assert (dots[-3:, width // 2] == PINK).all()


@pytest.mark.parametrize("bins", [1, 7, 50, 1000])
def test_histogram_is_numpys(bins):
    x = np.random.default_rng(bins).normal(size=(50, 30, 4)).round(1)
    x.flat[::17] = np.nan
    x.flat[5] = np.inf
    told, dots = plot(x, "--histogram", "--bins", bins)
    finite = x[np.isfinite(x)]
    counts, edges = np.histogram(finite, bins)
    assert told["counts"] == counts.tolist()
    assert (told["low"], told["high"]) == (edges[0], edges[-1])
    assert told["nan"] == np.isnan(x).sum() and told["inf"] == 1
    if bins == 7:
        heights = [(dots[:, int(dots.shape[1] * (i + 0.5) / bins)] == BLUE).all(-1).sum() for i in range(bins)]
        np.testing.assert_allclose(heights, counts / counts.max() / 1.05 * dots.shape[0], atol=1)
    counts, _ = np.histogram(finite, bins, (-1, 1))
    assert plot(x, "--histogram", "--bins", bins, "--range=-1,1")[0]["counts"] == counts.tolist()
    assert plot(np.full(9, 3), "--histogram", "--bins", bins)[0]["counts"] == np.histogram(np.full(9, 3), bins)[0].tolist()


@pytest.mark.parametrize("x", [np.zeros((1, 1, 1)), np.full((3, 3), np.nan), np.full(4, np.inf), np.array([1e308, -1e308]),
                               np.array([5]), np.full((4, 4), 7, np.uint64), np.array([True, False])])
def test_odd_arrays_have_pictures(x):
    plot(x)
    plot(x, "--width", 200, "--height", 150)
    if np.isfinite(x).any() and np.ptp(x.astype(float)) < 1e308:
        plot(x, "--histogram")


def test_what_cannot_be_drawn():
    np.save("x.npy", np.zeros((2, 3, 4)))
    assert "--slice takes one or two axes of it" in refused("plot", "x.npy", "x.png", status=2)
    assert "--slice takes one or two axes of it" in refused("plot", "x.npy", "x.png", "--slice", "0, 0, 0", status=2)
    assert "no elements to draw" in refused("plot", "x.npy", "x.png", "--slice", ":0", status=3)
    assert "expected LOW,HIGH" in refused("plot", "x.npy", "x.png", "--range", "3,1", status=2)
    assert "expected an integer from 200" in refused("plot", "x.npy", "x.png", "--width", "1", status=2)
    assert "No such file or directory" in refused("plot", "x.npy", "none/x.png", "--slice", "0", status=3)
    assert "No space left" in refused("plot", "x.npy", "/dev/full", "--slice", "0", status=3)
    assert sorted(os.listdir()) == ["probe.npy", "probe.png", "x.npy"]
    run("plot", "x.npy", "x.png", "--slice", "0, :1")  # one axis is left
    text = run("plot", "x.npy", "x.png", "--slice", "0").stdout
    assert text.startswith("x.png: heat map of x.npy: float64 (3, 4)\n  values from 0.0 to 0.0\n")
    with open("y.png", "wb") as out:
        run("plot", "x.npy", "-", "--slice", "0", stdout=out, stderr=None, capture_output=False)
    assert open("x.png", "rb").read() == open("y.png", "rb").read()


def test_complex_and_archives():
    np.savez("x.npz", z=np.array([3 + 4j, 1j]), other=np.zeros(1))
    assert "--part says of what" in refused("plot", "x.npz:z", "x.png", status=2)
    assert one("plot", "x.npz:z", "x.png", "--part", "abs")["max"] == 5
    assert "x.npz holds 2 arrays" in refused("plot", "x.npz", "x.png", status=2)
    assert json.loads(run("plot", "x.npz", "x.png", "--name", "other", "--json").stdout)["kind"] == "line"
