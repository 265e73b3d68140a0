"""The programs of docs/micromanager.md run as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pymmcore_plus", reason='needs `pip install "flamingo-link[micromanager]"`')

PAGE = Path(__file__).parents[3] / "docs" / "micromanager.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documents are not here")
def test_the_programs_of_the_page_run() -> None:
    programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert programs
    for program in programs:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, program + done.stderr
        assert "WARNING" not in done.stderr, done.stderr
        assert done.stdout.count("'z': ") >= 10, done.stdout
