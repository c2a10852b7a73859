#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libtensorvar beside other libraries, in one run: ./dev bench, or by hand

    compare.py [--quick] [--only PATTERN] [--out FOLDER] [--build FOLDER] [--python PYTHON]

One process per library and number of threads lives through the run. For each case every one of them first computes
the result, which is held against NumPy in float64; then they are timed in turn, several rounds. Medians, quartiles and
ratios go to FOLDER/<date>-compare.md, .json and .svg. The exit status is 1 if a result of libtensorvar is wrong."""

import argparse
import datetime
import fnmatch
import json
import os
import resource
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

# Memory kept by glibc: of the peers PyTorch at its best alone is given that.
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)}
OURS, LIMITS = "libtensorvar", "limits"
PEERS = {
    "NumPy": "numpy",
    "PyTorch eager": "torch",
    "PyTorch best": "torch:best",
    "torch.compile": "torch:compile",
    "JAX": "jax",
    "TensorFlow": "tensorflow",
    "numexpr": "numexpr",
}
PATIENCE = 240  # seconds for one answer: a compilation is among them


class Gone(Exception):
    """A worker that ended, or did not answer in time."""


class Refused(Exception):
    """A worker that cannot do what it was told."""


class Worker:
    """A process that answers lines of JSON."""

    def __init__(self, name, command, environment, log):
        self.name, self.wrong, self.rest = name, "", b""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                        env=environment, cwd=tempfile.gettempdir())

    def begin(self):
        self.hello = self.answer()

    def answer(self):
        until = time.monotonic() + PATIENCE
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            got = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not got:
                self.end()
                raise Gone(f"{self.name}: {'ended' if ready else f'no answer for {PATIENCE} s'}")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        said = json.loads(line)
        if not said["ok"]:
            raise Refused(said["why"])
        return said

    def ask(self, what, **more):
        if self.process.poll() is not None:
            raise Gone(f"{self.name}: ended")
        line = json.dumps({"do": what, **{key: str(value) for key, value in more.items()}}, separators=(",", ":"))
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Gone(f"{self.name}: ended") from None
        return self.answer()

    def rest_until(self, limit):
        """Wait until none of its threads runs: those of OpenBLAS and OpenMP watch for work for a while, on processors
        that the next worker is to have."""
        tasks = f"/proc/{self.process.pid}/task"
        until, quiet = time.monotonic() + limit, 0
        while quiet < 2 and time.monotonic() < until:
            time.sleep(0.001)
            try:
                states = []
                for task in os.listdir(tasks):
                    with open(f"{tasks}/{task}/stat") as stat:
                        states.append(stat.read().rsplit(")", 1)[1].split()[0])
                quiet = 0 if "R" in states else quiet + 1
            except OSError:  # a thread that ended meanwhile
                quiet = 0

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment(threads, peer=""):
    """Without what this computer's environment says to some libraries and not to others."""
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(("OPENBLAS", "OMP_", "GOMP_", "MKL_", "MALLOC_", "TV_", "XLA_", "JAX_", "TF_"))}
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        clean[f"{library}_NUM_THREADS"] = str(threads)
    clean.update(NUMEXPR_MAX_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="",
                 JAX_PLATFORMS="cpu", NPROC=str(threads), PYTHONDONTWRITEBYTECODE="1")
    if peer == "torch:best":
        clean.update(KEPT_MEMORY)
    return clean


