"""What existing programs use instead of their socket reader."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

import flamingo
import load
from conftest import QUICK
from flamingo import Code, Frame, dropin
from seed_program import Program


def control(sim: flamingo.Simulator) -> tuple[str, int]:
    host, port = sim.address.rsplit(":", 1)
    return host, int(port)


@pytest.fixture
def sock(sim: flamingo.Simulator) -> Iterator[dropin.socket]:
    with dropin.create_connection(control(sim), 3.0) as connected:
        yield connected


@pytest.fixture
def client(sim: flamingo.Simulator) -> Iterator[dropin.CommandClient]:
    made = dropin.CommandClient(sim.address)
    made.start()
    yield made
    made.stop()
    made.socket.close()


def test_the_seeds_program_gets_every_answer() -> None:
    with flamingo.simulator(load.BUSY) as sim:
        with dropin.create_connection(control(sim), 3.0) as connected:
            program = Program(connected, load.QUERIES)
            program.run()
        assert (program.wrong, program.lost) == (0, 0)
        assert len(program.heard) > 100
        assert load.missing_events(program.heard, sim) is None


def test_the_seeds_program_fails_on_a_plain_socket() -> None:
    with flamingo.simulator(load.BUSY) as sim, socket.create_connection(control(sim), 0.2) as plain:
        program = Program(plain, 400)
        program.run()
    assert program.wrong + program.lost > 0


def test_a_thread_that_has_sent_receives_answers_only() -> None:
    with flamingo.simulator(load.BUSY) as sim, dropin.create_connection(control(sim), 0.3) as sock:
        sock.sendall(load.query(7).to_bytes())
        assert load.is_answer(Frame.from_bytes(sock.recv(128)), 7)
        with pytest.raises(TimeoutError):
            sock.recv(128)


def test_each_listener_receives_every_frame() -> None:
    scenario = "[background]\nframes_per_s = 200\ncodes = ['UI_SET_GAUGE_VALUE']\n"
    with flamingo.simulator(scenario) as sim, dropin.create_connection(control(sim), 3.0) as sock:
        heard: list[list[bytes]] = [[], []]
        begin = threading.Barrier(2)

        def listen(into: list[bytes]) -> None:
            into.append(sock.recv(128))  # it listens from here on
            begin.wait(5)
            into.extend(sock.recv(128) for _ in range(40))

        threads = [threading.Thread(target=listen, args=(into,)) for into in heard]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(Frame.from_bytes(frame).code == Code.UI_SET_GAUGE_VALUE for frame in heard[0])
        sent = [each.frame.to_bytes() for each in sim.sent() if each.origin == "unsolicited"]
        assert all(frame in sent for each in heard for frame in each)


def test_commands_and_answers_can_be_cut_anywhere(sock: dropin.socket) -> None:
    both = load.query(1).to_bytes() + load.query(2).to_bytes()
    for begin in range(0, 256, 100):
        sock.sendall(both[begin : begin + 100])
    received = b""
    while len(received) < 256:
        received += sock.recv(50)
    answers = [Frame.from_bytes(received[begin : begin + 128]) for begin in (0, 128)]
    assert sorted(answer.data[2] for answer in answers) == [1, 2]


def test_a_payload_follows_its_answer(sock: dropin.socket) -> None:
    sock.sendall(Frame(Code.COMMON_SCOPE_SETTINGS_LOAD).to_bytes())
    head = Frame.from_bytes(sock.recv(128))
    text = bytearray(head.payload_len)
    view, read = memoryview(text), 0
    while read < len(text):
        read += sock.recv_into(view[read:])
    assert b"Soft limit max x-axis" in text


def test_lights_are_answered_by_their_echo(sock: dropin.socket) -> None:
    sock.sendall(Frame(Code.LED_SET, selector=2, data1=40_000).to_bytes())
    echo = Frame.from_bytes(sock.recv(128))
    assert (echo.code, echo.selector) == (Code.LED_SET, 2)
    # Laser commands are never answered, so the next answer is that of the query.
    sock.sendall(Frame(Code.LASER_DISABLE_ALL, selector=1).to_bytes())
    sock.sendall(load.query(9).to_bytes())
    assert load.is_answer(Frame.from_bytes(sock.recv(128)), 9)


def test_a_late_answer_is_not_that_of_the_next_command() -> None:
    scenario = "[faults]\nlate_answers = { every_n = 2, at_most = 1, codes = ['STAGE_POSITION_GET'] }\nlate_by_ms = 300\n"
    with flamingo.simulator(scenario) as sim, dropin.create_connection(control(sim), 0.1) as sock:
        for number, in_time in [(1, True), (7, False)]:
            sock.sendall(Frame(Code.STAGE_POSITION_GET, selector=1, data2=number).to_bytes())
            if in_time:
                assert Frame.from_bytes(sock.recv(128)).data[2] == number
            else:
                with pytest.raises(TimeoutError):
                    sock.recv(128)
        sock.settimeout(3.0)
        sock.sendall(Frame(Code.STAGE_POSITION_GET, selector=2, data2=8).to_bytes())
        assert Frame.from_bytes(sock.recv(128)).data[2] == 8


def test_the_end_of_the_connection_ends_recv(sim: flamingo.Simulator, sock: dropin.socket) -> None:
    received: list[bytes] = []
    listener = threading.Thread(target=lambda: received.append(sock.recv(128)))
    listener.start()
    sim.stop()
    listener.join(5)
    assert received == [b""]


def test_bytes_that_are_no_command_are_refused(sim: flamingo.Simulator, sock: dropin.socket) -> None:
    before = len(sim.received())
    with pytest.raises(flamingo.InvalidCommand, match="nothing was sent"):
        sock.sendall(bytes(128))
    nowhere = Frame(Code.STAGE_POSITION_SET, selector=9, value=1.0)
    with pytest.raises(flamingo.InvalidCommand, match="axis"):
        sock.sendall(nowhere.to_bytes())
    assert len(sim.received()) == before
    sock.sendall(load.query(3).to_bytes())
    assert load.is_answer(Frame.from_bytes(sock.recv(128)), 3)


def test_a_socket_that_does_not_block_says_so(sock: dropin.socket) -> None:
    sock.sendall(load.query(1).to_bytes())
    sock.recv(128)
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(128)


def test_send_command_returns_the_parsed_answer(client: dropin.CommandClient) -> None:
    command = Frame(Code.STAGE_POSITION_GET, selector=2).to_bytes()
    answer = client.send_command(command, Code.STAGE_POSITION_GET, timeout=3.0)
    assert answer is not None
    assert (answer.command_code, answer.command_name) == (0x6008, "STAGE_POSITION_GET")
    assert (answer.int32_data0, answer.value, answer.status_code) == (2, 15.0, 1)
    assert answer.is_valid and not answer.is_unsolicited and answer.additional_data is None
    assert answer.raw_data[:4] == (0xF321E654).to_bytes(4, "little")
    assert len(answer.data_field) == 72
    assert abs(answer.timestamp - time.time()) < 60


def test_send_command_waits_for_another_code(client: dropin.CommandClient) -> None:
    move = Frame(Code.STAGE_POSITION_SET, selector=1, value=7.6).to_bytes()
    stopped = client.send_command(move, Code.STAGE_MOTION_STOPPED, timeout=5.0)
    assert stopped is not None and stopped.is_unsolicited
    assert (stopped.int32_data0, stopped.status_code) == (1, 1)
    settings = client.send_command(Frame(Code.COMMON_SCOPE_SETTINGS_LOAD).to_bytes(), 0x1009)
    assert settings is not None and settings.additional_data is not None
    assert settings.additional_data_size == len(settings.additional_data) > 1000


def test_send_command_returns_none_without_an_answer() -> None:
    with flamingo.simulator("never_answered = ['CAMERA_EXPOSURE_GET']\n") as sim:
        client = dropin.CommandClient(control(sim))
        command = Frame(Code.CAMERA_EXPOSURE_GET).to_bytes()
        assert client.send_command(command, Code.CAMERA_EXPOSURE_GET, timeout=0.1) is None
        state = client.send_command(Frame(Code.SYSTEM_STATE_GET).to_bytes(), Code.SYSTEM_STATE_GET)
        assert state is not None and state.int32_data0 == Code.SYSTEM_STATE_IDLE
        client.socket.close()


def test_handlers_receive_unsolicited_frames(client: dropin.CommandClient) -> None:
    received: list[dropin.ParsedMessage] = []
    arrived = threading.Event()

    def handler(message: dropin.ParsedMessage) -> None:
        received.append(message)
        arrived.set()

    client.register_callback(Code.STAGE_MOTION_STOPPED, handler)
    move = Frame(Code.STAGE_POSITION_SET, selector=1, value=7.6).to_bytes()
    assert client.send_command(move, Code.STAGE_POSITION_SET) is not None
    assert arrived.wait(5)
    assert received[0].int32_data0 == 1
    stats = client.get_stats()
    assert stats["dispatcher"]["callbacks_dispatched"] >= 1
    assert stats["dispatcher"]["messages_received"] == stats["reader"]["messages_read"] >= 3
    client.unregister_callback(Code.STAGE_MOTION_STOPPED, handler)
    client.unregister_callback(Code.STAGE_MOTION_STOPPED, handler)
    assert client.send_command(Frame(Code.STAGE_POSITION_SET, selector=1, value=7.5).to_bytes(), 0x6010)
    assert len(received) == 1


def test_pausing_changes_nothing(client: dropin.CommandClient) -> None:
    assert client.is_running() and not client.is_paused()
    client.pause()
    assert client.is_paused()
    client.socket.sendall(load.query(3).to_bytes())
    assert load.is_answer(Frame.from_bytes(client.socket.recv(128)), 3)
    client.resume()
    assert not client.is_paused()


def test_a_plain_socket_is_replaced() -> None:
    with flamingo.simulator(QUICK) as sim:
        plain = socket.create_connection(control(sim), 2.0)
        client = dropin.CommandClient(plain)
        assert plain.fileno() == -1, "it is closed"
        assert client.send_command(Frame(Code.SYSTEM_STATE_GET).to_bytes(), Code.SYSTEM_STATE_GET)
        client.socket.close()
