"""Measure the SQLite store; print tables in Markdown.

    python -m bench.store
    python -m bench.store --seconds 1 --rounds 1      # rough, a few seconds

**Appends.** Each sender waits for the answer before it appends again. Beside the store run, on the
same schema, with the same rows and in the same process:

- *one commit each*: insert and commit, again and again, in a plain loop: SQLite without sharing;
- *bare loop*: one thread commits whatever has gathered, and each sender gets its answer in a
  `Future`, as at the store's interface; nothing else: no claims, no keys, no follower;
- *one wake-up*: the same, but a batch's senders are woken together and told nothing;
- *rows in hand*: as many rows as there are senders, insert and commit, in a plain loop where nobody
  waits for anything: what SQLite itself can do.

Rounds are interleaved, and medians shown; in brackets the microseconds of CPU time an append, which
depend less on what else the machine does.

**Start and history.** Opening the store, the process until it accepts connections, and reading,
with 1,000 and 1,000,000 events.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse
import logging
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from bench.machine import description, free_port
from chatserver.futures import wait
from chatserver.gc_tuning import settle_collector
from chatserver.store import open_store
from chatserver.store.interface import Store, system_clock
from chatserver.store.sqlite import schema
from chatserver.store.values import Claim

SENDERS = (1, 10, 100)
LENGTHS = (1_000, 1_000_000)
TEXT = "x" * 100  # as in the other measurements
INSERT = (
    "INSERT INTO event (type, user, text, time_ms, users, count, number) VALUES (?,?,?,?,?,?,?)"
)
READS = 50  # of each kind, for a median

Until = float
"""A moment on `time.perf_counter`."""


@contextmanager
def directory() -> Iterator[Path]:
    """A new directory on the disk of the working directory, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="bench-store-", dir="."))
    try:
        yield path.resolve()
    finally:
        shutil.rmtree(path)


def new_file(path: Path, synchronous: str) -> sqlite3.Connection:
    """A database with the store's schema, without events."""
    path.touch()
    connection = schema.connect(str(path), synchronous)
    schema.prepare(connection, str(path))
    return connection


def row(number: int) -> tuple[object, ...]:
    """What the store writes for a message."""
    return ("chat", "Alice", TEXT, system_clock().wall, None, 0, number)


# Each returns how many rows were committed until `until`.


def the_store(path: Path, synchronous: str, senders: int, until: Until, keys: bool = False) -> int:
    """At the store's interface."""
    store = open_store(f"sqlite:///{path}?synchronous={synchronous}")
    follower = gevent.spawn(follow, store)

    def send(number: int) -> int:
        name = f"member {number}"
        claim: Claim = wait(store.claim(name, name, name, None)).claim
        sent = 0
        while time.perf_counter() < until:
            wait(store.append(claim, TEXT, str(sent) if keys else None))
            sent += 1
        return sent

    total = sum(task.get() for task in [gevent.spawn(send, n) for n in range(senders)])
    follower.kill()
    store.close()
    return total


def follow(store: Store) -> None:
    """Take the news, as the server does."""
    position = 0
    while True:
        tail = store.follow(position, 60)
        if tail.events:
            position = tail.events[-1].id


def with_keys(path: Path, synchronous: str, senders: int, until: Until) -> int:
    """…where each message has a key of its own, as those of `ChatClient`."""
    return the_store(path, synchronous, senders, until, keys=True)


def bare_loop(path: Path, synchronous: str, senders: int, until: Until) -> int:
    """Group commit, and an answer for each."""
    connection = new_file(path, synchronous)
    pool = ThreadPool(1)
    queue: list[tuple[tuple[object, ...], Future[int]]] = []
    work = Event()

    def send(number: int) -> int:
        sent = 0
        while time.perf_counter() < until:
            answer: Future[int] = Future()
            queue.append((row(sent), answer))
            work.set()
            wait(answer)
            sent += 1
        return sent

    def commit() -> None:
        nonlocal queue
        while True:
            work.wait()
            work.clear()
            batch, queue = queue, []
            pool.apply(insert, (connection, [values for values, _ in batch]))
            for number, (_, answer) in enumerate(batch):
                answer.set_result(number)

    committer = gevent.spawn(commit)
    total = sum(task.get() for task in [gevent.spawn(send, n) for n in range(senders)])
    committer.kill()
    pool.kill()
    connection.close()
    return total


