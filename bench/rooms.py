"""Measure rooms; print tables in Markdown.

    python -m bench.rooms
    python -m bench.rooms --seconds 1 --rounds 1      # rough, a minute

The same 1,000 members are one room, 10 rooms of 100 and 100 rooms of 10, and MANY_UNDER_WAY
messages are under way in all, at least one in each room. Beside them stands Socket.IO with its
rooms. The server's rates are off. Servers have one core, the load generator the other; rounds are
interleaved, and medians shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contenders import BENCH, CONTENDERS
from bench.crowd import Crowd, quiet_collector
from bench.machine import Server, allow_connections, description, free_port
from bench.measure import MANY_UNDER_WAY
from bench.protocols import CapnWebRoomsSpeech, CapnWebSpeech, SocketIoSpeech, Speech
from capnweb_sync import ClientSession, RpcTarget, connect

MEMBERS = 1_000
SHAPES = (1, 10, 100)  # rooms
_IDLE = 200  # members whose memory is measured
_RESUMED_ROOMS = 20  # of a guest, at most
_MADE = 5  # rooms that one guest makes
_MISSED = 10  # messages in each of them
_LISTED = 1_000  # public rooms
_TRIES = 20
_QUIET = 0.5  # seconds without a byte
_MS = 1_000  # milliseconds in a second
_US = 1_000_000  # microseconds in a second


@contextmanager
def serving(contender: str, core: int) -> Iterator[tuple[Server, int]]:
    """A server of this kind, and its port."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        server = Server(
            CONTENDERS[contender].command(port, Path(directory)), BENCH.parent, port, core
        )
        try:
            yield server, port
        finally:
            server.stop()


