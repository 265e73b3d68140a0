"""The widgets that pymmcore-gui and napari-micromanager consist of, without a screen."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDED = ("pymmcore_plus", "pymmcore_widgets", "PyQt6")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(module) for module in NEEDED),
    reason='needs `pip install "flamingo-link[micromanager]" pymmcore-widgets PyQt6`',
)
def test_widgets_drive_the_instrument() -> None:
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_API": "pyqt6", "PYTHONPATH": path}
    program = [sys.executable, str(HERE / "micromanager_widgets.py")]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if "libEGL" in done.stderr or "libGL" in done.stderr:
        pytest.skip(f"Qt cannot start here: {done.stderr.splitlines()[-1]}")
    assert done.stdout.strip() == "all widgets work", done.stdout + done.stderr
    assert done.returncode == 0
