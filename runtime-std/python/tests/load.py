"""A load of queries whose answers can be told from everything else: each has a number in int32Data2, which the
instrument sends back and no push has."""

from __future__ import annotations

import flamingo
from flamingo import Code, Frame

QUERIES = 10_000
WORKERS = 4

#: 400 unsolicited frames a second, and one axis that moves and pushes its positions.
BUSY = """
[latency]
min_ms = 0.0
max_ms = 0.2
[background]
frames_per_s = 400
[stage]
continuous_axes = ["z"]
"""

#: Codes that the instrument does not push, but for the positions, which it marks.
_ASKED = [
    (Code.STAGE_POSITION_GET, 1),
    (Code.STAGE_POSITION_GET, 3),
    (Code.SYSTEM_STATE_GET, 0),
    (Code.STAGE_POSITION_GET, 4),
    (Code.CAMERA_IMAGE_SIZE_GET, 0),
    (Code.CAMERA_PIXEL_FIELD_OF_VIEW_GET, 0),
]


def query(number: int) -> Frame:
    """The query with this number, from 1."""
    code, selector = _ASKED[number % len(_ASKED)]
    return Frame(code, selector=selector, data2=number)


def is_answer(frame: Frame, number: int) -> bool:
    """Whether this frame answers the query with this number."""
    asked = query(number)
    has_selector = asked.code != Code.STAGE_POSITION_GET or frame.selector == asked.selector
    return (frame.code, frame.data[2]) == (asked.code, number) and has_selector


def numbers(worker: int) -> range:
    """The numbers of the queries of one of the workers."""
    return range(worker + 1, QUERIES + 1, WORKERS)


def missing_events(received: list[bytes], sim: flamingo.Simulator) -> str | None:
    """What is wrong with the events that a client received, compared with what was sent. None: each came once, in
    its order. The client may have begun to listen some frames after it had connected."""
    sent = [each.frame.to_bytes() for each in sim.sent() if each.origin == "unsolicited"]
    for begin in range(max(0, len(sent) - len(received)) + 1):
        if sent[begin : begin + len(received)] == received:
            return None if begin < 200 else f"it began only after {begin} events"
    return f"{len(received)} events were received and {len(sent)} were sent, but not the same in the same order"
