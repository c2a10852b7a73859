#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything there is for a GPU, one step after the other: ./dev gpu-check [--quick] [--only STEP].

Needs a GPU, nvcc, gcc, cmake, ninja and python3; PyTorch for the ratios. Nothing is downloaded. Each
step has a limit of its own and writes its results, a JSON line each, at once; one that fails or lacks a
tool says so, and the next one runs. The card's clocks, power and modes are left alone."""

import argparse
import ctypes
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join("build", "gpu")
MODULE = os.path.join(BUILD, "libtensorvar_cuda.so")

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64".split()
BYTES = {"bfloat16": 2, "float32": 4}


class Results:
    """Lines of JSON, written as they come."""

    def __init__(self, path):
        self.path, self.lines = path, []
        open(path, "w").close()

    def add(self, **line):
        self.lines.append(line)
        with open(self.path, "a") as out:
            out.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def run(command, limit, **options):
    """Exit status (None: out of time) and output of a command."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, text=True,
                              **options)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as stopped:
        out = stopped.stdout or b""
        return None, out if isinstance(out, str) else out.decode(errors="replace")


def verdict(status):
    return "out of time" if status is None else "passed" if status == 0 else "failed"


# Steps: build, versions, tests -------------------------------------------------------------------------


def build(results, _):
    begun = time.time()
    command = ["cmake", "--preset", "gpu"]
    status, said = run(command, 60)
    if status == 0:
        status, more = run(["cmake", "--build", "--preset", "gpu", "-j", str(os.cpu_count())], 300)
        said += more
    results.add(step="build", result=verdict(status), seconds=round(time.time() - begun, 1),
                module_bytes=os.path.getsize(MODULE) if os.path.exists(MODULE) else 0)
    if status != 0:
        print(said[-4000:])
        sys.exit(1)


def versions(results, _):
    def line(command):
        return run(command, 20)[1].strip().splitlines()[-1:] if shutil.which(command[0]) else ["not there"]

    gpu = line(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    torch = line([sys.executable, "-c", "import torch; print(torch.__version__, torch.version.cuda)"])
    commit = line(["git", "rev-parse", "--short=12", "HEAD"]) if os.path.isdir(".git") else ["not a checkout"]
    results.add(step="versions", date=datetime.date.today().isoformat(), gpu=gpu, nvcc=line(["nvcc", "--version"]),
                torch=torch, gcc=line(["gcc", "-dumpfullversion"]), commit=commit)


def ctest(step, pattern, limit, repeats=1):
    def body(results, _):
        for repeat in range(repeats):
            begun = time.time()
            status, said = run(["ctest", "--test-dir", BUILD, "-R", pattern, "--output-on-failure"], limit)
            results.add(step=step, repeat=repeat, result=verdict(status), seconds=round(time.time() - begun, 1),
                        tail=said.splitlines()[-8:] if status != 0 else said.splitlines()[-6:-4])

    return body


def conformance(results, _):
    """The suites of values and gradients with the GPU as the current device."""
    if run([sys.executable, "-c", "import pytest, hypothesis, numpy, torch"], 30)[0] != 0:
        results.add(step="conformance", result="left out: pytest, hypothesis, NumPy or PyTorch is not there")
        return
    environment = dict(os.environ, TENSORVAR_DEVICE="cuda:0", TENSORVAR_LIBRARY=os.path.abspath(BUILD + "/libtensorvar.so"),
                       TENSORVAR_INCLUDE=os.path.abspath("include"))
    status, said = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance"], 120,
                       env=environment)
    results.add(step="conformance", result=verdict(status), tail=said.splitlines()[-3:])


def sanitizer(results, _):
    if not shutil.which("compute-sanitizer"):
        results.add(step="sanitizer", result="left out: compute-sanitizer is not there")
        return
    for tool in ("memcheck", "racecheck"):
        for program in ("elementwise", "reduce", "index"):
            path = os.path.join(BUILD, "tests", "test_cuda_" + program)
            status, said = run(["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", path], 30)
            results.add(step="sanitizer", tool=tool, program=program, result=verdict(status), tail=said.splitlines()[-2:])


def profile(results, _):
    """What the memory and the multiprocessors are busy with, kernel by kernel."""
    if not shutil.which("ncu"):
        results.add(step="profile", result="left out: ncu is not there")
        return
    metrics = "dram__throughput.avg.pct_of_peak_sustained_elapsed,sm__throughput.avg.pct_of_peak_sustained_elapsed"
    kernels = "regex:(add_f32_vector|exp_bf16_vector|copy_u32_turn|sum_f32|softmax_bf16|adam_f32|uniform_f32|convert_f32)"
    command = ["ncu", "--clock-control", "none", "--metrics", metrics, "-k", kernels, "-c", "40", "--csv",
               sys.executable, os.path.join(HERE, "check.py"), "--only", "bench", "--out", os.path.join(BUILD, "profile")]
    status, said = run(command, 60)
    results.add(step="profile", result=verdict(status), tail=[x for x in said.splitlines() if "throughput" in x][-40:])


# Benches -------------------------------------------------------------------------------------------------


class Ours:
    """The cases of cases.c."""

    def __init__(self, device="cuda:0"):
        os.environ.setdefault("TV_BACKEND_PATH", os.path.abspath(BUILD))
        ctypes.CDLL(os.path.abspath(os.path.join(BUILD, "libtensorvar.so")), mode=ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(os.path.abspath(os.path.join(BUILD, "bench", "gpu", "libgpu_cases.so")))
        self.device = device.encode()
        for name in ("bench_run", "bench_difference", "bench_transfer", "bench_load", "bench_allocate"):
            getattr(self.lib, name).restype = ctypes.c_double
        self.lib.bench_open.restype = ctypes.c_void_p
        self.lib.bench_message.restype = ctypes.c_char_p

    def said(self):
        return self.lib.bench_message().decode()

    def sizes(self, sizes):
        return (ctypes.c_int64 * 4)(*(list(sizes) + [0] * 4)[:4])

    def difference(self, name, dtype, sizes):
        return self.lib.bench_difference(name.encode(), self.device, DTYPES.index(dtype), self.sizes(sizes))

    def open(self, name, dtype, sizes):
        handle = self.lib.bench_open(name.encode(), self.device, DTYPES.index(dtype), self.sizes(sizes))
        if not handle:
            raise RuntimeError(self.said())
        return ctypes.c_void_p(handle)

    def run(self, handle, runs):
        """Milliseconds on the device and on the host, of one run."""
        enqueue = ctypes.c_double()
        elapsed = self.lib.bench_run(handle, runs, ctypes.byref(enqueue), None)
        if elapsed < 0:
            raise RuntimeError(self.said())
        return elapsed, enqueue.value

    def close(self, handle):
        self.lib.bench_close(handle)


class Theirs:
    """The same work by PyTorch: inputs rotate alike, and what a run makes is dropped at once."""

    def __init__(self):
        import torch
        if not torch.cuda.is_available():
            raise ImportError("PyTorch sees no GPU")
        torch.backends.cuda.matmul.allow_tf32 = False
        self.torch = torch

    def work(self, name, dtype, sizes, tf32=False):
        torch = self.torch
        kind = getattr(torch, dtype)
        function = torch.nn.functional

        def normal(*shape):
            return torch.randn(*shape, device="cuda", dtype=torch.float32).to(kind)

        def rotating(make, act):
            first = make()
            item = sum(t.numel() * t.element_size() for t in first)
            rest = [make() for _ in range(min(7, int((256 << 20) / max(item, 1))))]
            inputs, at = [first] + rest, [0]

            def once():
                at[0] = (at[0] + 1) % len(inputs)
                return act(*inputs[at[0]])

            return once

        if name in ("add", "exp", "tanh", "sum_all"):
            act = {"add": torch.add, "exp": torch.exp, "tanh": torch.tanh, "sum_all": torch.sum}[name]
            return rotating(lambda: [normal(sizes[0]) for _ in range(2 if name == "add" else 1)], act)
        if name in ("add_row", "add_column"):
            other = (sizes[1],) if name == "add_row" else (sizes[0], 1)
            return rotating(lambda: [normal(*sizes[:2]), normal(*other)], torch.add)
        if name in ("transpose", "sum_rows", "sum_columns", "softmax"):
            act = {"transpose": lambda x: x.t().contiguous(), "sum_rows": lambda x: x.sum(1),
                   "sum_columns": lambda x: x.sum(0), "softmax": lambda x: torch.softmax(x, -1)}[name]
            return rotating(lambda: [normal(*sizes[:2])], act)
        if name == "matmul":
            m, n, k, batch = sizes
            shapes = ((batch, m, k), (batch, k, n)) if batch else ((m, k), (k, n))

            def product(a, b):
                torch.backends.cuda.matmul.allow_tf32 = tf32
                return torch.matmul(a, b)

            return rotating(lambda: [normal(*shape) for shape in shapes], product)
        if name == "uniform":
            return lambda: torch.rand(sizes[0], device="cuda")
        if name == "cross_entropy":
            logits = normal(*sizes[:2]).requires_grad_()
            labels = torch.randint(sizes[1], (sizes[0],), device="cuda")

            def both():
                logits.grad = None
                function.cross_entropy(logits, labels).backward()

            return both
        if name == "adam":
            parameters = [torch.nn.Parameter(normal(sizes[0])) for _ in range(sizes[1])]
            for p in parameters:
                p.grad = p.detach() * .01
            return torch.optim.Adam(parameters, fused=True).step
        if name == "perceptron":
            model = torch.nn.Sequential(torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512),
                                        torch.nn.ReLU(), torch.nn.Linear(512, 10)).cuda()
            optimizer = torch.optim.Adam(model.parameters(), fused=True)
            x, labels = normal(sizes[0], 784), torch.randint(10, (sizes[0],), device="cuda")

            def step():
                optimizer.zero_grad(set_to_none=True)
                function.cross_entropy(model(x), labels).backward()
                optimizer.step()

            return step
        raise KeyError(name)

    def run(self, once, runs):
        torch = self.torch
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        begun = time.perf_counter()
        for _ in range(runs):
            once()
        enqueue = (time.perf_counter() - begun) * 1e3 / runs
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / runs, enqueue


M = 1 << 20
# number in the list of goals, case, dtype, sizes, bytes moved or None, operations or None
CASES = [
    (1, "add", "float32", [256 * M], 3 * 256 * M * 4, None), (1, "add", "float32", [16 * M], 3 * 16 * M * 4, None),
    (1, "add", "float32", [M], 3 * M * 4, None), (1, "add", "bfloat16", [256 * M], 3 * 256 * M * 2, None),
    (2, "add_row", "bfloat16", [16384, 16384], 2 * 2 << 28, None),
    (2, "add_column", "bfloat16", [16384, 16384], 2 * 2 << 28, None),
    (3, "exp", "bfloat16", [256 * M], 2 * 2 << 28, None), (3, "tanh", "bfloat16", [256 * M], 2 * 2 << 28, None),
    (5, "transpose", "float32", [16384, 16384], 2 * 4 << 28, None),
    (6, "sum_all", "float32", [1 << 30], 4 << 30, None), (6, "sum_rows", "float32", [65536, 4096], 4 << 28, None),
    (6, "sum_columns", "float32", [65536, 4096], 4 << 28, None),
    (7, "softmax", "bfloat16", [32768, 4096], 2 * 2 << 27, None),
    (7, "softmax", "bfloat16", [4096, 32768], 2 * 2 << 27, None),
    (8, "cross_entropy", "bfloat16", [8192, 50304], None, None),
    (9, "matmul", "bfloat16", [8192, 8192, 8192, 0], None, 2 * 8192 ** 3),
    (9, "matmul", "bfloat16", [4096, 4096, 4096, 0], None, 2 * 4096 ** 3),
    (9, "matmul", "bfloat16", [1024, 1024, 1024, 0], None, 2 * 1024 ** 3),
    (9, "matmul", "float32", [4096, 4096, 4096, 0], None, 2 * 4096 ** 3),
    (9, "matmul_tf32", "float32", [4096, 4096, 4096, 0], None, 2 * 4096 ** 3),
    (9, "matmul", "bfloat16", [1024, 1024, 1024, 64], None, 64 * 2 * 1024 ** 3),
    (11, "adam", "float32", [350000000 // 300, 300], 7 * 4 * 350000000, None),
    (11, "adam", "float32", [64, 10000], None, None),
    (12, "uniform", "float32", [256 * M], 4 << 28, None),
    (13, "add", "float32", [1024], None, None),
    (14, "perceptron", "float32", [128], None, None),
]
SMALL = {"add": [5000], "exp": [5000], "tanh": [5000], "sum_all": [70000], "uniform": [5000], "adam": [1000, 5],
         "perceptron": [32], "matmul": [96, 80, 72, 0], "matmul_tf32": [96, 80, 72, 0]}


def small(name):
    return SMALL.get(name, [64, 300])


def checked(ours, name, dtype):
    """The largest relative difference to the CPU on a small case, and what it may be."""
    limit = 2e-2 if dtype == "bfloat16" else 2e-3 if name == "matmul_tf32" else 1e-4
    return ours.difference(name.replace("_tf32", ""), dtype, small(name)), limit


def limits(results, options):
    """What the machine can do in this run: a copy, a matrix product, a launch."""
    try:
        torch = Theirs().torch
    except ImportError as missing:
        results.add(step="limits", result=f"left out: {missing}")
        return
    x = torch.empty(8 << 30, dtype=torch.uint8, device="cuda")
    y = torch.empty_like(x)
    theirs = Theirs()
    milliseconds = min(theirs.run(lambda: y.copy_(x), 3)[0] for _ in range(5))
    options.copy_limit = 2 * x.numel() / milliseconds * 1e-9
    del x, y
    once = theirs.work("matmul", "bfloat16", [8192, 8192, 8192, 0])
    theirs.run(once, 3)
    milliseconds = min(theirs.run(once, 5)[0] for _ in range(5))
    options.matmul_limit = 2 * 8192 ** 3 / milliseconds * 1e-9
    results.add(step="limits", copy_tb_s=round(options.copy_limit, 3), matmul_tflop_s=round(options.matmul_limit, 1))


def time_case(results, options, ours, theirs, case):
    number, name, dtype, sizes, moved, operations = case
    plain, tf32 = name.replace("_tf32", ""), name.endswith("_tf32")
    if options.small:
        sizes, moved, operations = small(name), None, None
    line = {"step": "bench", "case": number, "name": name, "dtype": dtype, "sizes": sizes}
    ours.lib.tv_matmul_precision_set(1 if tf32 else 0)
    line["difference"], allowed = checked(ours, name, dtype)
    if not 0 <= line["difference"] <= allowed:
        results.add(**line, result=f"wrong: {ours.said()}")
        return
    handle = ours.open(plain, dtype, sizes)
    once = theirs.work(plain, dtype, sizes, tf32) if theirs else None
    runs = 1 if options.small else max(1, min(200, int(30 / max(ours.run(handle, 2)[0], .01))))
    pairs = []
    for _ in range(2 if options.small else 25):  # ours and theirs in turn; the first five are for warming up
        pairs.append((ours.run(handle, runs), theirs.run(once, runs) if theirs else (0, 0)))
    ours.close(handle)
    pairs = pairs[5:] or pairs
    mine = statistics.median(p[0][0] for p in pairs)
    spread = statistics.quantiles([p[0][0] for p in pairs], n=4) if len(pairs) > 3 else [mine, mine, mine]
    line.update(ms=round(mine, 5), spread=round((spread[2] - spread[0]) / mine, 3) if mine else 0,
                enqueue_us=round(1e3 * statistics.median(p[0][1] for p in pairs), 2), runs=runs)
    if theirs:
        other = statistics.median(p[1][0] for p in pairs)
        line.update(torch_ms=round(other, 5), r=round(other / mine, 3),
                    torch_enqueue_us=round(1e3 * statistics.median(p[1][1] for p in pairs), 2))
    if moved and getattr(options, "copy_limit", None):
        line["f"] = round(moved / mine * 1e-9 / options.copy_limit, 3)
    if operations and getattr(options, "matmul_limit", None) and dtype == "bfloat16":
        line["f"] = round(operations / mine * 1e-9 / options.matmul_limit, 3)
    results.add(**line)


def bench(results, options):
    ours = Ours(options.device)
    try:
        theirs = None if options.small else Theirs()
    except ImportError as missing:
        theirs = None
        results.add(step="bench", result=f"no ratios: {missing}")
    for case in CASES:
        try:
            time_case(results, options, ours, theirs, case)
        except Exception as failure:  # one case must not take the others along
            results.add(step="bench", case=case[0], name=case[1], result=f"failed: {failure}")
        if theirs:
            theirs.torch.cuda.empty_cache()


def transfers(results, options):
    ours = Ours(options.device)
    size = 1 << 20 if options.small else 1 << 30
    for pinned in (1, 0):
        for direction in (0, 1):
            best = min(ours.lib.bench_transfer(ours.device, ctypes.c_int64(size), direction, pinned) for _ in range(4))
            results.add(step="transfers", case=17, pinned=bool(pinned), to="host" if direction else "device",
                        gb_s=round(size / best * 1e-6, 2) if best > 0 else ours.said())
    path = os.path.join(BUILD, "transfer.npy")
    import numpy
    numpy.save(path, numpy.ones(size // 4 * (1 if options.small else 4), numpy.float32))
    best = min(ours.lib.bench_load(ours.device, path.encode()) for _ in range(3))
    line = {"step": "transfers", "case": 17, "name": ".npy to the device", "ms": round(best, 3)}
    try:
        torch = Theirs().torch
        begun = time.perf_counter()
        torch.from_numpy(numpy.load(path)).cuda()
        torch.cuda.synchronize()
        line["np_load_and_cuda_ms"] = round((time.perf_counter() - begun) * 1e3, 3)
        host = torch.empty(size, dtype=torch.uint8).pin_memory()
        there = torch.empty(size, dtype=torch.uint8, device="cuda")
        raw = min(Theirs().run(lambda: there.copy_(host, non_blocking=True), 1)[0] for _ in range(4))
        line["pinned_limit_gb_s"] = round(size / raw * 1e-6, 2)
    except ImportError:
        pass
    os.remove(path)
    results.add(**line)
    results.add(step="transfers", case=18, name="reserve and release",
                ns=round(ours.lib.bench_allocate(os.path.abspath(MODULE).encode(), 1000), 1))


# Report ---------------------------------------------------------------------------------------------------


def plot(lines, path):
    """Bars of r, PyTorch's time over ours; the line is at 1."""
    rows = [(f'{x["name"]} {x["dtype"]} {"x".join(map(str, x["sizes"]))}', x["r"]) for x in lines if "r" in x]
    if not rows:
        return
    width, bar, left, scale = 900, 20, 330, 180
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bar * len(rows) + 50}" '
             'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>',
             '<text x="10" y="18">PyTorch\'s time over ours: right of the line we are faster</text>']
    for k, (text, r) in enumerate(rows):
        y = 30 + k * bar
        colour = "#2a7" if r >= 1 else "#c63"
        parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{text}</text>'
                     f'<rect x="{left}" y="{y + 2}" width="{min(r * scale, width - left - 60):.1f}" height="{bar - 5}" '
                     f'fill="{colour}"/><text x="{left + min(r * scale, width - left - 60) + 5:.1f}" y="{y + 13}">{r:.2f}</text>')
    x = left + scale
    parts.append(f'<line x1="{x}" x2="{x}" y1="25" y2="{30 + bar * len(rows)}" stroke="black"/></svg>')
    with open(path, "w") as out:
        out.write("\n".join(parts) + "\n")


