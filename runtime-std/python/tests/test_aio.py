"""asyncio: awaiting, cancelling, and what the loop does meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest

import flamingo
from conftest import QUICK
from flamingo import Code, aio
from test_waiting import SLOW


def test_the_loop_runs_while_calls_wait() -> None:
    async def main(address: str) -> None:
        microscope = await aio.connect(address, settle=0)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        with pytest.raises(flamingo.Timeout):
            await microscope.request(Code.CAMERA_EXPOSURE_GET, timeout=0.3)
        ticking.cancel()
        assert ticks > 5
        positions = await asyncio.gather(*(microscope.stage.position(axis) for axis in "xyz"))
        assert positions == [7.5, 15.0, 19.0]
        await microscope.close()

    with flamingo.simulator(SLOW) as sim:
        asyncio.run(main(sim.address))


def test_cancelling_a_task_cancels_its_request() -> None:
    async def main(address: str) -> None:
        microscope = await aio.connect(address, settle=0)
        waiting = asyncio.create_task(microscope.request(Code.CAMERA_EXPOSURE_GET, timeout=30))
        await asyncio.sleep(0.05)
        # In flight until it is cancelled.
        assert (await microscope.stats())["in_flight"] == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for _ in range(100):
            if (await microscope.stats())["in_flight"] == 0:
                break
            await asyncio.sleep(0.01)
        assert (await microscope.stats())["in_flight"] == 0
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(microscope.events("UI_END").next(), 0.05)
        assert await microscope.state() == "IDLE"
        await microscope.close()

    with flamingo.simulator(SLOW) as sim:
        asyncio.run(main(sim.address))


def test_a_task_that_never_ran_sends_nothing(sim: flamingo.Simulator) -> None:
    async def main() -> None:
        microscope = await aio.connect(sim.address, settle=0)
        task = asyncio.create_task(microscope.stage.move_to(x=7.6))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await microscope.close()

    asyncio.run(main())
    codes = [each.frame.code for each in sim.received()]
    assert Code.STAGE_POSITION_SET not in codes and Code.STAGE_HALT not in codes


def test_a_cancelled_move_is_halted() -> None:
    async def main(sim: flamingo.Simulator) -> None:
        microscope = await aio.connect(sim.address, settle=0)
        stops = microscope.events(Code.STAGE_MOTION_STOPPED)
        move = asyncio.create_task(microscope.stage.move_to(y=16.0))
        while not any(each.frame.code == Code.STAGE_POSITION_SET for each in sim.received()):
            await asyncio.sleep(0.01)
        move.cancel()
        with pytest.raises(asyncio.CancelledError):
            await move
        stopped = await asyncio.wait_for(stops.next(), 5)
        assert stopped is not None and stopped.frame is not None
        assert (stopped.frame.selector, stopped.frame.status) == (2, 0)
        await microscope.close()

    with flamingo.simulator(SLOW) as sim:
        asyncio.run(main(sim))


def test_a_motion_goes_on_when_its_wait_is_cancelled() -> None:
    async def main(sim: flamingo.Simulator) -> None:
        microscope = await aio.connect(sim.address, settle=0)
        motion = await microscope.stage.start_move(y=16.0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(motion.wait(), 0.05)
        with pytest.raises(flamingo.Timeout):
            await motion.wait(timeout=0.05)
        assert Code.STAGE_HALT not in [each.frame.code for each in sim.received()]
        await motion.halt()
        with pytest.raises(flamingo.Halted):
            await motion.wait()
        await microscope.close()

    with flamingo.simulator(SLOW) as sim:
        asyncio.run(main(sim))


def test_images_and_runs_are_iterated() -> None:
    from test_devices import WORKFLOW

    async def main(address: str) -> None:
        microscope = await aio.connect(address, settle=0)
        stream = await microscope.live_images(every=True)
        await microscope.camera.start_live_view()
        numbers = []
        async for image in stream:
            numbers.append(image.number)
            if len(numbers) == 3:
                stream.close()
        assert numbers == [1, 2, 3]
        await microscope.camera.stop_live_view()
        run = await microscope.workflows.start(WORKFLOW)
        kinds = [event.kind async for event in run]
        assert kinds[0] == "started"
        assert (await run.wait()).images == 5
        await microscope.close()

    with flamingo.simulator(QUICK) as sim:
        asyncio.run(main(sim.address))


def test_one_connection_serves_loops_and_threads(microscope: flamingo.Microscope) -> None:
    def run(results: list[float]) -> None:
        async def ask() -> None:
            results.append(await microscope.native.stage.position("y"))

        asyncio.run(ask())

    results: list[float] = []
    threads = [threading.Thread(target=run, args=(results,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    results.append(microscope.stage.position("y"))
    for thread in threads:
        thread.join()
    assert results == [15.0] * 4


def test_a_call_that_nobody_awaits_warns(microscope: flamingo.Microscope) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        microscope.native.lasers.disable_all()
        gc.collect()
    assert ["never waited for" in str(each.message) for each in warned] == [True]


def test_a_call_is_waited_for_once(microscope: flamingo.Microscope) -> None:
    call = microscope.native.state()
    assert call.wait() == "IDLE"
    with pytest.raises(RuntimeError, match="once"):
        call.wait()
