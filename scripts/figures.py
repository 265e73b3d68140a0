"""Keeps the figures in docs/embedded.md equal to what the scripts measure. Each script owns one table
there, between two comments. What is measured, and the limits, are in those scripts."""

import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/embedded.md"
WRITE = "--write"


def spaced(number):
    """12345 as 12 345."""
    return f"{number:,}".replace(",", " ")


def keep(script, heads, rows, write):
    """Writes the table of a script into the page; or compares it with the page, and fails if they
    differ."""
    lines = [heads, ["---"] * len(heads), *rows]
    table = "".join("| " + " | ".join(line) + " |\n" for line in lines).replace("| --- |", "|---|").replace(" --- |", "---|")
    begin, end = f"<!-- begin: written by scripts/{script} {WRITE} -->\n", f"<!-- end of scripts/{script} -->\n"
    page = PAGE.read_text()
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"{PAGE}: the comments of scripts/{script} are missing")
    before, rest = page.split(begin)
    shown, after = rest.split(end)
    if shown == table:
        return
    if write:
        PAGE.write_text(before + begin + table + end + after)
        return
    sys.exit(f"{PAGE.name} shows other figures: run scripts/{script} {WRITE}\nexpected:\n{table}found:\n{shown}")
