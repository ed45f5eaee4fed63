"""`python -m chatclient`: chat from a terminal, or from a script."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

from prompt_toolkit.utils import is_dumb_terminal

from capnweb_sync import __version__
from capnweb_sync.urls import parse_url

from .client import ChatClient
from .commands import HISTORY_EVENTS
from .completion import Words
from .looks import ink_for
from .program import Program
from .prompt import PromptTerminal
from .showing import Showing, Wishes
from .statuses import sentence
from .streams import NobodyReads, StreamError, finish_output, write_error, write_output
from .terminal import PlainTerminal, Terminal

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


class Parser(argparse.ArgumentParser):
    """A parser that says so when its help cannot be written."""

    def print_help(self, file: Any = None) -> None:
        """See argparse. Raises StreamError."""
        write_output(self.format_help())


def parser() -> Parser:
    """The options of the command line."""
    parser = Parser(
        prog="chatclient",
        description="Chat from a terminal. With pipes, each line of input is a message.",
        epilog=sentence(),
    )
    parser.add_argument("--version", action="version", version=f"chatclient {__version__}")
    parser.add_argument(
        "--url", type=websocket_url, default=URL, help="the server (default: %(default)s)"
    )
    parser.add_argument(
        "--username", metavar="NAME", help="asked for when not given, unless there is a token"
    )
    parser.add_argument(
        "--token",
        metavar="TOKEN",
        help="what one comes in by instead; others on this machine can read it here, and not in the"
        " environment variable CHAT_TOKEN",
    )
    parser.add_argument("--room", metavar="ROOM", help="where to be instead of in the lobby")
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
    parser.add_argument(
        "--wait",
        type=count,
        nargs="?",
        default=0,
        const=sys.maxsize,
        metavar="SECONDS",
        help="wait for a name that is taken (default: for as long as it takes)",
    )
    reading = parser.add_argument_group("reading on a terminal")
    reading.add_argument("--time", action="store_true", help="show when things were said")
    reading.add_argument("--ids", action="store_true", help="number the messages")
    reading.add_argument("--bell", action="store_true", help="ring for what means you")
    reading.add_argument("--all", action="store_true", help="show what is said in all rooms")
    reading.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: unless NO_COLOR is set (default)",
    )
    reading.add_argument(
        "--plain", action="store_true", help="lines and nothing else: for screen readers"
    )
    scripts = parser.add_argument_group("for scripts")
    scripts.add_argument("--json", action="store_true", help="write events as lines of JSON")
    scripts.add_argument(
        "--send", action="append", metavar="TEXT", help="say this, and go; may be repeated"
    )
    scripts.add_argument("--follow", action="store_true", help="stay after the end of the input")
    scripts.add_argument(
        "--since", type=count, metavar="ID", help="begin with what happened after this event"
    )
    return parser


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, which fit together; otherwise argparse complains. Raises StreamError."""
    known = parser()
    options = known.parse_args(arguments)
    if options.token and options.username:
        known.error("--token says who one is, and --username, too; give one of them")
    # What is said on the command line wins over the environment.
    if not options.username:
        options.token = options.token or os.environ.get("CHAT_TOKEN") or None
    if options.send is not None and not options.username and not options.token:
        known.error("--send needs --username, or a token")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the exit status."""
    try:
        try:
            return chat(options_of(arguments))
        finally:
            finish_output()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # Impatient: twice, or before there was a chat to leave.
    except NobodyReads:
        return 1
    except StreamError as error:
        write_error(f"{error}\n")
        return 1


def chat(options: argparse.Namespace) -> int:
    """Chat until the end of the input; the exit status. Raises StreamError."""
    if sys.stdout is None:
        write_output("")  # Says so before anyone is told that we have joined.
    is_person = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    interactive = is_person and not options.json and options.send is None
    program = Program(set(), interactive=interactive)
    edits = interactive and not options.plain and not is_dumb_terminal()
    ink = ink_for(os.environ, options.color, can=edits)
    terminal: Terminal
    if edits:
        words = Words(program.commands, program.names, program.behind)
        terminal = PromptTerminal(words, program, ink)
    else:
        terminal = PlainTerminal(
            ink,
            source=options.send,
            echoes=interactive,
            quiet=options.send is not None and not (options.json or options.follow),
            asks=write_error if options.json else write_output,
        )
    wishes = Wishes(options.time, options.ids, options.bell, options.all, options.json)
    showing = Showing(terminal, ink, wishes, interactive=interactive)
    history = options.history
    if history is None:
        history = HISTORY_EVENTS if interactive else 0

    def join(username: str) -> ChatClient:
        return ChatClient(
            options.url,
            None if options.token else username,
            token=options.token,
            reconnect=not options.no_reconnect,
            on_status=program.show_status,
        )

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its number.
            stream.reconfigure(errors="backslashreplace")
    # Being told to go is a reason to say goodbye.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Windows has no such signal, and nohup has it ignored.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hang_up)
    return program.run(
        terminal,
        showing,
        "" if options.token else options.username,
        join,
        room=options.room,
        since=options.since,
        history=history,
        follow=options.follow,
        wait=options.wait,
    )


def hang_up(number: int, frame: FrameType | None) -> None:
    """The terminal's window was closed. The shell says so as well as the kernel; the second time is
    no impatience."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def is_terminal(stream: object) -> bool:
    """Whether a standard stream is there and is a terminal."""
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())


if __name__ == "__main__":
    sys.exit(main())
