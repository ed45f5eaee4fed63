"""Who takes part: how each server is started, and what it speaks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.protocols import CapnWebSpeech, PlainSpeech, SocketIoSpeech, Speech

BENCH = Path(__file__).parent
YARDSTICK = "websockets"  # ratios are to this one
UNLIMITED_ADDRESSES: Final = os.environ.get("CHAT_UNLIMITED_ADDRESSES", "127.0.0.0/8")
"""Our own chat is measured with its rates off for the generator, as the others have none. Set it
empty, and the rates (`CHAT_MESSAGE_RATE` …) high, to measure what counting costs."""

_CAPACITY = "10100"  # connections; the default is just the largest room of the series


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        title: as it stands in the table.
        command: the command line for a port and a fresh directory that it may write to.
        speech: makes what its members speak.
        sizes: whether it takes part in the series over sizes of the room.
    """

    title: str
    command: Callable[[int, Path], list[str]]
    speech: Callable[[], Speech]
    sizes: bool = False


def _python(script: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: [sys.executable, str(BENCH / "peers" / script), str(port)]


def _node(script: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: ["node", str(BENCH / "peers" / script), str(port)]


def _chatserver(store: str) -> Callable[[int, Path], list[str]]:
    def command(port: int, directory: Path) -> list[str]:
        url = store.format(directory=directory)
        options = ["--store", url, "--port", str(port), "--max-connections", _CAPACITY]
        options += ["--unlimited-addresses", UNLIMITED_ADDRESSES]
        return [sys.executable, "-m", "chatserver", *options]

    return command


def _ours() -> Speech:
    return CapnWebSpeech("/rpc/ws", acknowledges=False)


def _reference() -> Speech:
    return CapnWebSpeech("/", acknowledges=True)


CONTENDERS = {
    "chatserver": Contender("this server, `memory:`", _chatserver("memory:"), _ours, sizes=True),
    "chatserver-sqlite": Contender(
        "this server, `sqlite:` (the default)",
        _chatserver("sqlite:///{directory}/chat.db"),
        _ours,
        sizes=True,
    ),
    "websockets": Contender(
        "`websockets` (Python, uvloop), `broadcast`",
        _python("websockets_server.py"),
        PlainSpeech,
        sizes=True,
    ),
    "ws": Contender("`ws` on Node, plain frames", _node("ws_server.mjs"), PlainSpeech),
    "flask-socketio": Contender(
        "Flask-SocketIO on gevent", _python("flask_socketio_server.py"), SocketIoSpeech
    ),
    "socketio": Contender("Socket.IO on Node", _node("socketio_server.mjs"), SocketIoSpeech),
    "gevent-websocket": Contender(
        "gevent-websocket used plainly, JSON per recipient",
        _python("gevent_websocket_server.py"),
        PlainSpeech,
    ),
    "capnweb": Contender(
        "the npm package `capnweb` on Node, awaiting each `onMessage`",
        _node("capnweb_server.mjs"),
        _reference,
    ),
    "bare-send": Contender(
        "one bare `socket.send` per delivery in Python (the kernel's price)",
        _python("bare_send.py"),
        PlainSpeech,
    ),
}


def missing(name: str) -> str | None:
    """Why a contender cannot take part here, or None if it can."""
    command = CONTENDERS[name].command(0, BENCH)
    if command[0] == "node" and shutil.which("node") is None:
        return "Node.js is not installed"
    return None
