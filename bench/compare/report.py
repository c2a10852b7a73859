# SPDX-License-Identifier: MIT
"""The result of a comparison: a page of tables, a plot, and the medians as JSON."""

import json
import math
import os
import platform
import subprocess
import time

from cases import AT_MOST, KINDS

OURS, LIMITS, EAGER, BEST = "libtensorvar", "limits", "PyTorch eager", "PyTorch best"
COLUMNS = {"eager": "over eager", "T": "over T", "jit": "over compile, JAX", "numexpr": "over numexpr",
           "any": "over the best peer", "limit": "of the limit"}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def time_text(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def plural(threads):
    return "one thread" if str(threads) == "1" else f"{threads} threads"


# Goals -------------------------------------------------------------------------------------------------


def median(found, *names):
    """The least of the medians of these peers that were timed; None if none was."""
    there = [found[name]["median"] for name in names if name in found]
    return min(there) if there else None


def value_of(kind, case, found, comparison, threads):
    """What a goal is held against; None if it was not measured."""
    ours = found[OURS]["median"]
    peers = {"eager": (EAGER,), "T": (EAGER, BEST), "jit": ("torch.compile", "JAX"), "numexpr": ("numexpr",),
             "any": [name for name in found if name not in (OURS, LIMITS)]}
    if kind in peers:
        theirs = median(found, *peers[kind])
        return theirs / ours if theirs else None
    if kind in ("limit", "sgemm"):
        limit = median(found, LIMITS)
        return limit * case.traffic / ours if limit else None
    if kind == "ns":
        return ours * 1e9
    if kind == "normal":
        normal = comparison.results.get("adam/1e6", {}).get(str(threads), {}).get(OURS)
        return ours / normal["median"] if normal else None
    memory = comparison.memory.get(str(threads), {})
    return memory[OURS] / memory[EAGER] if EAGER in memory else None


class Line:
    """A case at a number of threads: the ratios, and which goals they meet."""

    def __init__(self, case, threads, comparison):
        self.case, self.threads = case, threads
        self.found = comparison.results[case.name][str(threads)]
        self.goals = case.goals_at(threads)
        wanted = [kind for kind in KINDS if kind in self.goals or kind in COLUMNS]
        if case.limit in ("", "sgemm"):
            wanted.remove("limit")
        self.values = {kind: value_of(kind, case, self.found, comparison, threads) for kind in wanted}

    def met(self, kind):
        value, goal = self.values[kind], self.goals[kind]
        return None if value is None else value <= goal if kind in AT_MOST else value >= goal

    def cell(self, kind):
        value = self.values.get(kind)
        if kind not in self.goals:
            return "" if value is None else f"{value:.2f}"
        bound = f"{'≤' if kind in AT_MOST else '≥'} {self.goals[kind]:g}"
        if value is None:
            return f"not measured, {bound}"
        shown = f"{value:.0f}" if kind == "ns" else f"{value:.2f}"
        return f"**{shown}** {bound} met" if self.met(kind) else f"**{shown}** {bound} **not met**"


def lines_of(comparison):
    for threads in (2, 1):
        for case in comparison.cases:
            if OURS in comparison.results.get(case.name, {}).get(str(threads), {}):
                yield Line(case, threads, comparison)


# The page ----------------------------------------------------------------------------------------------


def machine():
    """The computer in words: no names of hosts or folders."""
    said = {}
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            said.setdefault(key.strip(), value.strip())
    with open("/proc/meminfo") as lines:
        memory = int(next(lines).split()[1]) / (1 << 20)
    caches = []
    for index in range(8):
        try:
            where = f"/sys/devices/system/cpu/cpu0/cache/index{index}/"
            level, size = (open(where + name).read().strip() for name in ("level", "size"))
            if level != "1":
                caches.append(f"L{level} {size}")
        except OSError:
            break
    system = {}
    with open("/etc/os-release") as lines:
        for line in lines:
            key, _, value = line.partition("=")
            system[key] = value.strip().strip('"')
    vectors = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in said.get("flags", "").split()]
    return (f"{said.get('model name', platform.machine())} (family {said.get('cpu family', '?')}, model "
            f"{said.get('model', '?')}), {os.cpu_count()} processors, {', '.join(vectors)}, {', '.join(caches)}, "
            f"{memory:.0f} GiB, {system.get('PRETTY_NAME', platform.system())}")


def commit():
    told = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return told.stdout.strip()


