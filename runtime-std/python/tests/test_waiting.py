"""Ctrl-C, the lock of the interpreter, handlers and errors."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import flamingo
from conftest import QUICK
from flamingo import Code, Frame, dropin

SLOW = """
never_answered = ["CAMERA_EXPOSURE_GET"]
[stage.y]
velocity_mm_per_s = 0.001
"""


@contextmanager
def ctrl_c(after: float = 0.15) -> Iterator[None]:
    """Interrupts the main thread as Ctrl-C does, and expects that the interrupt arrives soon."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    begun = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    timer.join()
    assert time.monotonic() - begun < 5


WAITS: dict[str, Callable[[flamingo.Microscope], object]] = {
    "request": lambda microscope: microscope.request(Code.CAMERA_EXPOSURE_GET, timeout=30),
    "event": lambda microscope: microscope.events("UI_END").next(),
    "motion": lambda microscope: microscope.stage.start_move(y=16.0).wait(),
    "image": lambda microscope: microscope.live_images().next(),
    "send_command": lambda microscope: dropin.CommandClient(microscope.address).send_command(
        Frame(Code.CAMERA_EXPOSURE_GET).to_bytes(), Code.CAMERA_EXPOSURE_GET, 30.0
    ),
    "recv": lambda microscope: _socket(microscope.address).recv(128),
}


def _socket(address: str) -> dropin.socket:
    host, port = address.rsplit(":", 1)
    return dropin.create_connection((host, int(port)))


@pytest.mark.parametrize("what", WAITS)
def test_ctrl_c_ends_a_wait(what: str) -> None:
    with flamingo.simulator(SLOW) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        with ctrl_c():
            WAITS[what](microscope)
        assert microscope.state() == "IDLE"


def test_ctrl_c_ends_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ctrl_c():
        flamingo.connect("127.0.0.1:{}".format(silent.getsockname()[1]), timeout=30)


def test_ctrl_c_halts_a_move() -> None:
    with flamingo.simulator(SLOW) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        with ctrl_c():
            microscope.stage.move(y=16.0)
        # The HALT was answered before the exception was raised.
        halted = [each.frame.selector for each in sim.received() if each.frame.code == Code.STAGE_HALT]
        assert halted == [2]
        stands_at = microscope.stage.position("y")
        assert stands_at < 16.0
        assert microscope.stage.position("y") == stands_at


def test_a_program_that_ctrl_c_ends_has_halted() -> None:
    program = (
        "import asyncio, sys\n"
        "from flamingo import aio\n"
        "async def main():\n"
        "    microscope = await aio.connect(sys.argv[1], settle=0)\n"
        "    print('moving', flush=True)\n"
        "    await microscope.stage.move_to(y=16.0)\n"
        "asyncio.run(main())\n"
    )
    with flamingo.simulator(SLOW) as sim:
        command = [sys.executable, "-c", program, sim.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "moving\n"
            while not any(each.frame.code == Code.STAGE_POSITION_SET for each in sim.received()):
                threading.Event().wait(0.01)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors
        assert [each.frame.selector for each in sim.received() if each.frame.code == Code.STAGE_HALT] == [2]


def test_other_threads_run_while_one_waits() -> None:
    with flamingo.simulator(SLOW) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        counted, stop = [0], threading.Event()

        def count() -> None:
            while not stop.is_set():
                counted[0] += 1

        counter = threading.Thread(target=count)
        counter.start()
        before = counted[0]
        with pytest.raises(flamingo.Timeout):
            microscope.request(Code.CAMERA_EXPOSURE_GET, timeout=0.3)
        counted_meanwhile = counted[0] - before
        stop.set()
        counter.join()
        assert counted_meanwhile > 1000


def test_a_failing_handler_ends_nothing(
    microscope: flamingo.Microscope, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, float]] = []
    done = threading.Event()

    def fails(event: flamingo.Event) -> None:
        raise RuntimeError("a mistake")

    def asks(event: flamingo.Event) -> None:
        # Handlers may use the connection that calls them.
        seen.append((threading.current_thread().name, microscope.stage.position("x")))
        if len(seen) == 2:
            done.set()

    microscope.on("STAGE_MOTION_STOPPED", fails)
    registration = microscope.on(Code.STAGE_MOTION_STOPPED, asks)
    with caplog.at_level(logging.ERROR, logger="flamingo"):
        for target in (7.6, 7.7):
            microscope.stage.move(x=target)
        assert done.wait(5)
    assert [name for name, _ in seen] == ["flamingo-callbacks"] * 2
    assert [at for _, at in seen][-1] == 7.7
    assert "a mistake" in caplog.text
    registration.cancel()
    registration.cancel()
    microscope.stage.move(x=7.5)
    microscope.close()
    assert len(seen) == 2


