"""Builds the programs that the scripts run, with the settings of builds that `.ci/run` has made before, so that nothing
is built twice. Firmware is in firmware.py, benchmarks are in `benchmarks`."""

import os
import pathlib
import subprocess

CLONE = pathlib.Path(__file__).resolve().parent.parent
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", CLONE / "target")) / "debug"


def flamingo():
    """The program `flamingo`, as `cargo build` builds it."""
    build("-p", "flamingo-cli", "--bin", "flamingo")
    return FOLDER / "flamingo"


def example(name):
    """An example, as `cargo test --workspace` builds it."""
    build("--workspace", "--profile", "test", "--example", name)
    return FOLDER / "examples" / name


def build(*what):
    subprocess.run(["cargo", "build", "-q", "--locked", *what], cwd=CLONE, check=True)
