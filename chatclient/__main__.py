"""`python -m chatclient`: chat from a terminal, or from a script."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from capnweb_sync.urls import parse_url

from .client import ChatClient
from .program import COMMANDS, HISTORY_EVENTS, Program
from .terminal import PlainTerminal, PromptTerminal, Terminal

URL: Final = "ws://127.0.0.1:8080/rpc/ws"


def websocket_url(text: str) -> str:
    """`text`, if it is a WebSocket URL; argparse complains otherwise."""
    try:
        parse_url(text, "ws", "wss")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def count(text: str) -> int:
    """`text` as a whole number from 0 on; argparse complains otherwise."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number from 0 on, not {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="chatclient",
        description="Chat from a terminal. With pipes, each line of input is a message.",
    )
    parser.add_argument(
        "--url", type=websocket_url, default=URL, help="the server (default: %(default)s)"
    )
    parser.add_argument("--username", metavar="NAME", help="asked for when not given")
    parser.add_argument(
        "--history",
        type=count,
        metavar="N",
        help="how much of what happened before is shown (default: 20 on a terminal, 0 on a pipe)",
    )
    parser.add_argument(
        "--no-reconnect",
        action="store_true",
        help="end when the connection is lost instead of coming back",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the exit status."""
    options = parser().parse_args(arguments)
    interactive = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    names: set[str] = set()
    terminal: Terminal = PromptTerminal(COMMANDS, names) if interactive else PlainTerminal()
    history = options.history
    if history is None:
        history = HISTORY_EVENTS if interactive else 0

    def join(username: str) -> ChatClient:
        return ChatClient(
            options.url,
            username,
            reconnect=not options.no_reconnect,
            history=history,
            on_status=lambda status: terminal.show(str(status)),
        )

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its number.
            stream.reconfigure(errors="backslashreplace")
    # Being told to go is a reason to say goodbye.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return Program(names, interactive=interactive).run(terminal, options.username, join)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # Impatient: twice, or before there was a chat to leave.
    except BrokenPipeError:
        # Nobody reads; nor shall the interpreter try to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def is_terminal(stream: object) -> bool:
    """Whether a standard stream is there and is a terminal."""
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())


if __name__ == "__main__":
    sys.exit(main())
