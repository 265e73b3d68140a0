"""Reads the commands and their outputs from Markdown pages, and compares outputs. Running them is in
document_session.py.

A block ```sh has commands without outputs. A block ```console has commands after "$ ", each followed by what it prints;
a line "…" stands for any lines. Times, rates and dates differ in each run; all other words and numbers must be equal:

    >>> same(["axis x  done in 812.4 ms"], ["axis x  done in 97.0 ms"])
    True
    >>> same(["axis x  7.5 mm"], ["axis x  7.6 mm"])
    False
    >>> same(["state  IDLE", "…", "end"], ["state IDLE", "a", "b", "end"])
    True
    >>> same(["…"], []) and same([], [])
    True
    >>> same(["12:00:01.250  moved"], ["09:59:59.001  moved"])
    True
"""

import dataclasses
import re
import shlex

FENCE = re.compile(r"^ *```(\w*)(.*)$")
ELLIPSIS = "…"
NUMBER = r"[0-9][0-9 ]*(?:\.[0-9]+)?"
# What differs in each run, and what it is replaced with before two lines are compared.
VARIABLE = [
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}[:-][0-9]{2}[:-][0-9]{2}([.-][0-9]+)?Z"), "TIME"),
    (re.compile(r"\b[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"), "TIME"),
    (re.compile(NUMBER + r" ?(ms|µs|s|images/s|frames/s|MB/s|MiB/s|GB/s|/s|h|min|GB|GiB|MB|MiB)(?![\w/])"), r"# \1"),
    (re.compile(r"(_ms|_us|_s|_per_s|_bytes)\":[0-9.]+"), r'\1":#'),
    (re.compile(r"-{3,}|─{3,}"), "---"),
    (re.compile(r"\s+"), " "),
]


@dataclasses.dataclass
class Command:
    """One command of a block: its line in the page, its text, and what it prints; None in a block without outputs."""

    line: int
    text: str
    output: list | None = None


@dataclasses.dataclass
class Block:
    line: int
    commands: list


def blocks(text):
    """The blocks of a page that have commands."""
    found, lines = [], text.splitlines()
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        at += 1
        if fence is None:
            continue
        first = at
        while at < len(lines) and not FENCE.match(lines[at]):
            at += 1
        body = list(enumerate(lines[first:at], first + 1))
        at += 1
        if fence.group(1) == "sh":
            found.append(Block(first, plain(body)))
        elif fence.group(1) == "console":
            found.append(Block(first, with_outputs(body)))
    return [block for block in found if block.commands]


def plain(lines):
    commands, continued = [], False
    for number, line in lines:
        text = line.strip()
        if continued:
            commands[-1].text += "\n" + text
        elif text and not text.startswith("#"):
            commands.append(Command(number, text))
        continued = text.endswith("\\")
    return commands


def with_outputs(lines):
    commands = []
    for number, line in lines:
        if line.startswith("$ "):
            commands.append(Command(number, line[2:].strip(), []))
        elif commands:
            commands[-1].output.append(line.rstrip())
        else:
            raise SystemExit(f"line {number}: an output without a command before it: {line!r}")
    return commands


def words(text):
    """The words of a command, without its comment. None if it is no simple command, such as a pipe."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return None


def normal(line):
    for pattern, replacement in VARIABLE:
        line = pattern.sub(replacement, line)
    return line.strip()


def same(expected, found):
    """Whether an output is the one that the page shows."""
    expected = [normal(line) for line in strip_empty(expected)]
    found = [normal(line) for line in strip_empty(found)]
    return matches(expected, found)


def strip_empty(lines):
    lines = list(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def matches(expected, found):
    if not expected:
        return not found
    if expected[0] == ELLIPSIS:
        return any(matches(expected[1:], found[at:]) for at in range(len(found) + 1))
    return bool(found) and expected[0] == found[0] and matches(expected[1:], found[1:])
