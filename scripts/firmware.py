"""Builds the programs of a firmware package and reads their sections and symbols, for the scripts that
measure. Figures and limits are in those scripts."""

import os
import pathlib
import re
import subprocess
import sys

TARGET = "thumbv7em-none-eabihf"
CORE = pathlib.Path(__file__).resolve().parent.parent / "protocol-core"
FOOTPRINT = CORE / "examples/footprint"


def run(*command, **options):
    """Returns the output of a command. If the command fails, the script ends."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return done.stdout


def build(package, *options, target_dir="target", **environment):
    """Builds a firmware package in release mode and returns the folder of its programs."""
    folder = package / target_dir
    run("cargo", "build", "--release", "--locked", "--target", TARGET, "--target-dir", folder,
        *options, cwd=package, env={**os.environ, **environment})
    return folder / TARGET / "release"


def sections(program):
    """(address, offset in the file, size) of each section, by its name."""
    rows = re.findall(r"^ +\[ *\d+\] (\.\S+) +\S+ +(\S+) (\S+) (\S+)",
                      run("readelf", "-SW", program), re.MULTILINE)
    return {name: tuple(int(value, 16) for value in values) for name, *values in rows}


def symbols(program):
    """(address, size, kind, name) of each symbol that has an address in the program."""
    rows = re.findall(r"^ +\d+: (\S+) +(\S+) (\S+) +\S+ +\S+ +\d+ (.+)$",
                      run("readelf", "-sWC", program), re.MULTILINE)
    return [(int(at, 16), int(size, 0), kind, name.strip()) for at, size, kind, name in rows]


def llvm(tool):
    """The path of a tool from the component llvm-tools of the current toolchain."""
    sysroot = pathlib.Path(run("rustc", "--print", "sysroot").strip())
    found = sorted(sysroot.glob(f"lib/rustlib/*/bin/{tool}"))
    if not found:
        sys.exit(f"{tool} is missing: rustup component add llvm-tools")
    return found[0]
