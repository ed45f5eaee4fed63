"""The table of what can be set, and what the parts of the server are told of it."""

import ipaddress
from dataclasses import dataclass, fields
from typing import Any

from capnweb_sync.origins import parse_origin
from capnweb_sync.server import HttpLimits
from chatserver.addresses import host
from chatserver.errors import SettingError
from chatserver.people.limits import Network, Rate, RateLimits, ip_address, subscriber
from chatserver.people.token_terms import AUDIENCE, Guests, OpenRooms
from chatserver.settings.kinds import (
    MIB,
    Count,
    CountOrZero,
    MemoryBytes,
    MessageBytes,
    OutboxBytes,
    OwnPort,
    Port,
    Positive,
    Seconds,
    flag,
    guests,
    log_format,
    log_level,
    network,
    open_rooms,
    secret_setting,
    secret_text,
    setting,
    text,
)
from chatserver.store.interface import Policy


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
    max_address_memory: int = setting(
        128 * MIB,
        MemoryBytes,
        "what all connections from one address together may have the server keep for them; past"
        " it, those that keep the most are closed with 1013",
        "BYTES",
    )
    unlimited_addresses: tuple[Network, ...] = setting(
        (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1")),
        network,
        "an address, or a range of them, that no rate and no limit of an address is for; can be"
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

    def limited(self, host: str) -> str | None:
        """Who has the address `host`, for people: itself, or of IPv6 its /64; None where limits
        are for nobody, and for what is no address."""
        address = ip_address(host)
        if address is None or subscriber(address, self.unlimited_addresses) is None:
            return None
        prefix = 32 if address.version == 4 else 64
        return str(ipaddress.ip_network((address, prefix), strict=False)).removesuffix("/32")

    def _client_of(self, host: str) -> str | None:
        """Whose a connection is; nobody's where it is a proxy's."""
        return None if self.trust_proxies else self.limited(host)

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
            address_memory=self.max_address_memory,
            unlimited=self.unlimited_addresses,
        )

    @property
    def policy(self) -> Policy:
        """What the store is told."""
        return Policy(self.grace, self.keep_days, self.keep_messages)