def busy_seconds():
    """Of all processors, since the start of the computer."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = (int(field) for field in stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Of this process and the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Comparison:
    def __init__(self, args, folder, cases):
        self.args, self.folder, self.cases = args, folder, cases
        self.results = {}  # case, then threads, then peer: figures
        self.notes = []  # what was left out, and why
        self.versions, self.memory = {}, {}
        self.peers, self.begun = list(PEERS), time.time()
        self.disturbed = 0.0  # share of the processors' time that other processes took
        self.ours_is_wrong = False
        self.log = open(os.path.join(folder, "log"), "wb")  # what libraries print

    def note(self, text):
        print(f"compare: {text}", file=sys.stderr, flush=True)
        self.notes.append(text)

    # Workers ------------------------------------------------------------------------------------------

    def start(self, threads):
        """All workers with so many threads; those that do not start are noted and left out."""
        programs = os.path.join(self.args.build, "bench", "compare")
        ours = Worker(OURS, [os.path.join(programs, "compare_work"), self.folder, str(threads)], environment(threads),
                      self.log)
        ours.begin()
        self.blas = ours.hello
        with_kernel = environment(threads)
        if self.blas["kernel"]:
            with_kernel["OPENBLAS_CORETYPE"] = self.blas["kernel"]
        limits = Worker(LIMITS, [os.path.join(programs, "compare_limits"), str(threads)] +
                        ([self.blas["blas"]] if self.blas["kernel"] else []), with_kernel, self.log)
        self.versions[OURS] = self.blas["version"]
        workers = [ours, limits]
        for name, peer in PEERS.items():
            workers.append(Worker(name, [self.args.python, os.path.join(HERE, "peers", "serve.py"), peer, self.folder,
                                         str(threads)], environment(threads, peer), self.log))
        there = [ours]
        for worker in workers[1:]:
            try:
                worker.begin()
                there.append(worker)
                self.versions[worker.name] = worker.hello.get("version", "")
            except (Gone, Refused) as wrong:
                self.note(f"{worker.name} is left out: {wrong}")
                worker.end()
        return there

    # One case -----------------------------------------------------------------------------------------

    def is_right(self, case, path, want):
        import numpy as np

        got = np.load(path, mmap_mode="r")
        got = got[::case.every] if case.every > 1 else got
        if got.shape != want.shape:
            return f"shape {got.shape}, expected {want.shape}"
        relative, absolute = case.tolerance
        got, want = np.ravel(got), np.ravel(want)
        n_bad, worst, chunk = 0, 0.0, 1 << 17  # elements at a time: what fits into the cache
        for first in range(0, want.size, chunk):
            right = want[first:first + chunk]
            off = np.abs(got[first:first + chunk] - right)
            bad = ~(off <= relative * np.abs(right) + absolute)
            if bad.any():
                n_bad, worst = n_bad + int(bad.sum()), max(worst, float(np.nanmax(off)))
        return f"{n_bad} of {want.size} elements are off, by up to {worst:.3g}" if n_bad else ""

    def prepare(self, case, worker, want, threads):
        """The variants of a worker that give the right result."""
        if worker.name == LIMITS:
            if not case.limit:
                return []
            worker.ask("prepare", op=case.limit, size=case.size)
            worker.ask("check", path="")
            return [""]
        right = []
        path = os.path.join(self.folder, "result.npy")
        variants = worker.ask("prepare", op=case.op, size=case.size)["variants"]
        for variant in variants:
            try:
                worker.ask("check", variant=variant, path=path)
                wrong = self.is_right(case, path, want)
            except Refused as refused:
                wrong = str(refused)
            if not wrong:
                right.append(variant)
                continue
            self.note(f"{case.name}, {threads} threads: {worker.name} {variant or ''} is left out: {wrong}")
            if worker.name == OURS:
                self.ours_is_wrong = True
        return right

    def time(self, case, workers, threads):
        seconds = 0.01 if self.args.quick else 0.03
        rounds = 3 if self.args.quick or threads == 1 else 5
        samples, faults, busy = {}, {}, {}
        live = [(worker, variant) for worker, variants in workers for variant in variants]
        done = 0
        while done < rounds and live:
            turn = live[done % len(live):] + live[:done % len(live)]
            for worker, variant in turn:
                try:
                    said = worker.ask("time", variant=variant, seconds=seconds)
                    worker.rest_until(0.3)
                except (Gone, Refused) as wrong:
                    self.note(f"{case.name}, {threads} threads: {worker.name} {variant}: {wrong}")
                    live = [one for one in live if one != (worker, variant)]
                    continue
                key = (worker.name, variant)
                samples.setdefault(key, []).append(said["seconds"] / case.per)
                faults.setdefault(key, []).append((said["faults"] / said["calls"], said.get("held", 0)))
                busy.setdefault(key, []).append(said["processors"])
            done += 1
            best = {}
            for (name, _), times in samples.items():
                best[name] = min(best.get(name, times[0]), *times)
            if done >= 2:  # what is far behind, or not the best of its library, gets fewer calls
                ours = best.get(OURS, 0)
                live = [(worker, variant) for worker, variant in live
                        if min(samples[worker.name, variant]) < 10 * ours and
                        min(samples[worker.name, variant]) < 1.4 * best[worker.name]]
                if ours * case.per > 0.15:
                    break
        for (name, variant), processors in busy.items():
            if min(processors) > 1.3 * threads:
                self.note(f"{case.name}, {threads} threads: {name} {variant} keeps {min(processors):.1f} "
                          "processors busy")
        return samples, faults

    def run_case(self, case, workers, threads):
        want = case.want(self.folder)
        ready = []
        for worker in workers:
            try:
                variants = self.prepare(case, worker, want, threads)
            except Refused as refused:
                variants = []
                self.note(f"{case.name}, {threads} threads: {worker.name} is left out: {refused}")
                if worker.name == OURS and "no such op" not in str(refused):
                    self.ours_is_wrong = True
            except Gone as gone:
                variants = []
                self.note(f"{case.name}, {threads} threads: {gone}")
                if worker.name == OURS:
                    self.ours_is_wrong = True
            if worker.name == OURS and not variants:
                worker.process.poll() is None and worker.ask("drop")
                return
            if variants:
                ready.append((worker, variants))
        samples, faults = self.time(case, ready, threads)
        found = self.results.setdefault(case.name, {}).setdefault(str(threads), {})
        for (name, variant), times in samples.items():
            quartiles = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
            figures = {"variant": variant, "median": statistics.median(times), "least": min(times),
                       "quartiles": [quartiles[0], quartiles[2]], "rounds": len(times),
                       "page_faults_per_call": round(max(f for f, _ in faults[name, variant]), 3)}
            if name == OURS:
                figures["bytes_from_system"] = sum(max(0, held) for _, held in faults[name, variant])
            if name not in found or figures["median"] < found[name]["median"]:
                found[name] = figures
        for worker in workers:
            if worker.process.poll() is None:
                worker.ask("drop")
        self.tell(case, threads, found)

    def tell(self, case, threads, found):
        ours = found.get(OURS)
        if ours:
            others = ", ".join(f"{name} {figures['median'] / ours['median']:.2f}" for name, figures in found.items()
                               if name != OURS)
            since, took = time.time() - self.begun, ours["median"] * 1e6
            print(f"{since:5.0f} s {case.name:16} {threads} {took:12.3f} us; {others}", file=sys.stderr,
                  flush=True)

    def run(self):
        import cases

        busy, own = busy_seconds(), own_seconds()
        wanted = {}
        for case in self.cases:
            wanted.setdefault(case.size, set()).update(case.operands())
        for size, operands in wanted.items():
            cases.write_inputs(self.folder, size, operands)
        for threads in (2, 1):
            chosen = [case for case in self.cases if threads in case.threads]
            if not chosen:
                continue
            workers = self.start(threads)
            try:
                steps = True
                for case in chosen:
                    if steps and case.group != chosen[0].group:
                        self.measure_memory(chosen[0], workers, threads)
                        steps = False
                    self.run_case(case, workers, threads)
                    workers = [w for w in workers if w.process.poll() is None]
            finally:
                for worker in workers:
                    worker.end()
        others = busy_seconds() - busy - (own_seconds() - own)
        self.disturbed = max(0, others) / (time.time() - self.begun) / os.cpu_count()

    def measure_memory(self, case, workers, threads):
        if "memory" in case.goals:
            self.memory[str(threads)] = {w.name: w.ask("peak")["bytes"] for w in workers if w.name != LIMITS}


def scratch():
    """Where inputs and results lie, 1.5 GB: in memory if there is room."""
    memory = "/dev/shm"
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > 3 << 30 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", metavar="PATTERN", help="cases such as 'add/*'")
    parser.add_argument("--out", metavar="FOLDER", default=os.path.join(ROOT, "bench", "results"))
    parser.add_argument("--build", metavar="FOLDER", default=os.path.join(ROOT, "build", "bench"))
    parser.add_argument("--python", help="a Python that has the peers; else TV_BENCH_PYTHON, else this one")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="for the names of the results")
    args = parser.parse_args()
    args.python = args.python or os.environ.get("TV_BENCH_PYTHON") or sys.executable
    if not os.environ.get("TV_COMPARE_STARTED"):  # under that Python, which has the NumPy that checks need
        os.environ.update(KEPT_MEMORY, TV_COMPARE_STARTED="1")
        os.execv(args.python, [args.python, os.path.abspath(__file__), *sys.argv[1:]])
    args.out, args.build = os.path.abspath(args.out), os.path.abspath(args.build)
    os.makedirs(args.out, exist_ok=True)

    import cases
    import report

    chosen = [case for case in cases.all_cases() if not args.only or fnmatch.fnmatch(case.name, args.only)]
    if not chosen:
        sys.exit(f"compare: no case is called {args.only}")
    folder = tempfile.mkdtemp(prefix="compare-", dir=scratch())
    comparison = Comparison(args, folder, chosen)
    try:
        comparison.run()
    finally:
        shutil.rmtree(folder)
    report.write(comparison, os.path.join(args.out, f"{args.date}-compare"))
    if comparison.ours_is_wrong:
        sys.exit("compare: a result of libtensorvar is wrong; see the notes")


if __name__ == "__main__":
    main()