def test_a_handler_of_all_codes_sees_the_end() -> None:
    kinds: list[str] = []
    ended = threading.Event()

    def handler(event: flamingo.Event) -> None:
        kinds.append(event.kind)
        if event.kind == "connection_lost":
            ended.set()

    with flamingo.simulator(QUICK) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        microscope.on(None, handler)
        sim.stop()
        assert ended.wait(5)
        with pytest.raises(flamingo.ConnectionLost) as lost:
            microscope.state()
        assert isinstance(lost.value, ConnectionError)
        assert lost.value.exit_code == 7


def test_errors_of_connecting_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:{}".format(server.getsockname()[1])
        with pytest.raises(flamingo.Timeout, match="did not answer SYSTEM_STATE_GET"):
            flamingo.connect(address, timeout=0.1)
    with pytest.raises(flamingo.CannotConnect, match="cannot connect"):
        flamingo.connect(address)
    with pytest.raises(flamingo.CannotConnect, match="HOST:PORT"):
        flamingo.connect("nowhere")
    with pytest.raises(flamingo.InvalidValue, match="timeout: expected seconds from 0, found -1"):
        flamingo.connect(address, timeout=-1)


def test_a_timeout_says_that_the_command_was_sent() -> None:
    with flamingo.simulator(SLOW) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        with pytest.raises(TimeoutError) as timed_out:
            microscope.request("CAMERA_EXPOSURE_GET", timeout=0.05)
        assert isinstance(timed_out.value, flamingo.Timeout)
        assert (timed_out.value.was_sent, timed_out.value.exit_code) == (True, 4)


def test_a_command_that_is_never_answered_is_only_sent(
    sim: flamingo.Simulator, microscope: flamingo.Microscope
) -> None:
    with pytest.raises(flamingo.InvalidCommand, match="never answer"):
        microscope.request(Code.LASER_DISABLE, selector=1)
    microscope.send(Code.LASER_DISABLE, selector=1)
    microscope.state()
    assert [each.frame.code for each in sim.received()].count(Code.LASER_DISABLE) == 1


def test_a_code_has_a_number_and_a_name(microscope: flamingo.Microscope) -> None:
    assert {code.name: code.value for code in Code} == dict(flamingo._native.known_codes())
    assert flamingo.code_name(Code.STAGE_HALT) == "STAGE_HALT"
    assert flamingo.code_name(0xBEEF) is None
    with pytest.raises(flamingo.InvalidValue, match="STAGE_HALT"):
        microscope.request("STAGE_STOP")


def test_a_frame_has_every_field() -> None:
    frame = Frame("LASER_LEVEL_SET", selector=2, value=1.5, data1=3, data2=-4, text="11.49", client_id=24)
    assert Frame.from_bytes(frame.to_bytes()) == frame
    assert (frame.name, frame.data, frame.text, frame.client_id) == ("LASER_LEVEL_SET", (2, 3, -4), "11.49", 24)
    assert frame.buffer == b"11.49" + bytes(67)
    assert frame.flags == 0x8000_0000
    assert frame != Frame("LASER_LEVEL_SET")
    with pytest.raises(flamingo.InvalidValue, match="expected 128 bytes, found 3"):
        Frame.from_bytes(b"abc")
    with pytest.raises(flamingo.InvalidValue, match="72"):
        Frame(1, text="x" * 73)
