# SPDX-License-Identifier: MIT
"""A worker: `serve.py PEER FOLDER THREADS`, which answers each line of JSON on its input by one line.

    {"do": "prepare", "op": "add", "size": "1e7"}    {"ok": true, "variants": ["plain", "out="]}
    {"do": "check", "variant": "out=", "path": ...}  the result of a call, saved there; before the first "time"
    {"do": "time", "variant": "out=", "seconds": ..} {"seconds": of a call, "calls": n, "faults": page faults,
                                                      "processors": that were busy}
    {"do": "drop"}, {"do": "peak"}                   {"bytes": most memory that the process has had}

A peer is a module here with `start(threads)`, `version()`, `load(array)`, `save(result)` and `OPS`: op, then name
of the variant, then a maker that is given the operands and gives a call, or a call and what asks for its result."""

import gc
import importlib
import json
import math
import os
import resource
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from cases import Case  # noqa: E402

CHANGED = ("adam", "adam_stuck", "sgd_step", "adam_step", "recorded", "chain")  # ops that change their operands


def peak_memory():
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return -1


def faults():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def write(path, array):
    """As np.save; into the pages of the last result if they fit, for fresh ones cost more than all else."""
    try:
        there = np.load(path, mmap_mode="r+")
        if there.shape == array.shape and there.dtype == array.dtype and there.flags.c_contiguous:
            np.copyto(there, array)
            return
    except (OSError, ValueError):
        pass
    np.save(path, np.ascontiguousarray(array) if array.ndim else array)


class Worker:
    def __init__(self, peer, folder):
        self.peer, self.folder, self.jobs = peer, folder, {}

    def operands(self, op, size):
        for name in Case(op, size, "").operands():
            path = os.path.join(self.folder, f"{name}_{size}.npy")
            if os.path.exists(path):
                yield self.peer.load(np.load(path))
            else:
                return  # a perceptron of two layers has no w3

    def prepare(self, op, size, **_):
        self.jobs, operands = {}, None
        for variant, make in self.peer.OPS.get(op, {}).items():
            if getattr(make, "sizes", None) and size not in make.sizes:
                continue
            if operands is None or op in CHANGED:
                operands = list(self.operands(op, size))
            made = make(*operands)
            self.jobs[variant] = made if isinstance(made, tuple) else (made, None)
        return {"variants": list(self.jobs)}

    def check(self, variant, path, **_):
        call, ask = self.jobs[variant]
        steps = getattr(call, "steps", 3 if ask else 1)
        for _ in range(steps):
            result = call()
        write(path, self.peer.save(ask() if ask else result))
        return {}

    def time(self, variant, seconds, **_):
        call, _ = self.jobs[variant]
        seconds, clock = float(seconds), time.perf_counter

        def some(calls):
            before, busy, start = faults(), time.process_time(), clock()
            for _ in range(calls):
                result = call()
            took = clock() - start
            busy, before = time.process_time() - busy, faults() - before
            del result
            return took, {"seconds": took / calls, "calls": calls, "faults": before, "processors": busy / took}

        gc.collect()
        gc.disable()
        try:
            took, said = some(1)
            while took < seconds / 8:  # warm up, and find out how long a call takes
                took, said = some(said["calls"] * (2 if took > seconds / 64 else 8))
            if took < 2 * seconds:  # "check" was the first of those that are long themselves
                took, said = some(math.floor(said["calls"] * seconds / took) + 1)
            return said
        finally:
            gc.enable()

    def drop(self, **_):
        self.jobs = {}
        gc.collect()
        return {}

    def peak(self, **_):
        return {"bytes": peak_memory()}


def main():
    name, folder, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**line):
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    module, _, mode = name.partition(":")
    try:
        peer = importlib.import_module(f"peer_{module}")
        peer.start(int(threads), *([mode] if mode else []))
        version = peer.version()
    except Exception as wrong:  # a peer that is not there is reported, not fatal
        answer(ok=False, why=f"{type(wrong).__name__}: {wrong}"[:300])
        return
    answer(ok=True, name=name, version=version)
    worker = Worker(peer, folder)
    for line in sys.stdin:
        told = json.loads(line)
        try:
            answer(ok=True, **getattr(worker, told.pop("do"))(**told))
        except Exception as wrong:
            answer(ok=False, why=f"{type(wrong).__name__}: {wrong}"[:300])


if __name__ == "__main__":
    main()
