"""10 000 queries from four threads, and from four asyncio tasks, under 400 unsolicited frames a second: every answer
is right, none is lost, and every event comes once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import flamingo
import load
from flamingo import aio


def test_four_threads_receive_every_answer() -> None:
    with flamingo.simulator(load.BUSY) as sim:
        with flamingo.connect(sim.address, settle=0) as microscope:
            events: list[bytes] = []
            reader = threading.Thread(target=_read, args=(microscope.events(), events))
            reader.start()

            def ask(worker: int) -> list[int]:
                wrong = []
                for number in load.numbers(worker):
                    answer = microscope.request(load.query(number))
                    if not load.is_answer(answer.frame, number):
                        wrong.append(number)
                return wrong

            with ThreadPoolExecutor(load.WORKERS) as workers:
                assert list(workers.map(ask, range(load.WORKERS))) == [[]] * load.WORKERS
            stats = microscope.stats()
        reader.join(10)
        assert stats["solicited"] >= load.QUERIES
        assert (stats["late"], stats["timed_out"], stats["events_lost"]) == (0, 0, 0)
        assert len(events) > 100
        assert load.missing_events(events, sim) is None


def _read(stream: flamingo.Events, into: list[bytes]) -> None:
    for event in stream:
        if event.frame is not None:
            into.append(event.frame.to_bytes())


def test_four_asyncio_tasks_receive_every_answer() -> None:
    with flamingo.simulator(load.BUSY) as sim:
        events, wrong = asyncio.run(_load(sim.address))
        assert wrong == []
        assert len(events) > 100
        assert load.missing_events(events, sim) is None


async def _load(address: str) -> tuple[list[bytes], list[int]]:
    microscope = await aio.connect(address, settle=0)
    events: list[bytes] = []
    wrong: list[int] = []
    stream = microscope.events()

    async def read() -> None:
        async for event in stream:
            if event.frame is not None:
                events.append(event.frame.to_bytes())

    async def ask(worker: int) -> None:
        for number in load.numbers(worker):
            answer = await microscope.request(load.query(number))
            if not load.is_answer(answer.frame, number):
                wrong.append(number)

    reader = asyncio.create_task(read())
    await asyncio.gather(*(ask(worker) for worker in range(load.WORKERS)))
    await microscope.close()
    await reader
    return events, wrong
