# SPDX-License-Identifier: MIT
"""The command line tool on the device that the other half of the suite runs on."""

import os

import numpy as np
import pytest

from test_tool import TOOL, check_stats, figures_of, folder, one, run  # noqa: F401

pytestmark = pytest.mark.skipif(not TOOL, reason="TENSORVAR_TOOL is not set: no program to run")
DEVICE = ("--device", os.environ.get("TENSORVAR_DEVICE", "cpu"))


def test_every_command_that_computes():
    x = np.random.default_rng(0).normal(size=(70, 30)).astype(np.float32)
    y = x.copy()
    y[3, 4] += 1
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert one("show", "x.npy", "--slice", "1:3, ::-7", *DEVICE)["data"] == [[float(str(v)) for v in row] for row in x[1:3, ::-7]]
    assert run("head", "x.npy", "-n", 2, *DEVICE).stdout.startswith("array([[")
    check_stats(one("stats", "x.npy", *DEVICE), figures_of(x))
    check_stats(one("stats", "x.npy", "--axis", 1, *DEVICE), figures_of(x, 1))
    assert one("diff", "x.npy", "y.npy", *DEVICE, status=1)["arrays"][0]["worst"]["index"] == [3, 4]
    run("convert", "x.npy", "half.npy", "--dtype", "f16", *DEVICE)
    np.testing.assert_array_equal(np.load("half.npy"), x.astype(np.float16), strict=True)
    for axis in (0, 1):
        run("concat", "both.npy", "x.npy", "half.npy", "--axis", axis, *DEVICE)
        np.testing.assert_array_equal(np.load("both.npy"), np.concatenate([x, x.astype(np.float16)], axis), strict=True)
    assert one("bench", "x.npy", "--runs", 1, *DEVICE)["bytes"] == x.nbytes
