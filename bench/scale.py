"""Measure one chat on several workers; print tables in Markdown.

    python -m bench.scale
    python -m bench.scale --seconds 1 --rounds 1      # rough, a minute

Each worker has 1,000 members, and all members are in one room, as in the other measurements. The
embedded store and Redis stand side by side under gunicorn, and beside them Socket.IO on Node with
its Redis adapter. Redis has its append-only file, synced once a second.

A delivery's CPU time is counted for the server (all its processes), for Redis, and for the load
generator. What one worker costs is measured with the worker on one core, and all others, Redis
too, on the other one. Two workers, Redis and the load generator share both cores: there the
deliveries per second of wall time say how much of the machine is left for the workers.

Rounds are interleaved, and medians shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import BENCH, UNLIMITED_ADDRESSES
from bench.crowd import Crowd, quiet_collector
from bench.machine import (
    Server,
    allow_connections,
    cpu_seconds_of_others,
    description,
    free_port,
)
from bench.protocols import CapnWebSpeech, SocketIoSpeech, Speech

MEMBERS = 1_000  # of each worker
UNDER_WAY = (8, 1)  # messages
_QUIET = 0.5  # seconds without a byte: joins and what they caused are over
_RESTING = 0.3  # seconds in which a server that has started uses less than 50 ms of CPU time
_SPARE_FILES = 200  # descriptors besides one a member
_US = 1_000_000  # microseconds in a second


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    Attributes:
        title: as it stands there.
        workers: processes that serve.
        command: the command line for a port, the URL of Redis and a fresh directory.
        speech: makes what its members speak.
    """

    title: str
    workers: int
    command: Callable[[int, str, Path], list[str]]
    speech: Callable[[], Speech]


def _gunicorn(workers: int, store: str) -> Callable[[int, str, Path], list[str]]:
    def command(port: int, redis: str, directory: Path) -> list[str]:
        settings = {
            "CHAT_PORT": port,
            "CHAT_WORKERS": workers,
            "CHAT_STORE": store.format(redis=redis, directory=directory),
            "CHAT_UNLIMITED_ADDRESSES": UNLIMITED_ADDRESSES,
            "CHAT_LOG_LEVEL": "error",
        }
        environment = ["env", *(f"{name}={value}" for name, value in settings.items())]
        program = [sys.executable, "-m", "gunicorn", "-c", "python:chatserver.gunicorn_conf"]
        return [*environment, *program, "chatserver:create_app()"]

    return command


def _socketio(workers: int) -> Callable[[int, str, Path], list[str]]:
    script = str(BENCH / "peers" / "socketio_redis_server.mjs")
    return lambda port, redis, _: ["node", script, str(port), redis, str(workers)]


def _ours() -> Speech:
    return CapnWebSpeech("/rpc/ws", acknowledges=False)


EMBEDDED = Row(
    "this server, `sqlite:`, 1 worker", 1, _gunicorn(1, "sqlite:///{directory}/chat.db"), _ours
)
OURS = {
    workers: Row(
        f"this server, `redis:`, {workers} worker{'s' * (workers > 1)}",
        workers,
        _gunicorn(workers, "{redis}"),
        _ours,
    )
    for workers in (1, 2)
}
THEIRS = {
    workers: Row(
        f"Socket.IO, Redis adapter, {workers} process{'es' * (workers > 1)}",
        workers,
        _socketio(workers),
        SocketIoSpeech,
    )
    for workers in (1, 2)
}
ROWS = (EMBEDDED, OURS[1], THEIRS[1], OURS[2], THEIRS[2])


@dataclass(frozen=True)
class Cost:
    """What one window gave.

    Attributes:
        rate: deliveries per second of wall time.
        server, redis, generator: microseconds of CPU time for a delivery.
    """

    rate: float
    server: float
    redis: float
    generator: float


Costs = dict[tuple[Row, int], list[Cost]]
"""By row and number of messages under way, one for each round."""