def table(lines, path):
    with open(path, "w") as out:
        head = next((x for x in lines if x.get("step") == "versions"), {})
        out.write(f'# GPU check, {head.get("date", "")}\n\nGPU and driver: {head.get("gpu")}; PyTorch {head.get("torch")}; '
                  f'commit {head.get("commit")}.\nr: PyTorch\'s time over ours; f: part of the limit of the same run.\n\n')
        for x in lines:
            if x.get("step") in ("limits", "transfers") or "result" in x:
                out.write("* " + json.dumps(x) + "\n")
        out.write("\n| case | what | ms | PyTorch ms | r | f | enqueue µs | PyTorch |\n|---|---|---|---|---|---|---|---|\n")
        for x in lines:
            if x.get("step") == "bench" and "ms" in x:
                out.write(f'| {x["case"]} | {x["name"]} {x["dtype"]} {x["sizes"]} | {x["ms"]} | {x.get("torch_ms", "")} | '
                          f'{x.get("r", "")} | {x.get("f", "")} | {x["enqueue_us"]} | {x.get("torch_enqueue_us", "")} |\n')


STEPS = [
    ("build", build), ("versions", versions), ("limits", limits),
    ("tests", ctest("tests", r"^cuda", 240)), ("conformance", conformance),
    ("repeat", ctest("repeat", r"^cuda_(reduce|random|index|step|stream)", 60, repeats=3)),
    ("sanitizer", sanitizer), ("bench", bench), ("transfers", transfers), ("profile", profile),
]
QUICK = ("build", "versions", "tests", "conformance")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="stop after conformance")
    parser.add_argument("--only", choices=[name for name, _ in STEPS], help="one step")
    parser.add_argument("--small", action="store_true", help="small sizes, ours alone: to try the program itself")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--out", default=os.path.join("build", "gpu-check"))
    options = parser.parse_args()
    os.chdir(ROOT)
    os.makedirs(options.out, exist_ok=True)
    results = Results(os.path.join(options.out, "results.jsonl"))
    for name, step in STEPS:
        if options.only and name != options.only or options.quick and name not in QUICK:
            continue
        try:
            step(results, options)
        except Exception as failure:
            results.add(step=name, result=f"failed: {failure}")
    table(results.lines, os.path.join(options.out, "results.md"))
    plot(results.lines, os.path.join(options.out, "ratios.svg"))
    bad = [x for x in results.lines if str(x.get("result", "")).startswith(("failed", "wrong", "out of time"))]
    print(f"gpu-check: {len(results.lines)} lines in {options.out}, {len(bad)} of them bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
