"""The commands of `python -m chatserver admin`, what each asks the server, and what it shows."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from capnweb_sync.urls import parse_url
from chatserver.admin.connection import (
    LONG_DAYS,
    TOKEN_DAYS,
    Administration,
    administer,
    token_of,
    url_of,
)
from chatserver.admin.tables import as_json, harmless, say, table
from chatserver.admin.watch import CONNECTIONS, PEOPLE, ROOMS, SANCTIONS, watch
from chatserver.errors import SettingError
from chatserver.settings import OneSentence, from_environment, text

LASTING: Final = re.compile(r"([1-9][0-9]{0,6})([smhdw])")
"""For how long: `10m`."""

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

LISTS: Final = {
    "people": (PEOPLE, "everyone known"),
    "connections": (CONNECTIONS, "who is there, once for each place of an account"),
    "rooms": (ROOMS, "all rooms but conversations"),
    "sanctions": (SANCTIONS, "bans from everywhere"),
}
"""What is listed, with the columns of its table."""

LONG: Final = ("watch", "export", "erase")
"""What may take hours."""

Given = argparse.Namespace


def run_admin_command(arguments: Sequence[str]) -> int:
    """Do what a command line asks for, which begins with `admin`. The exit status.

    Raises StartError with a sentence about what kept it from being done.
    """
    settings = from_environment()
    given = parser().parse_args(arguments[1:])
    settings = replace(
        settings,
        store=given.store or settings.store,
        port=given.port or settings.port,
        token_audience=given.token_audience or settings.token_audience,
    )
    if given.command == "erase" and not given.yes:
        raise SettingError("What is erased is gone for good; --yes says that it is meant.")
    days = LONG_DAYS if given.command in LONG else TOKEN_DAYS
    token = given.token or token_of(settings, days)
    with administer(given.url or url_of(settings), token) as admin:
        if given.command in LISTS:
            show_list(admin, given)
        elif given.command == "watch":
            watch(admin, given.every, given.json)
        else:
            DOING[given.command](admin, given)
    return 0


def show_list(admin: Administration, given: Given) -> None:
    """A list: a line of JSON for each, or a table."""
    found = list(admin.all(given.command))
    if given.json:
        for one in found:
            say(as_json(one))
    else:
        say("\n".join(table(LISTS[given.command][0], found)))


# ---- What is done


def ban(admin: Administration, given: Given) -> None:
    """Let somebody, or guests from an address, in no more."""
    whom = {"name": given.name} if given.name else {"address": given.address}
    number = admin.ask("ban", whom, given.lasting, given.reason)
    tell(given, {"id": number}, f"Banned; `admin lift {number}` ends it.")


def lift(admin: Administration, given: Given) -> None:
    """End a ban."""
    admin.ask("lift", given.id)
    tell(given, {"id": given.id}, "Lifted.")


def disconnect(admin: Administration, given: Given) -> None:
    """End all connections of somebody, who may come again."""
    ended = admin.ask("disconnect", given.name, given.reason)
    tell(given, {"ended": ended}, f"Connections and places ended: {ended}.")


def revoke(admin: Administration, given: Given) -> None:
    """Have no token of an account be good any more."""
    ended = admin.ask("revoke", given.name)
    tell(given, {"ended": ended}, f"No token of before is good any more; places ended: {ended}.")


def announce(admin: Administration, given: Given) -> None:
    """Tell everyone."""
    receipt = admin.ask("announce", given.text)
    tell(given, receipt, "Told everyone who is there, and those who come back.")


def close(admin: Administration, given: Given) -> None:
    """End a room."""
    admin.ask("closeRoom", given.room)
    tell(given, {"room": given.room}, "The room is closed.")


def export(admin: Administration, given: Given) -> None:
    """All that happened in a room, as JSON lines, which it is for people as well."""
    with admin.ask("export", given.room) as parts:
        for part in parts:
            say(part.removesuffix("\n"))


def erase(admin: Administration, given: Given) -> None:
    """Erase an account, and what it has said: as long as it takes."""
    admin.ask("erase", given.name, seconds=None)
    tell(given, {"name": given.name}, "Erased.")


def statistics(admin: Administration, given: Given) -> None:
    """How much there is."""
    numbers = admin.ask("statistics")
    rows = [{"of": name, "there are": number} for name, number in numbers.items()]
    tell(given, numbers, "\n".join(table(("of", "there are"), rows)))


def tell(given: Given, answer: Mapping[str, Any], sentence: str) -> None:
    """What came of it, for whom it was asked."""
    say(as_json(answer) if given.json else "\n".join(map(harmless, sentence.split("\n"))))


DOING: Final[dict[str, Callable[[Administration, Given], None]]] = {
    "disconnect": disconnect,
    "ban": ban,
    "lift": lift,
    "revoke": revoke,
    "announce": announce,
    "close": close,
    "export": export,
    "erase": erase,
    "statistics": statistics,
}


# ---- The command line


def parser() -> OneSentence:
    """What can be typed."""
    every = OneSentence(add_help=False)
    every.add_argument("--json", action="store_true", help="a line of JSON for each, for programs")
    where = every.add_argument_group("the server (on its own machine, found by its settings)")
    where.add_argument(
        "--url", type=websocket_url, metavar="URL", help="ws://127.0.0.1:8080/rpc/ws"
    )
    where.add_argument("--port", type=int, metavar="N", help="of this machine")
    where.add_argument("--token", metavar="TOKEN", help="an admin's, instead of one signed now")
    where.add_argument("--store", type=text, metavar="URL", help="beside which the secret lies")
    where.add_argument("--token-audience", type=text, metavar="TEXT")
    known = OneSentence(
        prog="python -m chatserver admin",
        description="Ask a running server, and tell it what to do, as an admin.",
        allow_abbrev=False,
    )
    commands = known.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, does: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=does, description=f"{does}.".capitalize(), parents=[every]
        )

    for name, (_, what) in LISTS.items():
        command(name, what)
    command("statistics", "how much there is")
    watching = command("watch", "all of it, again and again until Ctrl+C")
    watching.add_argument("--every", type=pause, default=2.0, metavar="SECONDS")
    one = command("disconnect", "end all connections of somebody, who may come again")
    one.add_argument("name", metavar="NAME")
    one.add_argument("--reason", default="", metavar="TEXT", help="which is told")
    one = command("ban", "let somebody in no more, or guests from an address")
    whom = one.add_mutually_exclusive_group(required=True)
    whom.add_argument("name", nargs="?", metavar="NAME")
    whom.add_argument("--address", metavar="ADDRESS")
    one.add_argument("--for", dest="lasting", type=lasting, metavar="TIME", help="30m, 12h, 7d …")
    one.add_argument("--reason", default="", metavar="TEXT", help="which is told")
    one = command("lift", "end a ban")
    one.add_argument("id", type=int, metavar="ID", help="as `sanctions` has it")
    one = command("revoke", "have no token of an account be good that was signed until now")
    one.add_argument("name", metavar="NAME")
    one = command("announce", "tell everyone")
    one.add_argument("text", metavar="TEXT")
    one = command("close", "end a room, for everybody")
    one.add_argument("room", metavar="ROOM")
    one = command("export", "all that happened in a room, as lines of JSON")
    one.add_argument("room", metavar="ROOM")
    one = command("erase", "erase an account, and all that it has said")
    one.add_argument("name", metavar="NAME")
    one.add_argument("--yes", action="store_true", help="it is meant")
    return known


def websocket_url(value: str) -> str:
    """Where a server is."""
    try:
        parse_url(value, "ws", "wss")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value


def lasting(value: str) -> int:
    """How many seconds `10m` are."""
    found = LASTING.fullmatch(value)
    if found is None:
        raise argparse.ArgumentTypeError("must be a time, like 30m, 12h or 7d")
    return int(found[1]) * SECONDS[found[2]]


def pause(value: str) -> float:
    """Seconds between two looks."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3_600:
        raise argparse.ArgumentTypeError("must be a number of seconds, from 0.1 to 3600")
    return seconds
