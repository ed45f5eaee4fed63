"""What is measured on one server, from its start to its end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import BENCH, Contender
from bench.crowd import Crowd
from bench.machine import Server, free_port
from bench.protocols import PeerError

MANY_UNDER_WAY = 8  # messages
_QUIET = 0.5  # seconds without a byte: joins and what they caused are over
_LEADER = (
    1  # members that join and speak first, so that what a server loads lazily is no member's memory
)


@dataclass(frozen=True)
class Plan:
    """How long each part takes.

    Attributes:
        rounds: how often each server is started and measured; in turn, A B C A B C.
        window: seconds of each measured window.
        warm_up: seconds of the same load before; V8 compiles in it.
        latency: seconds at the fixed rate.
        members: in the room, for the comparison and for the latency.
        rate: deliveries a second in all, for the latency.
        sizes: members in the room, for the series.
    """

    rounds: int
    window: float
    warm_up: float
    latency: float
    members: int = 1000
    rate: int = 20_000
    sizes: tuple[int, ...] = (100, 1000, 5000, 10_000)


FULL = Plan(rounds=3, window=5.0, warm_up=2.0, latency=20.0)
QUICK = Plan(rounds=1, window=1.0, warm_up=0.5, latency=3.0, sizes=(100, 1000))


@dataclass
class Reading:
    """What one start of one server gave.

    Attributes:
        members: in the room.
        many: deliveries per second of server CPU with MANY_UNDER_WAY messages under way.
        one: the same with one message under way.
        many_wall: deliveries per second of wall time with MANY_UNDER_WAY under way.
        memory_kib: growth of the server's PSS per idle member.
        join_seconds: wall time until the last of the members has joined.
        join_cpu: the server's CPU seconds in that time, and until it had told of the joins.
        server_busy, generator_busy: share of their cores that both used in the window of `many`; a
            server that was less busy than the generator had to wait for it.
        latencies: seconds from when a message was due to be sent until its last member heard it;
            empty if it was not asked for or `overloaded`.
        overloaded: the rate of the latency measurement was too much.
    """

    members: int
    many: float = 0.0
    one: float = 0.0
    many_wall: float = 0.0
    memory_kib: float = 0.0
    join_seconds: float = 0.0
    join_cpu: float = 0.0
    server_busy: float = 0.0
    generator_busy: float = 0.0
    latencies: list[float] = field(default_factory=list)
    overloaded: bool = False


@contextmanager
def _running(contender: Contender, core: int) -> Iterator[tuple[Server, Crowd]]:
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        command = contender.command(port, Path(directory))
        server = Server(command, BENCH.parent, port, core)
        crowd = Crowd(contender.speech(), port)
        try:
            yield server, crowd
        except (PeerError, OSError) as error:
            raise PeerError(f"{error}\n{server.errors()}".strip()) from error
        finally:
            crowd.close()
            server.stop()


def fan_out(contender: Contender, members: int, plan: Plan, core: int, latency: bool) -> Reading:
    """Start a server on `core`, fill the room, measure, and end it.

    Raises:
        PeerError: the server refused, closed, or lost a delivery.
    """
    reading = Reading(members)
    with _running(contender, core) as (server, crowd):
        crowd.join(_LEADER)
        crowd.closed_loop(0, under_way=1)
        crowd.settle(_QUIET)
        memory, cpu = server.memory_kib(), server.cpu_seconds()
        reading.join_seconds = crowd.join(members - _LEADER)
        crowd.settle(_QUIET)
        reading.join_cpu = server.cpu_seconds() - cpu
        reading.memory_kib = (server.memory_kib() - memory) / (members - _LEADER)

        crowd.closed_loop(plan.warm_up, MANY_UNDER_WAY)
        cpu, wall, own = server.cpu_seconds(), time.perf_counter(), time.process_time()
        deliveries = crowd.closed_loop(plan.window, MANY_UNDER_WAY)
        wall, own = time.perf_counter() - wall, time.process_time() - own
        cpu = server.cpu_seconds() - cpu
        reading.many, reading.many_wall = deliveries / cpu, deliveries / wall
        reading.server_busy, reading.generator_busy = cpu / wall, own / wall

        crowd.closed_loop(plan.warm_up / 2, 1)
        cpu = server.cpu_seconds()
        deliveries = crowd.closed_loop(plan.window, 1)
        reading.one = deliveries / (server.cpu_seconds() - cpu)

        if latency:
            crowd.settle(_QUIET)
            try:
                reading.latencies = crowd.open_loop(plan.rate / members, plan.latency)
            except PeerError:
                reading.overloaded = True
    return reading
