"""What an operator can set: one table, from which come the options of the command line, the
`CHAT_…` variables of the environment, and the defaults.

A field `max_connections` of `Settings` is `--max-connections` on the command line,
`CHAT_MAX_CONNECTIONS` in the environment and `MAX_CONNECTIONS` in Flask's configuration. The
command line wins over the environment, the environment over the default.
"""

import argparse
import ipaddress
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Annotated, Any, Final

from flask import Config
from msgspec import Meta, ValidationError, convert

from capnweb_sync import __version__
from capnweb_sync.origins import parse_origin
from capnweb_sync.server import HttpLimits
from capnweb_sync.urls import without_password
from chatserver.addresses import host
from chatserver.errors import SettingError, StartError
from chatserver.logs import FORMATTERS
from chatserver.output import write_output
from chatserver.people.limits import Network, Rate, RateLimits, ip_address, subscriber
from chatserver.people.token_terms import AUDIENCE, MIN_SECRET_BYTES, Guests, OpenRooms
from chatserver.store.interface import Policy

ENVIRONMENT_PREFIX: Final = "CHAT"

MIB: Final = 1024 * 1024

MAX_PORT: Final = 65_535
"""The largest TCP port (RFC 9293, section 3.1)."""

MIN_OUTBOX: Final = 64 * 1024
MIN_MEMORY: Final = 64 * MIB
"""Bytes: four clients that keep all that one may."""

MIN_MESSAGE: Final = 16 * 1024
"""Bytes that any conversation needs: an event of 4,000 characters, and its like."""

FINITE: Final = sys.float_info.max
"""Neither infinite nor no number at all."""


def text(value: str) -> str:
    """Any text but none."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value


# For each: `title` is its type, and `description` its bounds, in the words of an error.
Port = Annotated[
    int, Meta(ge=0, le=MAX_PORT, title="a whole number", description=f"from 0 to {MAX_PORT}")
]
OwnPort = Annotated[
    int, Meta(ge=1, le=MAX_PORT, title="a whole number", description=f"from 1 to {MAX_PORT}")
]
CountOrZero = Annotated[int, Meta(ge=0, title="a whole number", description="0 or more")]
Count = Annotated[int, Meta(ge=1, title="a whole number", description="1 or more")]
OutboxBytes = Annotated[
    int,
    Meta(ge=MIN_OUTBOX, title="a whole number", description=f"{MIN_OUTBOX} or more"),
]
MemoryBytes = Annotated[
    int,
    Meta(ge=MIN_MEMORY, title="a whole number", description=f"{MIN_MEMORY} or more"),
]
MessageBytes = Annotated[
    int,
    Meta(ge=MIN_MESSAGE, title="a whole number", description=f"{MIN_MESSAGE} or more"),
]
Seconds = Annotated[float, Meta(ge=0, le=FINITE, title="a number", description="0 or more")]
Positive = Annotated[float, Meta(gt=0, le=FINITE, title="a number", description="more than 0")]
"""Seconds, days, or bytes a second."""


def read_as(kind: Any) -> Callable[[str], Any]:
    """The `parse` of a setting that one of the types above declares."""
    plain, meta = kind.__origin__, kind.__metadata__[0]

    def parse(value: str) -> Any:
        try:
            parsed = plain(value)
        except ValueError:
            raise ValueError(f"must be {meta.title}") from None
        try:
            return convert(parsed, kind)
        except ValidationError:
            raise ValueError(f"must be {meta.description}") from None

    return parse


def network(value: str) -> Network:
    """An IP address or a range of them."""
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an IP address, or a range like 192.0.2.0/24") from None


def log_level(value: str) -> str:
    """A level of the standard library's logging."""
    level = value.upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return level


def guests(value: str) -> str:
    """Whether guests are let in."""
    if value not in ("yes", "no", "read"):
        raise ValueError("must be yes, no or read")
    return value


def open_rooms(value: str) -> str:
    """Who may make rooms."""
    if value not in ("everyone", "accounts", "moderators"):
        raise ValueError("must be everyone, accounts or moderators")
    return value


