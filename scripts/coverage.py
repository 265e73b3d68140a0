"""Sums up a coverage report (the JSON of llvm-cov) over protocol-core/src, without tests.

A generic function is compiled several times: a branch or a line counts as run if it ran in one of
its copies. Each condition has two branches. Only lines at which a region of code begins are counted.
"""

import collections
import json
import pathlib
import re
import sys


def wanted(name):
    path = pathlib.PurePath(name)
    apart = path.stem.endswith("_tests") or "model" in path.parts
    return "protocol-core/src/" in name and not apart


def tests_begin(source):
    """The number of the line at which the tests of a file begin."""
    marks = [n for n, line in enumerate(source, 1) if re.match(r"mod tests\b", line)]
    return marks[0] if marks else len(source) + 1


def main():
    data = json.load(open(sys.argv[1]))["data"][0]
    sources = {}
    branches = collections.defaultdict(lambda: [0, 0])
    lines = collections.defaultdict(int)

    def source(name):
        if name not in sources:
            text = open(name).read().split("\n")
            sources[name] = (text, tests_begin(text))
        return sources[name]

    for function in data["functions"]:
        files = function["filenames"]
        for row, column, end, _, taken, not_taken, file, *_ in function["branches"]:
            name = files[file]
            if wanted(name) and row < source(name)[1]:
                counts = branches[name, row, column]
                counts[0] += taken
                counts[1] += not_taken
        for row, column, _, _, count, file, _, kind in function["regions"]:
            name = files[file]
            if kind == 0 and wanted(name) and row < source(name)[1]:
                lines[name, row] += count

    table = collections.defaultdict(lambda: [0, 0, 0, 0])
    missed = []
    for (name, row, column), counts in sorted(branches.items()):
        table[name][0] += sum(count > 0 for count in counts)
        table[name][1] += 2
        for count, which in zip(counts, ("true", "false")):
            if count == 0:
                missed.append((name, row, f"never {which}"))
    for (name, row), count in sorted(lines.items()):
        table[name][2] += count > 0
        table[name][3] += 1
        if count == 0:
            missed.append((name, row, "never run"))

    def percent(part, whole):
        return f"{part}/{whole} {100 * part / whole:5.1f} %" if whole else "-"

    print(f"{'protocol-core/src':20} {'branches':>16} {'lines':>18}")
    for name, (b, of_b, l, of_l) in sorted(table.items()):
        short = name.split("protocol-core/src/")[1]
        print(f"{short:20} {percent(b, of_b):>16} {percent(l, of_l):>18}")
    b, of_b, l, of_l = (sum(row[i] for row in table.values()) for i in range(4))
    print(f"{'all':20} {percent(b, of_b):>16} {percent(l, of_l):>18}")
    for name, row, why in sorted(missed):
        short = name.split("protocol-core/src/")[1]
        print(f"{short}:{row}: {why}: {source(name)[0][row - 1].strip()}")


main()