@contextmanager
def _running(row: Row) -> Iterator[tuple[Server, Server, Crowd]]:
    cores = sorted(os.sched_getaffinity(0))
    server_core, other_core = (cores[0], cores[-1]) if row.workers == 1 else (None, None)
    with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=".") as name:
        directory = Path(name).resolve()
        port, redis_port = free_port(), free_port()
        own = ["--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(directory)]
        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        redis = Server(["redis-server", *own, *options], directory, redis_port, other_core)
        try:
            command = row.command(port, f"redis://127.0.0.1:{redis_port}/0", directory)
            server = Server(command, BENCH.parent, port, server_core)
            crowd = Crowd(row.speech(), port)
            try:
                if other_core is not None:
                    os.sched_setaffinity(0, {other_core})
                _wait_until_resting(server)
                yield server, redis, crowd
            finally:
                os.sched_setaffinity(0, cores)
                crowd.close()
                server.stop()
        finally:
            redis.stop()


def _wait_until_resting(server: Server) -> None:
    """All workers are there when nothing is to be done any more; then all get their share."""
    before = -1.0
    while (now := server.cpu_seconds()) > before + 0.05:
        before = now
        time.sleep(_RESTING)


def measure(row: Row, seconds: float, costs: Costs) -> list[int]:
    """Start it, let everybody join, and add a cost for each of UNDER_WAY. How many members came to
    each worker.

    Raises PeerError, RuntimeError.
    """
    with _running(row) as (server, redis, crowd):
        crowd.join(row.workers * MEMBERS)
        crowd.settle(_QUIET)
        for under_way in UNDER_WAY:
            crowd.closed_loop(seconds / 2, under_way)
            wall, own = time.perf_counter(), time.process_time()
            cpu, cpu_of_redis = server.cpu_seconds(), redis.cpu_seconds()
            deliveries = crowd.closed_loop(seconds, under_way)
            cpu, cpu_of_redis = server.cpu_seconds() - cpu, redis.cpu_seconds() - cpu_of_redis
            wall, own = time.perf_counter() - wall, time.process_time() - own
            each = _US / deliveries
            cost = Cost(deliveries / wall, cpu * each, cpu_of_redis * each, own * each)
            costs[row, under_way].append(cost)
        return sorted(filter(None, map(sockets_of, server.processes())), reverse=True)


def sockets_of(pid: int) -> int:
    """About how many connections a process has: few are not a member's."""
    descriptors = Path(f"/proc/{pid}/fd")
    count = sum(os.readlink(entry).startswith("socket:") for entry in descriptors.iterdir())
    return count if count > MEMBERS / 10 else 0


def table(costs: Costs, under_way: int) -> str:
    """One of the tables in Markdown."""
    head = [
        f"{under_way} under way",
        "deliveries per second of wall time",
        "of server CPU",
        "µs a delivery: server",
        "Redis",
        "generator",
        "all",
    ]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in ROWS:
        if not costs[row, under_way]:
            continue
        rate, server, redis, generator = (
            median(costs[row, under_way], name) for name in ("rate", "server", "redis", "generator")
        )
        numbers = [f"{value:.2f}" for value in (server, redis, generator)]
        whole = f"{server + redis + generator:.2f}"
        rates = [f"{value:,.0f}" for value in (round(rate, -3), round(_US / server, -3))]
        rows.append([row.title, *rates, *numbers, whole])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def median(costs: Sequence[Cost], name: str) -> float:
    """Of one of their numbers."""
    values: list[float] = [getattr(cost, name) for cost in costs]
    return statistics.median(values)


def ratios(costs: Costs, under_way: int) -> str:
    """What the aims are about, in a sentence: ratios within a round, and the median of them."""

    def ratio(row: Row, to: Row) -> float:
        pairs = zip(costs[row, under_way], costs[to, under_way], strict=True)
        return statistics.median(one.server / other.server for one, other in pairs)

    sentence = (
        f"{under_way} under way: with Redis a delivery costs the server "
        f"{ratio(OURS[1], EMBEDDED) - 1:+.0%} CPU"
    )
    if all(costs[row, under_way] for row in THEIRS.values()):
        times = [f"{ratio(THEIRS[n], OURS[n]):.1f}" for n in OURS]
        sentence += f"; Socket.IO costs {' and '.join(times)} times that (1 and 2 workers)"
    return f"{sentence}.\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="a window's length")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are shown")
    parser.add_argument("--without-node", action="store_true", help="this server alone")
    options = parser.parse_args()
    quiet_collector()
    allow_connections(max(row.workers for row in ROWS) * MEMBERS + _SPARE_FILES)
    costs: Costs = defaultdict(list)
    started, before = time.perf_counter(), cpu_seconds_of_others()
    for number in range(options.rounds):
        for row in ROWS:
            if row in THEIRS.values() and options.without_node:
                continue
            spread = measure(row, options.seconds, costs)
            shown = " + ".join(map(str, spread))
            print(f"round {number + 1}: {row.title}: {shown} members", file=sys.stderr)
    elapsed = time.perf_counter() - started
    others = (cpu_seconds_of_others() - before) / elapsed / (os.cpu_count() or 1)
    print(
        f"{description()}. {MEMBERS:,} members for each worker. Windows of {options.seconds:g} s,"
    )
    print(f"{options.rounds} rounds. Other processes used {others:.0%} of the machine.\n")
    for under_way in UNDER_WAY:
        print(table(costs, under_way))
    for under_way in UNDER_WAY:
        print(ratios(costs, under_way))


if __name__ == "__main__":
    main()
