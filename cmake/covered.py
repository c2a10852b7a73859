# SPDX-License-Identifier: MIT
"""Whether tests reach each branch of the parsers and of the arithmetic on sizes.

    covered.py BUILD      a build with --coverage whose tests have run, from the top of the tree

Fails, naming lines, if a branch of these is never taken. Only their counts are read: those of code that other
threads ran while a test forked may not add up, and gcovr ends at one that does not.
"""

import json
import pathlib
import subprocess
import sys

# A file, or its part before a line that begins so.
PARSERS = {
    "src/io/names.c": None,
    "src/io/npy_descr.c": None,
    "src/io/npy_header.c": None,
    "src/io/npy_part.c": None,
    "src/io/npy_record.c": None,
    "src/io/npy_text.c": None,
    "src/io/safetensors_header.c": None,
    "src/io/zip_read.c": None,
    "src/size.h": None,
    "src/slice.c": "/* The ops ---",
}


def last_line(path, end):
    """Of the part that is meant."""
    for number, line in enumerate(pathlib.Path(path).read_text().split("\n"), 1):
        if end and line.startswith(end):
            return number
    assert not end, f"{path}: no line begins with {end}"
    return number


def counts(build):
    """By file: gcovr's lines."""
    command = ["gcovr", "--root", ".", "--branches", "--exclude-unreachable-branches", "--json"]
    for path in PARSERS:
        command += ["--filter", path, "--gcov-filter", rf".*\b{pathlib.Path(path).name}##"]
    report = subprocess.run([*command, build], check=True, stdout=subprocess.PIPE).stdout
    return {each["file"]: each["lines"] for each in json.loads(report)["files"]}


def main():
    measured = counts(sys.argv[1])
    n_missing = 0
    for path, end in PARSERS.items():
        last = last_line(path, end)
        lines = [line for line in measured.get(path, []) if line["line_number"] <= last and not line.get("gcovr/noncode")]
        branches = [branch["count"] for line in lines for branch in line["branches"]]
        missing = [str(line["line_number"]) for line in lines
                   if not line["count"] or any(branch["count"] == 0 for branch in line["branches"])]
        n_missing += len(missing) + (not lines)
        taken = sum(count > 0 for count in branches)
        print(f"{path}: {taken} of {len(branches)} branches" + (": not all of lines " + ", ".join(missing) if missing else ""))
    return n_missing > 0


if __name__ == "__main__":
    sys.exit(main())
