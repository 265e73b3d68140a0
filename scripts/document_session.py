"""Runs the commands of one Markdown page as its reader would: in an empty folder, on a computer with an instrument at
10.0.0.5 behind `eth0`, and a simulated instrument on the default port of 127.0.0.1. Reading the page is in
document_blocks.py.

The computer and the instrument are network namespaces, so that the addresses of the page are right, and so that nothing
outside is reached. A command that serves until Ctrl-C goes on while the next ones run: to the end of its block, or, if it
is the only one of its block, to the end of the page. So does a command with the comment "in a terminal of its own"; it
must end by itself.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import document_blocks

PATIENCE = 150  # seconds for one command
INSTRUMENT = "10.0.0.5"
# The workflow file that pages call stack.txt.
WORKFLOW = "runtime-std/testkit/src/workflow.txt"
SERVERS = {"sim", "bridge", "record", "replay", "ui"}
ENDED_BY = {"watch": ("--count", "--for"), "live": ("--count", "--for", "--idle", "--snapshot")}
# Programs that a page names, and what stands for them here.
SHIMS = {
    # `cargo run` in the repository runs the program; every other call is cargo itself.
    "cargo": 'if [ "$1" = run ]; then shift; while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done; shift; exec flamingo "$@"; fi\n'
             'echo "cargo $*: not run here" >&2; exit 1',
    # The window of Wireshark, without a display: the same dissector, the same file.
    "wireshark": 'exec tshark "${@:1:$#-1}" -r "${@: -1}"',
}


class Failed(Exception):
    """A command that did not do what its page says."""


class Network:
    """A namespace for the instrument, connected with this one."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep infinity"],
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.there = ["nsenter", "-t", str(self.holder.pid), "-n"]
        peer = str(self.holder.pid)
        for command in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peer],
            ["ip", "addr", "add", "10.0.0.2/8", "dev", "eth0"],
            ["ip", "link", "set", "eth0", "up"],
            [*self.there, "ip", "addr", "add", f"{INSTRUMENT}/8", "dev", "eth0"],
            [*self.there, "ip", "link", "set", "eth0", "up"],
            [*self.there, "ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Server:
    """A command that serves until Ctrl-C."""

    def __init__(self, command, session, text):
        self.command = command
        self.log = open(session.folder.parent / f"server-{command.line}-{time.monotonic_ns()}", "w+b")
        self.child = subprocess.Popen(["bash", "-c", text], cwd=session.folder, env=session.environment,
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                      start_new_session=True)
        session.started.append(self.child)
        self.wait_until_ready(time.monotonic() + 20)

    def wait_until_ready(self, end):
        """Waits until it listens or is connected, and has printed what it prints at its start."""
        while self.child.poll() is None and not has_socket(self.child.pid):
            if time.monotonic() > end:
                raise Failed(f"line {self.command.line}: {self.command.text!r} opens no connection")
            time.sleep(0.02)
        time.sleep(0.3)

    def end(self):
        """Presses Ctrl-C, unless it ends by itself; it must end with 0. The lines that it printed."""
        if self.child.poll() is None and not ends_by_itself(self.command):
            os.killpg(self.child.pid, signal.SIGINT)
        try:
            code = self.child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            raise Failed(f"line {self.command.line}: {self.command.text!r} does not end after Ctrl-C") from None
        self.log.seek(0)
        printed = self.log.read().decode(errors="replace")
        # Ctrl-C reaches both sides of a pipe, and a reader that is interrupted says so.
        if code != 0 and not ("|" in self.command.text and code == 130):
            raise Failed(f"line {self.command.line}: {self.command.text!r} ended with {code}:\n{printed}")
        return printed.splitlines()


def shows_error(command):
    """Whether the page shows that this command fails."""
    return any("error: " in line for line in command.output or [])


def ends_by_itself(command):
    return "in a terminal of its own" in command.text and not Session.serves(command)


def has_socket(pid):
    """Whether a process of this group listens on a TCP port, is connected to one, or captures packets."""
    tcp = {}
    for name in ("tcp", "tcp6", "packet"):
        try:
            rows = pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for row in rows:
            parts = row.split()
            if name == "packet":
                tcp[parts[-1]] = True
            elif parts[3] in ("01", "0A"):
                tcp[parts[9]] = True
    for process in group(pid):
        for handle in pathlib.Path(f"/proc/{process}/fd").glob("*"):
            try:
                inode = re.match(r"socket:\[(\d+)\]", os.readlink(handle))
            except OSError:
                continue
            if inode and inode.group(1) in tcp:
                return True
    return False


def group(leader):
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == leader:
            yield folder.name


class Session:
    """The terminal of the reader of one page."""

    def __init__(self, folder, program, clone):
        self.folder = folder / "home"
        self.folder.mkdir()
        self.program = program
        shims = folder / "bin"
        shims.mkdir()
        (shims / "flamingo").symlink_to(program)
        for name, text in SHIMS.items():
            (shims / name).write_text(f"#!/bin/bash\n{text}\n")
            (shims / name).chmod(0o755)
        # A copy: a command may write into it.
        shutil.copytree(clone / "docs", self.folder / "docs")
        shutil.copy(clone / WORKFLOW, self.folder / "stack.txt")
        self.environment = {"PATH": f"{shims}:{os.environ['PATH']}", "HOME": str(self.folder), "LANG": "C.UTF-8",
                            "TERM": "dumb", "USER": "reader"}
        self.started = []  # every server, so that none stays behind after a failure
        self.network = Network()
        self.kept = []
        self.instrument = self.background(*self.network.there, program, "sim", "--bind", INSTRUMENT)
        self.simulator = None

    def background(self, *command):
        child = subprocess.Popen(command, env=self.environment, cwd=self.folder.parent, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        child.stdout.readline()
        return child

    def close(self):
        for child in self.started:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        for child in (self.instrument, self.simulator):
            if child is not None:
                child.kill()
                child.wait()
        self.network.close()

    def run(self, block):
        """Runs a block; raises `Failed` at the first command that does not do what the page says."""
        servers = []
        takes_port = any(self.takes_port(each) for each in block.commands)
        self.prepare_simulator(wanted=not takes_port and not self.kept)
        for command in block.commands:
            if self.is_server(command):
                servers.append(Server(command, self, command.text))
            else:
                self.run_one(command)
        if len(block.commands) == 1 and servers:
            self.kept += servers
            servers = []
        for server in reversed(servers):
            self.end(server)

    def prepare_simulator(self, wanted):
        if wanted and self.simulator is None:
            self.simulator = self.background(self.program, "sim")
        elif not wanted and self.simulator is not None:
            self.simulator.kill()
            self.simulator.wait()
            self.simulator = None

    def end_of_page(self):
        for server in reversed(self.kept):
            self.end(server)

    @staticmethod
    def is_server(command):
        return ends_by_itself(command) or Session.serves(command)

    @staticmethod
    def takes_port(command):
        """Whether a command listens on the port of the simulated instrument."""
        return Session.serves(command) and re.search(r"\b(sim|bridge|replay)\b(?!.*--port 0)", command.text)

    @staticmethod
    def serves(command):
        """Whether a command serves until Ctrl-C."""
        words = document_blocks.words(command.text)
        if not words or shows_error(command):
            return False
        if "tcpdump" in words:
            return True
        while words and ("=" in words[0] or words[0] in ("cargo", "run", "--", "--release", "flamingo")):
            words = words[1:]
        if not words:
            return False
        if words[0] in ENDED_BY:
            return not any(option in words for option in ENDED_BY[words[0]])
        return words[0] in SERVERS and "--help" not in words and "--list" not in words

    def run_one(self, command):
        try:
            done = subprocess.run(["bash", "-c", command.text], cwd=self.folder, env=self.environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"line {command.line}: {command.text!r} does not end") from None
        printed = done.stdout.decode(errors="replace")
        # grep that finds nothing.
        nothing = done.returncode == 1 and not printed and "| grep" in command.text
        if done.returncode != 0 and not nothing and not shows_error(command):
            raise Failed(f"line {command.line}: {command.text!r} ended with {done.returncode}:\n{printed}")
        self.compare(command, printed.splitlines())

    def end(self, server):
        self.compare(server.command, server.end())

    @staticmethod
    def compare(command, printed):
        if command.output is not None and not document_blocks.same(command.output, printed):
            shown = "\n".join(["  the page shows:", *command.output, "  it prints:", *printed])
            raise Failed(f"line {command.line}: {command.text!r} prints something else\n{shown}")
