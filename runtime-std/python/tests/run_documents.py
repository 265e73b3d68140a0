"""Runs every Python program of documents: each block that begins with three backticks and `python`.

    python run_documents.py FILE...

Of docs/linking.md only the section "Python" counts. Each program runs in a process of its own, in an empty folder.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## Python$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def programs(file: pathlib.Path) -> list[tuple[int, str]]:
    """The line where each program begins, and its text."""
    text = file.read_text(encoding="utf-8")
    section = SECTION.search(text)
    begin, end = section.span() if section else (0, len(text))
    return [(text.count("\n", 0, block.start()) + 2, block[1]) for block in BLOCK.finditer(text, begin, end)]


def run(program: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "error", "-c", program]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def main() -> None:
    failed = 0
    for name in sys.argv[1:]:
        file = pathlib.Path(name)
        found = programs(file)
        if not found:
            sys.exit(f"{file}: expected programs in Python, found none")
        for line, program in found:
            done = run(program)
            failed += done.returncode != 0
            print(f"{file.name}, line {line}: {'ok' if done.returncode == 0 else 'FAILED'}")
            if done.returncode != 0:
                print(done.stdout + done.stderr, file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