def table(head, rows):
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + " --- |" * len(head), *lines[1:], ""]


def goal_tables(lines):
    text = []
    for threads in (2, 1):
        rows, others = [], []
        for line in (one for one in lines if one.threads == threads):
            ours = line.found[OURS]
            if any(kind in line.goals for kind in COLUMNS) or not line.goals:
                rows.append([line.case.name, time_text(ours["median"])] + [line.cell(kind) for kind in COLUMNS])
            for kind in line.goals:
                if kind not in COLUMNS:
                    others.append([line.case.name, KINDS[kind], line.cell(kind)])
        if rows:
            text += [f"## {plural(threads).capitalize()}", ""] + table(["work", "ours", *COLUMNS.values()], rows)
        if others:
            text += [f"Other goals, {plural(threads)}:", ""] + table(["work", "what", "value and goal"], others)
    return text


def all_medians(comparison, lines):
    names = [name for name in (OURS, *comparison.peers) if any(name in line.found for line in lines)]
    text = ["## Medians and quartiles", "", "Time of a call; of several variants the fastest.", ""]
    for threads in (2, 1):
        rows = []
        for line in (one for one in lines if one.threads == threads):
            row = [line.case.name]
            for name in names:
                figures = line.found.get(name)
                low, high = figures["quartiles"] if figures else (0, 0)
                variant = figures and figures["variant"] not in ("", "plain", "jit") and f" ({figures['variant']})"
                row.append(f"{time_text(figures['median'])} [{time_text(low)}, {time_text(high)}]{variant or ''}"
                           if figures else "")
            rows.append(row)
        if rows:
            text += [f"{plural(threads).capitalize()}:", ""] + table(["work", *names], rows)
    return text


def limits(comparison, lines):
    rows = []
    for line in lines:
        figures = line.found.get(LIMITS)
        if figures and line.case.name in ("broadcast/1e7", "relu/1e7", "add/1e7", "sum/1e7"):
            arrays = {"fill": 1, "copy": 2, "triad": 3, "read": 1}[line.case.limit]
            rows.append([line.case.limit, plural(line.threads), f"{arrays * 4e7 / figures['median'] / 1e9:.1f} GB/s"])
    return ["## Limits of this computer, in the same run", "", "10^7 floats an array, stores past the caches.", "",
            *table(["what", "threads", "bytes read and written"], rows)] if rows else []


def steady_state(comparison, lines):
    rows = [[line.case.name, plural(line.threads), f"{line.found[OURS]['page_faults_per_call']:g}",
             f"{line.found[OURS]['bytes_from_system']}",
             *(f"{line.found[name]['page_faults_per_call']:g}" if name in line.found else "" for name in (EAGER, BEST))]
            for line in lines if line.case.group.startswith("training")]
    text = []
    if rows:
        text += ["## Steady-state training", "", "Page faults a step in the worst round, and bytes that libtensorvar's "
                 "allocator asked of the system during all timed steps.", ""]
        text += table(["work", "threads", "ours, faults", "ours, bytes", "eager, faults", "T, faults"], rows)
    if comparison.memory:
        names = [name for name in (OURS, *comparison.peers) if any(name in of for of in comparison.memory.values())]
        text += ["Peak memory of each process after all training steps, start included (MiB); PyPI's PyTorch for Linux "
                 "is its build for CUDA, of which no device is used:", ""]
        text += table(["threads", *names], [[plural(threads), *(f"{found[name] / 2**20:.0f}" if name in found else ""
                                                                for name in names)]
                                            for threads, found in comparison.memory.items()])
    return text


ABOUT = """
Ratios are times of the other library over ours: above 1, ours is faster. *eager* is PyTorch as installed, with the
threads set. *T* is PyTorch at its best: the fastest of eager, memory kept by glibc, results written into `out=`, its
own fused ops and optimizers. JAX is jitted and waited for, with donated state; TensorFlow is the fastest of eager,
`tf.function` and XLA. Every result is held against NumPy in float64 before it is timed, and kept while the next is
computed, as `r = f()` does. Processes are timed in turn, several rounds each; those 10 times slower than ours get two.
The limit is the time to move as many bytes without computing; ours may use the shared cache and come above 1.
One-element figures of the peers are from Python.
"""


