"""`python -m chatserver invite NAME`: a token with which somebody comes in, and a link that has it.

The link carries it behind `#`, which no browser sends to any server.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from chatserver.entrance import keys_of
from chatserver.errors import BadRequest, SettingError, StartError
from chatserver.output import write_output
from chatserver.people.token_keys import SecretFile, SharedSecret
from chatserver.people.tokens import TOKEN_DAYS, issue
from chatserver.settings import OneSentence, Settings, from_environment, text

DEFAULT_ORIGIN: Final = "http://127.0.0.1:8080"
"""Where the page is unless the operator says otherwise."""

MAX_DAYS: Final = 3650.0
"""Days for which a token is good at most: who needs longer makes another one."""


def run_invite_command(arguments: Sequence[str]) -> int:
    """Print what a command line asks for, which begins with `invite`. The exit status.

    Raises StartError with a sentence about what kept it from being done.
    """
    defaults = from_environment()
    parser = OneSentence(
        prog="python -m chatserver invite",
        description="Make tokens with which these people come in, and links that have them. Whoever"
        " has one is that person: hand it over as you would a password.",
        allow_abbrev=False,
    )
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument(
        "--days", type=days, default=TOKEN_DAYS, metavar="N", help=f"(default: {TOKEN_DAYS:g})"
    )
    parser.add_argument(
        "--role", choices=("member", "moderator", "admin"), default="member", metavar="ROLE"
    )
    parser.add_argument(
        "--room", action="append", metavar="ROOM", help="the only room that it is for; repeatable"
    )
    parser.add_argument(
        "--url", default=DEFAULT_ORIGIN, metavar="URL", help="where the page is, for the link"
    )
    parser.add_argument("--store", type=text, default=defaults.store, metavar="URL")
    parser.add_argument("--token-audience", type=text, default=defaults.token_audience)
    given = parser.parse_args(arguments[1:])
    secret = secret_of(replace(defaults, store=given.store))
    for name in given.names:
        try:
            token = issue(
                name,
                secret,
                days=given.days,
                role=given.role,
                rooms=given.room,
                audience=given.token_audience,
            )
        except BadRequest as error:
            raise SettingError(str(error)) from None
        failure = write_output(f"{given.url.rstrip('/')}/#token={token}\n{token}\n")
        if failure is not None:
            raise StartError(f"Standard output cannot be written to: {failure.strerror}.")
    return 0


def secret_of(settings: Settings) -> Any:
    """What this server's tokens are signed with; made now if it has a place and is not there.
    Raises StartError."""
    keys = keys_of(settings)
    if isinstance(keys, SecretFile):
        keys.make()
    elif not isinstance(keys, SharedSecret):
        raise StartError(
            "Tokens are signed elsewhere, by whoever has the private keys."
            if keys
            else "There is no secret to sign tokens with; set CHAT_SECRET, here and for the server,"
            " to 32 random bytes or more (openssl rand -hex 32)."
        )
    found = keys.find(None)
    assert found is not None, "It was made."
    return found[0]


def days(value: str) -> float:
    """For how many days a token is good."""
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"must be a number of days, {MAX_DAYS:g} at most")
    return found