def one_wake_up(path: Path, synchronous: str, senders: int, until: Until) -> int:
    """Group commit, and no answers."""
    connection = new_file(path, synchronous)
    pool = ThreadPool(1)
    rows: list[tuple[object, ...]] = []
    work, committed = Event(), Event()

    def send(number: int) -> int:
        sent = 0
        while time.perf_counter() < until:
            rows.append(row(sent))
            work.set()
            committed.wait()
            sent += 1
        return sent

    def commit() -> None:
        nonlocal rows, committed
        while True:
            work.wait()
            work.clear()
            batch, rows = rows, []
            waiting, committed = committed, Event()
            pool.apply(insert, (connection, batch))
            waiting.set()

    committer = gevent.spawn(commit)
    total = sum(task.get() for task in [gevent.spawn(send, n) for n in range(senders)])
    committer.kill()
    pool.kill()
    connection.close()
    return total


def insert(connection: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    """One transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(INSERT, rows)
    connection.execute("COMMIT")


def rows_in_hand(path: Path, synchronous: str, senders: int, until: Until) -> int:
    """Nobody waits."""
    with closing(new_file(path, synchronous)) as connection:
        total = 0
        while time.perf_counter() < until:
            insert(connection, [row(number) for number in range(senders)])
            total += senders
    return total


def one_commit_each(path: Path, synchronous: str, senders: int, until: Until) -> int:
    """Nothing is shared, so the senders take turns."""
    return rows_in_hand(path, synchronous, 1, until)


Way = Callable[[Path, str, int, Until], int]

WAYS: dict[str, Way] = {
    "the store": the_store,
    "with a key each": with_keys,
    "one commit each": one_commit_each,
    "bare loop": bare_loop,
    "one wake-up": one_wake_up,
    "rows in hand": rows_in_hand,
}


def appends(synchronous: str, seconds: float, rounds: int) -> str:
    """The table of durable appends per second."""
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    costs: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for senders in SENDERS:
            for name, way in WAYS.items():
                with directory() as place:
                    start, cpu = time.perf_counter(), time.process_time()
                    total = way(place / "chat.db", synchronous, senders, start + seconds)
                    rates[name, senders].append(total / (time.perf_counter() - start))
                    costs[name, senders].append(1e6 * (time.process_time() - cpu) / total)
    head = [f"appends per second, synchronous={synchronous}", *WAYS, "the store : bare loop"]
    lines = []
    for senders in SENDERS:
        rate = {name: statistics.median(rates[name, senders]) for name in WAYS}
        cost = {name: statistics.median(costs[name, senders]) for name in WAYS}
        cells = [f"{rate[name]:,.0f} ({cost[name]:.1f})" for name in WAYS]
        share = rate["the store"] / rate["bare loop"]
        lines.append([f"{senders} sender{'s' if senders > 1 else ''}", *cells, f"{share:.0%}"])
    return table(head, lines)


def lengths() -> str:
    """The table of what does not depend on how long the log is."""
    head = ["milliseconds", "process ready", "open and close the store"]
    head += ["newest 50", "50 in the middle", "500 in the middle"]
    return table(head, [line_of(length) for length in LENGTHS])


def line_of(length: int) -> list[str]:
    """The line for a log of this length."""
    with directory() as place:
        path = place / "chat.db"
        with closing(new_file(path, "off")) as connection:
            connection.execute("BEGIN")
            connection.executemany(INSERT, (row(number) for number in range(length)))
            connection.execute("COMMIT")
        process = milliseconds(lambda: start_and_stop(path))
        opening = milliseconds(lambda: open_store(f"sqlite:///{path}").close())
        with closing(open_store(f"sqlite:///{path}")) as store:
            times = [
                milliseconds(lambda: store.read(limit=50, newest=True), READS),
                milliseconds(lambda: store.read(after=length // 2, limit=50), READS),
                milliseconds(lambda: store.read(after=length // 2), READS),
            ]
    cells = [f"{value:,.2f}" for value in (opening, *times)]
    return [f"{length:,} events", f"{process:,.0f}", *cells]


def start_and_stop(path: Path) -> None:
    """Start the server and wait until it accepts connections."""
    command = [sys.executable, "-m", "chatserver", "--port", str(free_port())]
    with subprocess.Popen(
        [*command, "--store", f"sqlite:///{path}"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the server did not start")
        process.kill()


def milliseconds(action: Callable[[], object], times: int = 5) -> float:
    """The median of how long it takes."""
    samples = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        samples.append(1000 * (time.perf_counter() - start))
    return statistics.median(samples)


def table(head: list[str], lines: list[list[str]]) -> str:
    """Markdown."""
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="a measurement's length")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are shown")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    settle_collector()
    print(f"{description()}. SQLite {sqlite3.sqlite_version}.\n")
    for synchronous in ("normal", "full"):
        print(appends(synchronous, options.seconds, options.rounds), flush=True)
    print(lengths())


if __name__ == "__main__":
    main()
