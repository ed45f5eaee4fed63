"""Connections to Redis: where a store's URL says, each used by one greenlet at a time.

redis-py blocks on sockets; in a process that gevent has patched it blocks its greenlet alone.
"""

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import gevent
from gevent.queue import Empty, LifoQueue
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from capnweb_sync.runtimes.fork import cut_off
from chatserver.errors import StartError
from chatserver.store.redis.scripts import TAIL, Script

TIMEOUT_SECONDS: Final = 5.0
"""How long an operation may take: longer than Redis hiccups, shorter than people wait."""

LEASE_SECONDS: Final = 5.0
"""How long a worker that says nothing is taken for alive. It says something with every tick, so
this is twenty of them; should it be silent for longer and come back, nothing is lost either."""

RETRY_SECONDS: Final = 0.1
"""Pause before Redis is tried again: many tries within a timeout, and few in a second."""

RESP: Final = 2
"""The protocol's version; the third has nothing that is needed here."""

Word = str | bytes | int
"""What a command consists of."""


class RedisConnection:
    """One connection, made when it is first used and again after each failure. Everything raises
    RedisError within the timeout."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    @property
    def connected(self) -> bool:
        """Whether nothing has gone wrong since it was connected."""
        return self._connection.is_connected

    def ask(self, *command: Word) -> Any:
        """Send one command; its answer."""
        (answer,) = self.ask_all(command)
        return answer

    def ask_all(self, *commands: tuple[Word, ...]) -> list[Any]:
        """Send commands together; their answers."""
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [connection.read_response() for _ in commands]
        except NoScriptError:
            raise
        except RedisError:
            # Whatever it was, loading its data or a replica by now: the next one may be better.
            self.drop()
            raise

    def run(self, script: Script, *arguments: bytes) -> list[Any]:
        """Run a script with these arguments; its answer."""
        keys_and_arguments: tuple[Word, ...] = (1, TAIL, *arguments)
        try:
            answer = self.ask("EVALSHA", script.digest, *keys_and_arguments)
        except NoScriptError:
            answer = self.ask("EVAL", script.source, *keys_and_arguments)
        assert isinstance(answer, list)
        return answer

    def read(self) -> Any:
        """The next answer, of what was not asked on its own. Blocks until there is one; for as long
        as answers may take."""
        try:
            return self._connection.read_response()
        except RedisError:
            self.drop()
            raise

    def leave_to_parent(self) -> None:
        """In a forked child: cut off, whichever greenlet is about to read from it."""
        sock = getattr(self._connection, "_sock", None)
        if sock is not None:
            cut_off(sock)

    def drop(self) -> None:
        """Close the connection; the next use makes another one."""
        self._connection.disconnect()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is, as its URL says.

    Attributes:
        shown: the same for people, without the password.
        timeout: seconds that an operation may take.
        lease: seconds for which a worker that says nothing is taken for alive.
    """

    shown: str
    timeout: float
    lease: float
    _make: "type[AbstractConnection]"
    _options: dict[str, Any]

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read a URL as redis-py does, with the additional options `timeout` and `lease` in
        seconds: `redis://:password@host:6379/0?timeout=2`. Raises StartError."""
        try:
            parts = _parts(url)
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            options = parse_url(url)
            timeout = _seconds(options.pop("timeout", TIMEOUT_SECONDS))
            lease = _seconds(options.pop("lease", LEASE_SECONDS))
            make = options.pop("connection_class", Connection)
            options |= {"protocol": RESP, "driver_info": None, "client_name": "chatserver"}
            address = cls(shown, timeout, lease, make, options)
            address.connection()
        except (TypeError, ValueError, RedisError) as error:
            raise StartError(
                f"The store's URL does not fit ({error}); it looks like"
                " redis://user:password@host:6379/0."
            ) from None
        return address

    def connection(self, extra: float = 0.0) -> RedisConnection:
        """A connection to be, whose answers may take `extra` seconds longer than the timeout."""
        return RedisConnection(
            self._make(
                **self._options,
                socket_timeout=self.timeout + extra,
                socket_connect_timeout=self.timeout,
            )
        )


def _parts(url: str) -> SplitResult:
    """The parts of a URL of which redis-py would make the one that was written: it takes localhost
    and database 0 for what it cannot read. Raises ValueError without quoting a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "a port is a number to 65535, an IPv6 address stands in brackets, and / ? # @ : in a"
            " password are percent-encoded"
        ) from None
    if parts.fragment or "@" in parts.path or "@" in parts.query:
        raise ValueError("/ ? # @ : in a password are percent-encoded")
    if port == 0:
        raise ValueError("a port is a number from 1 on")
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            raise ValueError("a socket's path is absolute: unix:///run/redis.sock")
    elif not re.fullmatch(r"/?\d*", parts.path, re.ASCII):
        raise ValueError("a database is a number")
    return parts


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 < seconds < math.inf:
        raise ValueError("a time must be more than 0 seconds")
    return seconds


class ConnectionPool:
    """A bounded number of connections for questions that may be asked again."""

    def __init__(self, address: Address, size: int, extra: float = 0.0) -> None:
        """Up to `size` connections, see `Address.connection`."""
        self._timeout = address.timeout
        self._closed = False
        # The one used last comes first: where one is enough, one is connected.
        self._free: LifoQueue[RedisConnection] = LifoQueue()
        self._all = [address.connection(extra) for _ in range(size)]
        for connection in self._all:
            self._free.put(connection)

    @contextmanager
    def one(self) -> Iterator[RedisConnection]:
        """A connection for the time of the block. Raises RedisError."""
        try:
            connection = self._free.get(timeout=self._timeout)
        except Empty:
            raise RedisTimeoutError("all connections are in use") from None
        try:
            yield connection
        finally:
            self._free.put(connection)
            if self._closed:
                connection.drop()

    def run(self, script: Script, *arguments: bytes) -> list[Any]:
        """Run a script that changes nothing, again and again for the time of the timeout; its
        answer. Raises RedisError."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                with self.one() as connection:
                    return connection.run(script, *arguments)
            except RedisError:
                if time.monotonic() >= deadline:
                    raise
            gevent.sleep(RETRY_SECONDS)

    def leave_to_parent(self) -> None:
        """In a forked child: cut off all, also those that are in use."""
        self._closed = True
        for connection in self._all:
            connection.leave_to_parent()

    def close(self) -> None:
        """Close those that are free now, and each other one after its use."""
        self._closed = True
        for connection in self._free.queue:
            connection.drop()
