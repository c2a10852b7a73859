# SPDX-License-Identifier: MIT
"""The C program that a failing test prints: it compiles, runs, and shows what the test saw."""

import os
import shlex
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tensorvar_array as xp
from examples import values
from numbers_of import ALL, array_of
from tensorvar_array import BY_NAME, native, prototypes, random, recorder


def run(program, folder):
    """What the program prints."""
    source, binary, library = folder / "shown.c", folder / "shown", Path(os.environ["TENSORVAR_LIBRARY"])
    source.write_text(program)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, "-std=c11", "-Wall", "-Werror", "-Wno-unused-variable", f"-I{prototypes.INCLUDE}", source, library,
                    f"-Wl,-rpath,{library.parent}", "-o", binary], check=True)
    return subprocess.run([binary], check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_program_prints_what_was_computed(tmp_path):
    rng = np.random.default_rng(1)
    recorder.start()
    shown = []
    for name in ALL:  # data of every dtype, special numbers among them
        shown.append(xp.flip(array_of(values(rng, name, (2, 3), "special"), name)))
    x = array_of(values(rng, "float64", (3, 4)))
    shown.append(x.mT[::-1, None, 1] @ xp.ones((1, 2)))
    shown.append(xp.sum(x, axis=(0,), keepdims=True, dtype=xp.float32))
    shown.append(xp.where(x > 0, 2**63 + 5, 1.5 - 2j))
    shown.append(xp.concat([x, xp.full((1, 4), float("-inf"))], axis=0))
    shown.append(xp.take(x, xp.asarray([2, 0, -1]), axis=1))
    shown.append(random.normal(random.key(2**64 - 1, 5), xp.float32, (4,)))
    shown.append(xp.astype(xp.arange(-2, 4), BY_NAME["uint8"]))
    y = xp.reshape(x, (-1,))
    y[1:3] = 9.0
    shown.append(y + 0)
    with xp.Tape() as tape:
        tape.watch(x)
        gradient = tape.gradient(xp.sum(x**3), [x])
    shown += gradient
    program = recorder.program()
    assert run(program, tmp_path) == "".join(repr(v) + "\n" for v in shown)


def test_the_program_shows_a_refusal(tmp_path):
    recorder.start()
    with pytest.raises(xp.Failure) as caught:
        xp.matmul(xp.zeros((2, 3)), xp.zeros((4, 4)))
    assert run(recorder.program(), tmp_path) == f"{caught.value}\n"


def test_a_failing_example_prints_its_program(tmp_path):
    here = Path(__file__).resolve().parent
    (tmp_path / "test_wrong.py").write_text(textwrap.dedent("""
        from hypothesis import strategies as st
        import tensorvar_array as xp
        from examples import examples

        @examples(20, n=st.integers(0, 100))
        def test_wrong(n):
            assert xp.asarray([n, 1]).tolist()[0] < 7 or float(xp.sum(xp.ones((n,)))) == 0
    """))
    (tmp_path / "conftest.py").write_text((here / "conftest.py").read_text())
    python = os.environ | {"PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([os.sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], env=python,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "the same in C" in done.stdout, done.stdout + done.stderr
    program = done.stdout[done.stdout.index("/* cc this.c"):]
    program = program[:program.index("\n}\n") + 3]
    assert "{7, 1}" in program  # the smallest example, and no other
    assert run(program, tmp_path) == "array([7, 1])\narray(7.)\n"


def test_every_function_of_the_headers_is_in_the_library():
    missing = [name for name in native.PROTOTYPES if not hasattr(native.lib, name)]
    assert len(native.PROTOTYPES) > 150 and not missing


def test_nothing_is_kept_alive():
    before = native.lib.tv_live_handles()
    x = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    y = xp.gradients(lambda a: xp.sum(xp.exp(a) @ a), [x])
    x[0, :] = 1.0
    with pytest.raises(xp.Failure):
        xp.add(x, xp.zeros((3,)))
    with pytest.raises(xp.Failure):
        x[0, 5] = 1.0
    del x, y
    assert native.lib.tv_live_handles() == before
