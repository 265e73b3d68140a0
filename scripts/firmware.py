"""What the measuring scripts share: building the programs of a firmware package, and reading what
came of it. No figures and no limits live here."""

import os
import pathlib
import re
import subprocess
import sys

TARGET = "thumbv7em-none-eabihf"
CORE = pathlib.Path(__file__).resolve().parent.parent / "protocol-core"
FOOTPRINT = CORE / "examples/footprint"


def run(*command, **options):
    """What a command says; ends the script with what it complained of if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return done.stdout


def build(package, *options, target_dir="target", **environment):
    """Builds a package of firmware in release mode and gives the folder of its programs."""
    folder = package / target_dir
    run("cargo", "build", "--release", "--locked", "--target", TARGET, "--target-dir", folder,
        *options, cwd=package, env={**os.environ, **environment})
    return folder / TARGET / "release"


def sections(program):
    """Each section's (address, offset in the file, size) by its name."""
    rows = re.findall(r"^ +\[ *\d+\] (\.\S+) +\S+ +(\S+) (\S+) (\S+)",
                      run("readelf", "-SW", program), re.MULTILINE)
    return {name: tuple(int(value, 16) for value in values) for name, *values in rows}


def symbols(program):
    """(address, size, kind, name) of each symbol that has a place in the program."""
    rows = re.findall(r"^ +\d+: (\S+) +(\S+) (\S+) +\S+ +\S+ +\d+ (.+)$",
                      run("readelf", "-sWC", program), re.MULTILINE)
    return [(int(at, 16), int(size, 0), kind, name.strip()) for at, size, kind, name in rows]


def llvm(tool):
    """A tool of the component llvm-tools, of the Rust that is in use."""
    sysroot = pathlib.Path(run("rustc", "--print", "sysroot").strip())
    found = sorted(sysroot.glob(f"lib/rustlib/*/bin/{tool}"))
    if not found:
        sys.exit(f"{tool} is missing: rustup component add llvm-tools")
    return found[0]
