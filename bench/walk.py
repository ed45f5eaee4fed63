"""The way of one message through the code, function by function.

    .venv/bin/python -m bench.walk [message | join | call] [--brief]

Serves the chat (on gevent, the store in memory) and traces its process while somebody who speaks
the wire by hand says something (`message`: from the socket to every `onMessage` of three members)
or comes in (`join`: to the answer and to the event that the members hear); and traces a client's
process while it calls a method of a stub and waits for the result (`call`, all threads of it).
Prints each function of the three packages that was called, with its file, indented below the one
that called it, and how many they were. What the clock starts is not part of the way, so each is
walked a few times and the commonest is shown. `docs/architecture.md` has the figures.

The packages are those that Python finds, so that another version is walked with `PYTHONPATH`:

    PYTHONPATH=OTHER_CHECKOUT:. python bench/walk.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from bench.contenders import BENCH
from bench.frames import masked, split, upgrade_request
from bench.machine import Server, free_port

WALKS: Final = ("message", "join", "call")

ROUNDS: Final = 9
"""How often a way is walked; some rounds meet the work of a timer."""

MEMBERS: Final = 3

PACKAGES: Final = ("capnweb_sync", "chatserver", "chatclient")

ANSWER_SECONDS: Final = 10.0
"""How long anything here may take."""


class Call(NamedTuple):
    """One call of a function of ours. `depth` is below how many others it is, on its `thread`."""

    depth: int
    path: str
    function: str
    thread: int


class Recorder:
    """Notes calls of the packages' functions, in all threads and greenlets made after it.

    The profiler is set once and for all; `calls` says whether it notes anything. A greenlet that
    began before would not be seen.
    """

    def __init__(self) -> None:
        self._calls: list[Call] | None = None
        self._paths: dict[str, str] = {}
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def record(self, act: Callable[[], None]) -> list[Call]:
        """The calls that were made while `act` ran."""
        calls = self._calls = []
        try:
            act()
        finally:
            self._calls = None
        return calls

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        calls = self._calls
        if event != "call" or calls is None or frame.f_code.co_name.startswith("<"):
            return  # a comprehension is a part of its function
        path = self._path(frame.f_code.co_filename)
        if path:
            depth, above = 0, frame.f_back
            while above is not None:
                depth += bool(self._path(above.f_code.co_filename))
                above = above.f_back
            calls.append(Call(depth, path, _name(frame), threading.get_native_id()))

    def _path(self, filename: str) -> str:
        """The file below its package's folder; empty for one that is not ours."""
        path = self._paths.get(filename)
        if path is None:
            parts = Path(filename).parts
            ours = [at for at, part in enumerate(parts) if part in PACKAGES]
            at = ours[-1] if ours and "site-packages" not in parts else None
            path = self._paths[filename] = "" if at is None else "/".join(parts[at:])
        return path


def _name(frame: FrameType) -> str:
    """A function with its class, as far as the frame tells it."""
    code = frame.f_code
    name = getattr(code, "co_qualname", "")  # from Python 3.11 on
    if not name:
        name = code.co_name
        for cls in type(frame.f_locals.get("self")).__mro__:
            if getattr(vars(cls).get(name), "__code__", None) is code:
                return f"{cls.__name__}.{name}"
    return name.replace(".<locals>", "")


class Speaker:
    """A client of the chat that writes its messages by hand."""

    def __init__(self, port: int) -> None:
        from gevent import socket

        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
        self._socket.sendall(upgrade_request("/rpc/ws", port))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(4096)
        self._rest = head.partition(b"\r\n\r\n")[2]
        self._asked = 0

    def ask(self, method: str, *args: Any) -> int:
        """Call a method of the chat and ask for its result; the number of the call."""
        self._asked += 1
        push = json.dumps(["push", ["pipeline", 0, [method], list(args)]])
        pull = json.dumps(["pull", self._asked])
        self._socket.sendall(masked(push.encode()) + masked(pull.encode()))
        return self._asked

    def read_until(self, *texts: str) -> None:
        """Read until a message with each of these texts has come."""
        missing = set(texts)
        while missing:
            frames, self._rest = split(self._rest)
            for _, payload in frames:
                missing -= {text for text in missing if text in payload.decode()}
            if missing:
                data = self._socket.recv(65536)
                if not data:
                    raise RuntimeError("the server has closed the connection")
                self._rest += data

    def join(self, name: str) -> None:
        """Come in; until the own join is told."""
        number = self.ask("join", name, {"onMessage": ["export", -1]})
        self.read_until(f'["resolve",{number},', f'"user":"{name}"')


