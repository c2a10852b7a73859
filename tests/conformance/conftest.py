# SPDX-License-Identifier: MIT
"""A test that fails shows its last example as a C program."""

import os
import warnings

import numpy as np
import pytest

os.environ.setdefault("TV_NUM_THREADS", "2")
np.seterr(all="ignore")
warnings.filterwarnings("ignore", category=np.exceptions.ComplexWarning)

from tensorvar_array import recorder  # noqa: E402


def pytest_runtest_setup(item):
    recorder.start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and report.when == "call":
        program = recorder.program()
        if "tv_tensor *" in program:
            report.sections.append(("the same in C", program[:20000]))
