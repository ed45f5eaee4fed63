"""The command line: which command it is, and how the process ends."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

from capnweb_sync import RpcError, __version__

from .call import call
from .output import harmless
from .spelling import StubsError
from .stubs import stubs

Command = Callable[[Sequence[str]], int]

COMMANDS: Final[dict[str, tuple[Command, str]]] = {
    "call": (call, "call a method of a Cap'n Web server and print its result"),
    "stubs": (stubs, "write the module that tells type checkers what a server offers"),
}
"""By name, what runs the command with the rest of the command line, and what it is for."""

FAILED: Final = 1
"""The exit status when a call, or what it needs, has failed; argparse ends with 2 for what was
typed wrongly."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the exit status."""
    commands = "\n".join(f"  {name:<8} {purpose}" for name, (_, purpose) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="capnweb",
        description="Cap'n Web from the shell.",
        epilog=f"commands:\n{commands}\n\n'capnweb COMMAND --help' tells the rest.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"capnweb {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…", help="what it takes")
    options = parser.parse_args(arguments)
    command, _ = COMMANDS[options.command]
    if hasattr(sys, "set_int_max_str_digits"):
        # The session has its own bound, and what passed it is to be printed.
        sys.set_int_max_str_digits(0)
    try:
        return command(options.rest)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nobody reads; nor shall the interpreter try to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (RpcError, OSError, StubsError, concurrent.futures.TimeoutError) as error:
        sys.stderr.write(harmless(f"capnweb: {code_of(error)}: {error}") + "\n")
        return FAILED


def code_of(error: BaseException) -> str:
    """What programs know an error by: its code, or else the name of its class."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    if isinstance(error, (TimeoutError, concurrent.futures.TimeoutError)):
        return "timeout"
    return getattr(error, "name", None) or type(error).__name__