class ChatWalks:
    """The chat's server and its members, all in this process."""

    def __init__(self, recorder: Recorder) -> None:
        from gevent.pywsgi import WSGIServer

        from capnweb_sync.server import WebSocketHandler
        from chatserver import create_app

        self._recorder = recorder
        app = create_app({"STORE": "memory:"})
        self._server = WSGIServer(
            ("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None, error_log=None
        )
        self._server.start()
        self._port = int(self._server.server_port or 0)
        self._members = [self._member(f"Member{number}") for number in range(MEMBERS)]
        self._said = 0

    def _member(self, name: str) -> Speaker:
        speaker = Speaker(self._port)
        speaker.join(name)
        return speaker

    def message(self) -> list[Call]:
        """From the bytes of `sendMessage` to its answer and every `onMessage`."""
        self._said += 1
        text = f"Hello {self._said}!"
        speaker = self._members[0]

        def act() -> None:
            number = speaker.ask("sendMessage", "Member0", text)
            speaker.read_until(f'["resolve",{number},', text)
            for member in self._members[1:]:
                member.read_until(text)

        _let_settle()
        return self._recorder.record(act)

    def join(self) -> list[Call]:
        """From the bytes of `join` to its answer and to the event that all members hear."""
        self._said += 1
        name = f"Newcomer{self._said}"
        newcomer = Speaker(self._port)

        def act() -> None:
            newcomer.join(name)
            for member in self._members:
                member.read_until(f'"user":"{name}"')

        _let_settle()
        return self._recorder.record(act)


def _let_settle() -> None:
    """Wait until nothing is gathered any more: releases and notices go out within a second."""
    import gevent

    gevent.sleep(1.2)


def client_call(recorder: Recorder, port: int, rounds: int) -> list[list[Call]]:
    """One call of a stub with its result, in the client's process, so many times."""
    from capnweb_sync import connect

    with connect(f"ws://127.0.0.1:{port}/") as session:

        def act() -> None:
            with session.main.add(1, 2) as promise:
                if promise.result(ANSWER_SECONDS) != 3:
                    raise RuntimeError("the server has added wrongly")

        return [recorder.record(act) for _ in range(rounds)]


def walk(name: str, rounds: int) -> list[Call]:
    """The calls of one of `WALKS`, without what timers did in between."""
    if name == "call":
        port = free_port()
        command = [sys.executable, str(BENCH / "peers" / "rpc_server.py"), str(port)]
        server = Server(command, Path.cwd(), port, core=None)
        try:
            walked = client_call(Recorder(), port, rounds)
        finally:
            server.stop()
    else:
        from gevent import monkey

        monkey.patch_all()
        walks = ChatWalks(Recorder())
        one = walks.message if name == "message" else walks.join
        walked = [one() for _ in range(rounds)]
    lengths = Counter(len(calls) for calls in walked[1:])  # the first fills caches
    commonest, _ = min(lengths.items(), key=lambda item: (-item[1], item[0]))
    return next(calls for calls in walked[1:] if len(calls) == commonest)


def summary(calls: list[Call]) -> str:
    """How long a way is."""
    files = {call.path for call in calls}
    return f"{len(calls)} calls through {len(files)} files"


def main() -> None:
    """Print the ways that were asked for, each from a process of its own."""
    parser = argparse.ArgumentParser(prog="bench.walk", description=__doc__)
    parser.add_argument("walk", nargs="?", choices=WALKS, help="which way (all of them)")
    parser.add_argument("--brief", action="store_true", help="only how long they are")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often, two at least")
    arguments = parser.parse_args()
    if arguments.walk is None:
        for name in WALKS:
            options = ["--rounds", str(arguments.rounds), *(["--brief"] if arguments.brief else [])]
            command = [sys.executable, __file__, name, *options]
            root = str(Path(__file__).resolve().parent.parent)
            way = os.environ.get("PYTHONPATH")
            env = {**os.environ, "PYTHONPATH": f"{way}{os.pathsep}{root}" if way else root}
            subprocess.run(command, check=True, env=env)
        return
    calls = walk(arguments.walk, arguments.rounds)
    print(f"{arguments.walk}: {summary(calls)}")
    if not arguments.brief:
        threads = list(dict.fromkeys(call.thread for call in calls))
        for thread in threads:
            if len(threads) > 1:
                print("-- the caller's thread" if thread == threads[0] else "-- another thread")
            ours = [call for call in calls if call.thread == thread]
            least = min(call.depth for call in ours)
            for call in ours:
                print(f"{'  ' * (call.depth - least)}{call.function}  ({call.path})")


if __name__ == "__main__":
    main()
