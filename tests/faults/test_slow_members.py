"""Members who cannot keep up, and what they cost: themselves a while, the others and the server
nothing."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.crowd import Crowd
from tests.faults.deployment import Deployment, resident_bytes
from tests.faults.record import Record
from tests.faults.swarm import SwarmMember
from tests.faults.wire_order import WireOrder
from tests.processes import Processes, wait_until
from tests.proxy.link import DOWN, HEALTHY, STALLED
from tests.proxy.proxy import Proxy

OTHERS = 200
SPEAKERS = 50

MIB = 1024 * 1024

MAX_OUTBOX = 2 * MIB
"""The server's bound for what waits for one connection."""

CACHED_EVENTS = 5_000
"""More than the server keeps in memory for those who are about to catch up."""

NOISE = MIB
"""Bytes that the server's memory varies by while all read, measured, three times over."""

LONG_TEXT = "x" * 4_000
"""The longest text that the chat carries."""

SAMPLE_SECONDS = 0.02
"""Between two looks at the server's memory."""


class Memory:
    """How much a process has grown since this was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resident_bytes(pid)
        self._sampled = 0.0
        self.growth = 0

    def sample(self) -> None:
        """Look, if the last look is long enough ago."""
        if time.monotonic() - self._sampled > SAMPLE_SECONDS:
            self._sampled = time.monotonic()
            self.growth = max(self.growth, resident_bytes(self._pid) - self._before)


class Stage:
    """A server, a proxy before it, and a member `late` who comes through the proxy, on record.

    Attributes:
        wire: what the server sends to `late`, before its library has sorted anything out.
    """

    def __init__(self, processes: Processes, database: str, **settings: Any) -> None:
        self.deployment = Deployment(processes, database, **settings)
        self.wire = WireOrder()
        self.proxy = Proxy(self.deployment.address, self.wire)
        self.record = Record()
        self.late = SwarmMember("late", self.proxy.url, self.record, "", timeout=60)

    def received_by_late(self) -> list[int]:
        return list(self.record.heard["late"].ids)

    def close(self) -> None:
        self.late.close()
        self.proxy.close()


@pytest.fixture
def stage(processes: Processes, database: str) -> Iterator[Stage]:
    made = Stage(processes, database, max_outbox=MAX_OUTBOX, grace=60)
    yield made
    made.close()


def test_a_member_that_stops_reading_harms_only_itself_and_misses_nothing(
    stage: Stage, full: bool
) -> None:
    # What fits into the outbox and into the kernel's buffers on the way, twice over.
    messages = 20_000 if full else 2_500
    with Crowd(stage.deployment.address, 1, "first") as first:
        first.chat(lambda: first.said >= CACHED_EVENTS, LONG_TEXT)
    with Crowd(stage.deployment.address, OTHERS) as others:
        # What such a crowd needs by itself, with all caches filled, is no growth.
        others.chat(lambda: others.said >= messages / 5, LONG_TEXT, SPEAKERS)
        warm = max(member.heard for member in others.members)
        wait_until(lambda: stage.record.last_id("late") >= warm)
        stage.proxy.impair(STALLED, DOWN)
        memory = Memory(stage.deployment.serving_pid)

        def enough() -> bool:
            memory.sample()
            return others.said >= messages + messages / 5

        others.chat(enough, LONG_TEXT, SPEAKERS)
        last = max(member.heard for member in others.members)
        others.wait_for(last)

        assert stage.record.last_id("late") < last
        assert memory.growth < MAX_OUTBOX + NOISE
        stage.proxy.impair(HEALTHY)
        wait_until(lambda: stage.record.last_id("late") >= last, timeout=60)
        print(f"grown by {memory.growth / MIB:.1f} MiB; {len(stage.proxy.accepted)} connections")

    assert len(stage.proxy.accepted) > 1
    ids = stage.received_by_late()
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert stage.wire.findings == []


def test_ten_thousand_events_behind_are_read_at_its_pace_and_joined_to_what_goes_on(
    stage: Stage, full: bool
) -> None:
    backlog, text = 10_000, LONG_TEXT if full else LONG_TEXT[:1_000]
    with Crowd(stage.deployment.address, SPEAKERS) as others:
        stage.proxy.refusing = True
        stage.proxy.cut_all()
        others.chat(lambda: others.said >= backlog, text)
        behind = max(member.heard for member in others.members)
        others.wait_for(behind)
        memory = Memory(stage.deployment.serving_pid)
        stage.proxy.refusing = False
        resumed_at = others.said

        def enough() -> bool:
            memory.sample()
            return stage.record.last_id("late") >= behind + 500 or others.said > resumed_at + 20_000

        others.chat(enough, "live")
        print(
            f"grown by {memory.growth / MIB:.1f} MiB; {others.said - resumed_at} said meanwhile; "
            f"{len(stage.proxy.accepted)} connections; late at {stage.record.last_id('late')}"
        )
        last = max(member.heard for member in others.members)
        wait_until(lambda: stage.record.last_id("late") >= last, timeout=60)

    ids = stage.received_by_late()
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert stage.wire.findings == []
    assert memory.growth < backlog * len(text) / 2
