# SPDX-License-Identifier: MIT
"""A test that fails shows its last example as a C program."""

import os
import warnings

import numpy as np
import pytest

os.environ.setdefault("TV_NUM_THREADS", "2")
np.seterr(all="ignore")
warnings.filterwarnings("ignore", category=np.exceptions.ComplexWarning)

from tensorvar_array import native, recorder  # noqa: E402

# What is not asked of another device, by file or by test, and why.
OF_THE_CPU = {
    "test_threads.py": "the CPU's threads",
    "test_tool.py": "files; test_tool_device.py asks the device",
    "test_tool_large.py": "files; test_tool_device.py asks the device",
    "test_tool_plot.py": "pictures; test_tool_device.py asks the device",
    "test_tool_replace.py": "files",
    "test_readers_see_whole_versions": "other threads begin on the CPU",
    "test_large_arrays_are_numpys_on_any_number_of_threads": "the CPU's threads",
    "test_ways_out_and_in": "DLPack of host memory",
    "test_a_consumer_of_dlpack_holds_the_tensor": "DLPack of host memory",
    "test_the_namespace_says_what_it_is": "the default device is the CPU",
    "test_sparse_files_beyond_32_bits_are_mapped": "maps are host memory",
    "test_stored_arrays_begin_at_multiples_of_64": "maps are host memory",
}


def pytest_collection_modifyitems(items):
    for item in items:
        why = OF_THE_CPU.get(item.name.split("[")[0]) or OF_THE_CPU.get(item.path.name)
        if why and native.DEVICE != "cpu":
            item.add_marker(pytest.mark.skip(reason=why))


def pytest_runtest_setup(item):
    recorder.start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and report.when == "call":
        program = recorder.program()
        if "tv_tensor *" in program:
            report.sections.append(("the same in C", program[:20000]))