def circumstances(comparison):
    minutes = f"{(time.time() - comparison.begun) / 60:.1f} minutes"
    text = [minutes + (", a short run (`--quick`)" if comparison.args.quick else "") +
            f"; other processes took {100 * comparison.disturbed:.0f} % of the processors meanwhile.", ""]
    if comparison.disturbed > 0.05:
        text += ["**The computer was not idle: these figures are no evidence.** Libraries whose threads wait for one "
                 "another by watching (OpenMP's) then lose whole slices of the scheduler at every barrier.", ""]
    return text


def page(comparison, lines, plot):
    goals = [(line, kind) for line in lines for kind in line.goals if line.values[kind] is not None]
    missed = [(line, kind) for line, kind in goals if not line.met(kind)]
    text = [f"# libtensorvar beside other libraries, {comparison.args.date}", "", f"{machine()}.", ""]
    text += ["Versions: " + ", ".join(f"{name} {version}" for name, version in comparison.versions.items() if version) +
             f"; OpenBLAS kernels of libtensorvar: {comparison.blas['kernel'] or 'none'}; commit {commit()}.", ""]
    text += circumstances(comparison)
    text += [f"![ratios]({plot})", "", f"**{len(goals) - len(missed)} of {len(goals)} goals met.**", ""]
    if missed:
        text += ["Not met:", ""] + table(["work", "threads", "held against", "value and goal"], [
            [line.case.name, plural(line.threads), KINDS[kind], line.cell(kind)] for line, kind in missed])
    text += ABOUT.strip().splitlines() + [""]
    text += goal_tables(lines) + steady_state(comparison, lines) + limits(comparison, lines)
    text += all_medians(comparison, lines)
    if comparison.notes:
        text += ["## Left out, and other notes", ""] + [f"* {note}" for note in comparison.notes] + [""]
    return "\n".join(text)


# The plot ----------------------------------------------------------------------------------------------

SERIES = {"eager": ("PyTorch eager", "#1b6ca8"), "T": ("PyTorch at its best", "#c0392b"),
          "jit": ("best of torch.compile and JAX", "#27864b"), "numexpr": ("numexpr", "#8e6bbf")}


def svg(lines):
    """Ratios on a logarithmic axis, a dot for each peer and a bar for its goal; two threads."""
    lines = [line for line in lines if line.threads == 2 and any(line.values.get(kind) for kind in SERIES)]
    left, width, row, top = 150, 720, 17, 64
    height = top + row * len(lines) + 40
    low, high = -1, 2  # powers of 10

    def x(value):
        return left + width * (min(max(math.log10(value), low), high) - low) / (high - low)

    size = f'width="{left + width + 30}" height="{height}"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
           f'<rect {size} fill="white"/>',
           f'<text x="{left}" y="18" font-size="14">Time of other libraries over libtensorvar\'s, two threads '
           '(dot: ratio; bar: goal)</text>']
    for k, (label, colour) in enumerate(SERIES.values()):
        out.append(f'<circle cx="{left + 6 + 185 * k}" cy="36" r="4" fill="{colour}"/>'
                   f'<text x="{left + 14 + 185 * k}" y="40">{label}</text>')
    for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        colour = "#444" if mark == 1 else "#ddd"
        out.append(f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{top - 8}" y2="{height - 30}" stroke="{colour}"/>'
                   f'<text x="{x(mark):.1f}" y="{height - 14}" text-anchor="middle">{mark:g}</text>')
    for k, line in enumerate(lines):
        y = top + row * k + 4
        out.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{line.case.name}</text>')
        for kind, (_, colour) in SERIES.items():
            if kind in line.goals:
                at = x(line.goals[kind])
                out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 7}" y2="{y + 7}" stroke="{colour}" '
                           'stroke-width="2"/>')
            if line.values.get(kind):
                at = x(line.values[kind])
                out.append(f'<circle cx="{at:.1f}" cy="{y}" r="4" fill="{colour}" fill-opacity=".8"/>')
    return "\n".join(out + ["</svg>", ""])


def write(comparison, path):
    lines = list(lines_of(comparison))
    with open(path + ".json", "w") as out:
        json.dump({"date": comparison.args.date, "machine": machine(), "versions": comparison.versions,
                   "commit": commit(), "disturbed": comparison.disturbed, "memory": comparison.memory,
                   "notes": comparison.notes, "results": comparison.results}, out, indent=1)
        out.write("\n")
    with open(path + ".svg", "w") as out:
        out.write(svg(lines))
    with open(path + ".md", "w") as out:
        out.write(page(comparison, lines, os.path.basename(path) + ".svg"))
    print(f"compare: {path}.md")