def secret_text(value: str) -> str:
    """A secret that nobody guesses."""
    if len(value.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must have {MIN_SECRET_BYTES} bytes at least")
    return value


def log_format(value: str) -> str:
    """A form of lines."""
    if value not in FORMATTERS:
        raise ValueError(f"must be {' or '.join(FORMATTERS)}")
    return value


def flag(value: str) -> bool:
    """Whether something is wanted, in the environment."""
    wanted = value.lower()
    if wanted not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError("must be 1 or 0")
    return wanted in ("1", "true", "yes", "on")


def setting(
    default: Any,
    kind: Any,
    help: str,  # noqa: A002 - argparse's word
    metavar: str | None = None,
) -> Any:
    """A field of `Settings`; `kind` is one of the types above, or a function that makes its value
    of a string and raises ValueError with what is wrong. A tuple as default: the option can be
    repeated."""
    parse = read_as(kind) if hasattr(kind, "__metadata__") else kind
    return field(default=default, metadata={"parse": parse, "help": help, "metavar": metavar})


def secret_setting(kind: Callable[[str], Any]) -> Any:
    """A field of `Settings` that only the environment has, since others see the command line of a
    process. Nothing shows its value."""
    return field(default=None, repr=False, metadata={"parse": kind, "secret": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with its default."""

    host: str = setting("127.0.0.1", host, "address to listen on", "ADDRESS")
    port: int = setting(8080, Port, "TCP port to listen on; 0: a free one", "PORT")
    store: str = setting(
        "sqlite:///chat.db",
        text,
        "where the log is kept: sqlite:///relative.db or sqlite:////absolute.db for one process,"
        " redis://host:port/db for several workers, memory: for a try",
        "URL",
    )
    tls_certificate: str | None = setting(
        None,
        text,
        "serve with TLS: the certificate, and the ones between it and its root, in a PEM file that"
        " is looked at every minute",
        "FILE",
    )
    tls_key: str | None = setting(
        None, text, "the key of that certificate, in PEM (default: in the same file)", "FILE"
    )
    grace: float = setting(
        15.0, Seconds, "how long a name waits for a lost client to come back", "SECONDS"
    )
    max_connections: int = setting(
        10_000, Count, "connections at a time; one more gets status 503", "N"
    )
    trust_proxies: int = setting(
        0,
        CountOrZero,
        "how many proxies in front of the server to believe about the client's address, scheme,"
        " host and prefix (X-Forwarded-For, -Proto, -Host, -Prefix)",
        "N",
    )
    max_http_connections: int = setting(
        1_000,
        Count,
        "connections at a time that are no WebSockets; at one more, the one that has sent nothing"
        " for longest is closed",
        "N",
    )
    message_rate: Rate = setting(
        Rate(10, 50),
        Rate.parse,
        "messages a second, and at once, of one connection and of one person; or off",
        "RATE",
    )
    join_rate: Rate = setting(Rate(2, 20), Rate.parse, "joins of one connection, likewise", "RATE")
    call_rate: Rate = setting(
        Rate(100, 500), Rate.parse, "calls of one connection, of any kind, likewise", "RATE"
    )
    history_rate: Rate = setting(
        Rate(5, 50), Rate.parse, "reads of the history by one connection, likewise", "RATE"
    )
    address_message_rate: Rate = setting(
        Rate(100, 500), Rate.parse, "messages from one address, of IPv6 one /64, likewise", "RATE"
    )
    address_join_rate: Rate = setting(
        Rate(50, 1_000), Rate.parse, "joins from one address, likewise", "RATE"
    )
    address_call_rate: Rate = setting(
        Rate(1_000, 5_000), Rate.parse, "calls from one address, of any kind, likewise", "RATE"
    )
    address_history_rate: Rate = setting(
        Rate(20, 200), Rate.parse, "reads of the history from one address, likewise", "RATE"
    )
    address_batch_rate: Rate = setting(
        Rate(10, 100), Rate.parse, "HTTP batches from one address, likewise", "RATE"
    )
    address_connect_rate: Rate = setting(
        Rate(50, 1_000),
        Rate.parse,
        "new WebSockets from one address, likewise; more get status 429",
        "RATE",
    )
    max_address_connections: int = setting(
        1_000,
        Count,
        "WebSockets from one address at a time; one more gets status 429",
        "N",
    )
    max_address_http_connections: int = setting(
        200,
        Count,
        "connections from one address that are no WebSockets; at one more, the one that has sent"
        " nothing for longest is closed, or the new one if there is none",
        "N",
    )
    unlimited_addresses: tuple[Network, ...] = setting(
        (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1")),
        network,
        "an address, or a range of them, that no rate and no limit of connections is for; can be"
        " repeated; empty: none",
        "ADDRESS",
    )
    allow_origin: tuple[str, ...] = setting(
        (),
        parse_origin,
        "another site whose pages may connect; null and file:// are those of Electron, Cordova and"
        " files; * for any; can be repeated",
        "ORIGIN",
    )
    head_seconds: float = setting(
        10.0, Positive, "how long the head of a request may take", "SECONDS"
    )
    body_seconds: float = setting(
        120.0, Positive, "how long the body of a request may take", "SECONDS"
    )
    min_rate: float = setting(
        1000.0,
        Positive,
        "how much of a body must come, and of an answer be taken, each second",
        "BYTES",
    )
    idle_seconds: float = setting(
        15.0,
        Positive,
        "how long a connection may wait before its next request",
        "SECONDS",
    )
    ping_interval: float = setting(
        20.0, Positive, "how long a connection may be silent before it is pinged", "SECONDS"
    )
    ping_timeout: float = setting(20.0, Positive, "how long a ping may go unanswered", "SECONDS")
    max_outbox: int = setting(
        MIB, OutboxBytes, "what may wait to be sent to one connection", "BYTES"
    )
    max_message: int = setting(
        64 * 1024, MessageBytes, "the largest message accepted from a client", "BYTES"
    )
    max_memory: int = setting(
        1024 * MIB,
        MemoryBytes,
        "what all connections together may have the server keep for them (results until they are"
        " released, what waits to be sent, and the like); past it, those that keep the most are"
        " closed with 1013",
        "BYTES",
    )
    drain_seconds: float = setting(
        5.0,
        Seconds,
        "how long stopping may take before connections are dropped",
        "SECONDS",
    )
    keep_days: float | None = setting(
        None, Positive, "remove events that are older (default: keep all)", "DAYS"
    )
    keep_messages: int | None = setting(
        None, Count, "keep only that many of the newest events (default: all)", "N"
    )
    guests: Guests = setting(
        "yes",
        guests,
        "whether who has no token is let in: yes, no, or read for looking at public rooms only",
        "WHETHER",
    )
    open_rooms: OpenRooms = setting(
        "everyone",
        open_rooms,
        "who may make rooms: everyone, accounts (who has a token), or moderators",
        "WHO",
    )
    token_keys: str | None = setting(
        None,
        text,
        "public keys of whoever signs tokens, in a JWKS file that is read again when it changes"
        " (default: tokens are signed with CHAT_SECRET)",
        "FILE",
    )
    token_audience: str = setting(AUDIENCE, text, "whom tokens must be for (aud)", "NAME")
    secret: str | None = secret_setting(secret_text)
    log_level: str = setting("INFO", log_level, "what to log: DEBUG, INFO, WARNING …", "LEVEL")
    log_format: str = setting(
        "text", log_format, "how to log: text for people, json for programs", "FORMAT"
    )
    metrics_from: tuple[Network, ...] = setting(
        (),
        network,
        "an address, or a range of them, that may read /metrics besides this machine; can be"
        " repeated",
        "ADDRESS",
    )
    metrics_port: int | None = setting(
        None, OwnPort, "a port for /metrics, where anybody may read it, and nowhere else", "PORT"
    )
    no_access_log: bool = setting(False, flag, "log no line for each HTTP request")

    def __post_init__(self) -> None:
        if self.ping_timeout > self.ping_interval:
            raise SettingError(
                f"The ping timeout ({self.ping_timeout} s) must not be longer than the ping"
                f" interval ({self.ping_interval} s)."
            )
        if self.tls_key is not None and self.tls_certificate is None:
            raise SettingError(
                f"The key {self.tls_key} is of no use without its certificate; name that with"
                " --tls-certificate or CHAT_TLS_CERTIFICATE."
            )
        if self.secret is not None and self.token_keys is not None:
            raise SettingError(
                "Tokens are signed either with CHAT_SECRET or by whoever has the keys of"
                " --token-keys; set one of them."
            )

    def as_config(self) -> dict[str, Any]:
        """As entries of Flask's configuration; what is not set is left out."""
        values = {entry.name.upper(): getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def ports(self) -> list[int]:
        """Where to listen."""
        return [self.port] if self.metrics_port is None else [self.port, self.metrics_port]

    @property
    def tls_files(self) -> tuple[str, str] | None:
        """The files of the certificate and its key; None: no TLS."""
        if self.tls_certificate is None:
            return None
        return self.tls_certificate, self.tls_key or self.tls_certificate

    @property
    def http_limits(self) -> HttpLimits:
        """What the HTTP server is told."""
        return HttpLimits(
            head_seconds=self.head_seconds,
            body_seconds=self.body_seconds,
            min_rate=self.min_rate,
            idle_seconds=self.idle_seconds,
            max_connections=self.max_http_connections,
            max_client_connections=self.max_address_http_connections,
            client_of=self._client_of,
        )

    def _client_of(self, host: str) -> Hashable | None:
        """Whose a connection is; nobody's where it is a proxy's."""
        address = None if self.trust_proxies else ip_address(host)
        return None if address is None else subscriber(address, self.unlimited_addresses)

    @property
    def rate_limits(self) -> RateLimits:
        """What one connection and one address may do."""
        return RateLimits(
            messages=self.message_rate,
            joins=self.join_rate,
            calls=self.call_rate,
            history=self.history_rate,
            address_messages=self.address_message_rate,
            address_joins=self.address_join_rate,
            address_calls=self.address_call_rate,
            address_history=self.address_history_rate,
            address_batches=self.address_batch_rate,
            address_connects=self.address_connect_rate,
            address_connections=self.max_address_connections,
            unlimited=self.unlimited_addresses,
        )

    @property
    def policy(self) -> Policy:
        """What the store is told."""
        return Policy(self.grace, self.keep_days, self.keep_messages)


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
