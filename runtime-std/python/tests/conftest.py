"""What the tests share: simulated instruments and connections to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import flamingo
from micromanager_fixtures import commands, core, hear

__all__ = ["QUICK", "commands", "core", "hear", "microscope", "sim"]

#: Small images, and motions that take milliseconds.
QUICK = """
[latency]
min_ms = 0.0
max_ms = 0.1
[stage]
speed_factor = 50
[images]
width = 64
height = 32
"""


@pytest.fixture
def sim() -> Iterator[flamingo.Simulator]:
    """A quick instrument."""
    with flamingo.simulator(QUICK) as simulator:
        yield simulator


@pytest.fixture
def microscope(sim: flamingo.Simulator) -> Iterator[flamingo.Microscope]:
    """A connection to `sim`."""
    with flamingo.connect(sim.address, settle=0) as connected:
        yield connected
