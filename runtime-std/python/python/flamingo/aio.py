"""The same for asyncio: each method returns a `Call`, to be awaited once.

    import asyncio
    from flamingo import aio

    async def main():
        microscope = await aio.connect("192.168.1.10:53717")
        await microscope.stage.move_to(x=6.5)
        print(await microscope.stage.position("x"))
        await microscope.close()

    asyncio.run(main())

A call is sent when it is awaited, or when `asyncio.create_task` runs it. Cancelling the task cancels the call: a
command that was not sent is not sent any more. A `move_to` that is cancelled is halted.
"""

from __future__ import annotations

from flamingo._native import (
    Call,
    Camera,
    EventStream,
    FilterWheel,
    Illumination,
    ImageStream,
    Lasers,
    Led,
    Microscope,
    Motion,
    Run,
    Settings,
    Stage,
    Storage,
    Workflows,
    connect,
)

__all__ = [
    "Call",
    "Camera",
    "EventStream",
    "FilterWheel",
    "Illumination",
    "ImageStream",
    "Lasers",
    "Led",
    "Microscope",
    "Motion",
    "Run",
    "Settings",
    "Stage",
    "Storage",
    "Workflows",
    "connect",
]