def in_all(crowds: list[Crowd], seconds: float) -> int:
    """Keep messages under way in all rooms for `seconds`; how many deliveries there were."""
    each = max(1, MANY_UNDER_WAY // len(crowds))
    before = sum(crowd.deliveries for crowd in crowds)
    deadline = time.perf_counter() + seconds
    for crowd in crowds:
        crowd.begin(each)
    while any(crowd.under_way for crowd in crowds):
        more = time.perf_counter() < deadline
        for crowd in crowds:
            crowd.pump(more=more)
    return sum(crowd.deliveries for crowd in crowds) - before


def fan_out(
    contender: str, speech: Callable[[int], Speech], rooms: int, seconds: float, core: int
) -> tuple[float, float]:
    """Deliveries per second of the server's CPU time; microseconds of it for each who comes in."""
    with serving(contender, core) as (server, port):
        crowds = [Crowd(speech(number), port, name=f"room{number}-") for number in range(rooms)]
        try:
            cpu = server.cpu_seconds()
            for crowd in crowds:
                crowd.join(MEMBERS // rooms)
            for crowd in crowds:
                crowd.settle(_QUIET / rooms)
            entering = (server.cpu_seconds() - cpu) / MEMBERS * _US
            in_all(crowds, seconds / 2)
            cpu = server.cpu_seconds()
            deliveries = in_all(crowds, seconds)
            return deliveries / (server.cpu_seconds() - cpu), entering
        finally:
            for crowd in crowds:
                crowd.close()


def memory(speech: Speech, core: int, rooms: list[str] | None = None) -> float:
    """KiB of an idle member; `rooms` are made by others before."""
    with serving("chatserver", core) as (server, port):
        crowd = Crowd(speech, port)
        makers = [
            Crowd(CapnWebRoomsSpeech((rooms or [])[first : first + _MADE]), port, f"maker{first}-")
            for first in range(0, len(rooms or []), _MADE)
        ]
        try:
            for maker in makers:
                maker.join(1)
            crowd.join(1)
            crowd.settle(_QUIET)
            before = server.memory_kib()
            crowd.join(_IDLE)
            crowd.settle(_QUIET)
            return (server.memory_kib() - before) / _IDLE
        finally:
            for opened in (crowd, *makers):
                opened.close()


class Counter(RpcTarget):
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0

    def onMessage(self, event: dict[str, Any]) -> None:
        """Count an event."""
        self.heard += event["type"] == "chat"


def log_in(session: ClientSession, name: str, **options: Any) -> tuple[Any, Counter]:
    """Somebody who has logged in, and what it hears."""
    counter = Counter()
    return session.main.login(counter, {"name": name, **options}), counter


def coming_back(contender: str, core: int) -> float:
    """Milliseconds until somebody in many rooms has heard in all of them what was missed."""
    with serving(contender, core) as (_, port):
        url = f"ws://127.0.0.1:{port}/rpc/ws"
        names = [f"room{number}" for number in range(_RESUMED_ROOMS)]
        taken: list[float] = []
        with connect(url) as speaking:
            for first in range(0, len(names), _MADE):
                maker, _ = log_in(speaking, f"Maker {first}")
                for name in names[first : first + _MADE]:
                    maker.enter(name).info.result(10)
            speaker, _ = log_in(speaking, "Speaker")
            rooms = [speaker.enter(name) for name in names]
            for number in range(_TRIES):
                with connect(url) as lost:
                    person, _ = log_in(lost, f"Reader {number}")
                    for name in names:
                        person.enter(name).info.result(10)
                    me = person.me.result(10)
                    lost.close(4000, "lost")
                for _ in range(_MISSED):
                    said = [room.say("hello") for room in rooms]
                    for promise in said:
                        promise.result(10)
                with connect(url) as second:
                    began = time.perf_counter()
                    since = {"since": me["lastId"], "epoch": me["epoch"], "resume": me["resume"]}
                    person, counter = log_in(second, f"Reader {number}", **since)
                    while counter.heard < _MISSED * _RESUMED_ROOMS:
                        time.sleep(0.0002)
                    taken.append(time.perf_counter() - began)
                    person.logout().result(10)
        return statistics.median(taken) * _MS


def listing(contender: str, core: int) -> float:
    """Milliseconds until somebody has the list of many public rooms, a hundred at a time."""
    with serving(contender, core) as (_, port):
        url = f"ws://127.0.0.1:{port}/rpc/ws"
        made = 0
        with connect(url) as session:
            while made < _LISTED:
                person, _ = log_in(session, f"Maker {made}")
                for _ in range(_MADE):
                    person.enter(f"room{made:04}").say("hello").result(10)
                    made += 1
                person.logout().result(10)
            person, _ = log_in(session, "Reader")
            taken: list[float] = []
            for _ in range(_TRIES):
                began = time.perf_counter()
                found: list[Any] = []
                while part := person.rooms(
                    {"after": found[-1]["name"] if found else None, "limit": 100}
                ).result(10):
                    found += part
                taken.append(time.perf_counter() - began)
                assert len(found) > _LISTED
        return statistics.median(taken) * _MS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measured window")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    allow_connections(MEMBERS + 200)
    quiet_collector()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    print(description(), "\n")

    def ours(number: int) -> Speech:
        return CapnWebRoomsSpeech([f"room{number}"])

    def theirs(number: int) -> Speech:
        return SocketIoSpeech(f"room{number}")

    def lobby(number: int) -> Speech:
        return CapnWebSpeech("/rpc/ws", acknowledges=False)

    rows: list[tuple[str, str, Callable[[int], Speech], int]] = [
        ("the lobby, by `join`", "chatserver", lobby, 1),
        *[("this server, `memory:`", "chatserver", ours, rooms) for rooms in SHAPES],
        *[("this server, `sqlite:`", "chatserver-sqlite", ours, rooms) for rooms in SHAPES],
        *[("Socket.IO on Node", "socketio", theirs, rooms) for rooms in SHAPES],
    ]
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(options.rounds):
        for number, (_, contender, speech, rooms) in enumerate(rows):
            found[number].append(fan_out(contender, speech, rooms, options.seconds, cores[0]))
    print("| server | rooms × members | deliveries per CPU second | µs of CPU to come in |")
    print("|---|---|---:|---:|")
    for number, (title, _, _, rooms) in enumerate(rows):
        deliveries = statistics.median(one[0] for one in found[number])
        entering = statistics.median(one[1] for one in found[number])
        print(f"| {title} | {rooms} × {MEMBERS // rooms} | {deliveries:,.0f} | {entering:,.0f} |")
    print("\n| | `memory:` | `sqlite:` |\n|---|---:|---:|")
    engines = ("chatserver", "chatserver-sqlite")
    back = [coming_back(engine, cores[0]) for engine in engines]
    lists = [listing(engine, cores[0]) for engine in engines]
    missed = f"coming back into {_RESUMED_ROOMS} rooms with {_MISSED} messages in each, ms"
    print(f"| {missed} | {back[0]:.1f} | {back[1]:.1f} |")
    print(f"| the list of {_LISTED:,} rooms, in parts, ms | {lists[0]:.1f} | {lists[1]:.1f} |")
    print("\n| an idle member | KiB |\n|---|---:|")
    print(f"| of the lobby, by `join` | {memory(lobby(0), cores[0]):.2f} |")
    print(f"| in 1 room | {memory(ours(0), cores[0]):.2f} |")
    names = [f"room{number}" for number in range(_RESUMED_ROOMS)]
    many = memory(CapnWebRoomsSpeech(names), cores[0], names)
    print(f"| in {_RESUMED_ROOMS} rooms | {many:.2f} |")


if __name__ == "__main__":
    main()
