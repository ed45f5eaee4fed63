"""Where settings are read: the environment, Flask's configuration, the command line."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, Final

from flask import Config

from capnweb_sync import __version__
from capnweb_sync.urls import without_password
from chatserver.errors import SettingError, StartError
from chatserver.output import write_output
from chatserver.settings.table import Settings

ENVIRONMENT_PREFIX: Final = "CHAT"


def from_environment() -> Settings:
    """The settings that the environment's variables and the defaults give. Raises SettingError."""
    config = Config(".")
    config.from_prefixed_env(ENVIRONMENT_PREFIX)
    return from_config(config)


def from_config(config: Mapping[str, Any]) -> Settings:
    """The settings in Flask's configuration, where `from_prefixed_env` has put those of the
    environment.

    Raises SettingError for a value that does not fit, naming its variable.
    """
    given = {}
    for entry in fields(Settings):
        value = config.get(entry.name.upper())
        # Of what can be listed, nothing is a list, too.
        if value is not None and (value != "" or isinstance(entry.default, tuple)):
            variable = f"{ENVIRONMENT_PREFIX}_{entry.name.upper()}"
            given[entry.name] = parsed(entry, value, variable)
    return Settings(**given)


def parsed(entry: "Field[Any]", value: Any, name: str) -> Any:
    """`value` as the setting wants it. Flask reads variables as JSON where it can, so a value may
    be a number; several origins are a list, or stand with commas between them."""
    parse = entry.metadata["parse"]
    try:
        if isinstance(entry.default, tuple):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(parse(part) for part in map(clean, parts) if part)
        return parse(str(value))
    except (TypeError, ValueError) as error:
        shown = name if "secret" in entry.metadata else f"{name}={value}"
        raise SettingError(f"{shown}: {entry.name.replace('_', ' ')} {error}.") from None


def clean(part: Any) -> str:
    """One of several values, as `parsed` takes it."""
    return str(part).strip()


USAGE_STATUS: Final = 2
"""The exit status for settings that do not fit, as argparse has it."""


class OneSentence(argparse.ArgumentParser):
    """A parser that complains in one sentence, without the whole usage before it."""

    def print_help(self, file: Any = None) -> None:
        """See argparse. Raises StartError."""
        failure = write_output(self.format_help())
        if failure is not None:
            raise StartError(f"Standard output cannot be written to: {failure.strerror}.")

    def error(self, message: str) -> Any:
        self.exit(USAGE_STATUS, f"{self.prog}: {message} (--help lists the options)\n")


def parse_arguments(arguments: Sequence[str] | None, defaults: Settings) -> Settings:
    """The settings of a command line; what it does not say is as in `defaults`.

    `arguments=None`: those of this process. Exits with status 2 after one sentence on standard
    error if an option is unknown or does not fit. Raises SettingError if two do not go together.
    """
    parser = OneSentence(
        prog="python -m chatserver",
        description="The chat server. Every option can also be set in the environment:"
        " CHAT_PORT is --port, and so on. Commands beside it, which have --help, too: backup FILE"
        " copies the database while it is in use, check says whether all that must hold of what is"
        " stored holds, export FILE and import FILE carry it from one engine to the other, invite"
        " NAME makes a token with which somebody comes in.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"chatserver {__version__}")
    options = [entry for entry in fields(Settings) if "secret" not in entry.metadata]
    for entry in options:
        default = getattr(defaults, entry.name)
        if isinstance(entry.default, bool):
            parser.add_argument(
                option(entry), action="store_true", default=None, help=described(entry)
            )
            continue
        known = ", ".join(map(str, default)) if isinstance(default, tuple) else default
        shown = "" if known in (None, "") else f" (default: {without_password(str(known))})"
        parser.add_argument(
            option(entry),
            type=_argument_type(entry),
            metavar=entry.metadata["metavar"],
            help=described(entry) + shown,
            action="append" if isinstance(entry.default, tuple) else "store",
        )
    given = vars(parser.parse_args(arguments))
    settings: dict[str, Any] = {"secret": defaults.secret}
    for entry in options:
        value = given[entry.name]
        if value is None:
            value = getattr(defaults, entry.name)
        several = isinstance(entry.default, tuple)
        settings[entry.name] = tuple(part for part in value if part != "") if several else value
    return Settings(**settings)


def option(entry: "Field[Any]") -> str:
    """What a setting is called on the command line."""
    return f"--{entry.name.replace('_', '-')}"


def described(entry: "Field[Any]") -> str:
    """What a setting is for, as argparse takes it."""
    text: str = entry.metadata["help"]
    return text.replace("%", "%%")


def _argument_type(entry: "Field[Any]") -> Callable[[str], Any]:
    parse = entry.metadata["parse"]

    def convert(value: str) -> Any:
        if not value and isinstance(entry.default, tuple):
            return value
        try:
            return parse(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{value!r} {error}") from None

    return convert
