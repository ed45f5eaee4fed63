"""A server with something of everything that a typed API can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Literal, Protocol

import msgspec

from capnweb_sync import ReadableStream, RpcPromise, RpcStub, RpcTarget


class Kind(Enum):
    """What an entry is."""

    CASH = "cash"
    CHEQUE = "cheque"


@dataclass
class Entry:
    """A line of an account."""

    amount: int
    kind: Kind = Kind.CASH
    day: date | None = None


class Limit(msgspec.Struct):
    amount: int


class Listener(Protocol):
    """Hears of entries."""

    def onEntry(self, entry: Entry, account: Account) -> RpcPromise[None]:
        """There is a new one."""
        ...

    def mayGo(self) -> RpcPromise[bool]: ...


class Account(RpcTarget):
    """What one person has in the bank.

    It has "quotes", and \\ too.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._entries: list[Entry] = []

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self._owner

    def put(self, entry: Entry, /) -> Entry:
        """Add an entry."""
        self._entries.append(entry)
        return entry

    def first(self, kind: Kind = Kind.CASH) -> Entry | None:
        return next((entry for entry in self._entries if entry.kind is kind), None)

    def entries(self, kind: Kind | None = None) -> list[Entry]:
        return [entry for entry in self._entries if kind in (None, entry.kind)]

    def each(self, callback: Callable[[Entry, Account], RpcPromise[None]] | None = None) -> None:
        for entry in self._entries if callback else ():
            callback(entry, self).result()  # type: ignore[misc]

    def done(self, number: int) -> int:
        return number

    def result(self, *numbers: int) -> int:
        return sum(numbers)

    def move(self, other: Account) -> str:
        name: str = other.owner.result()  # type: ignore[attr-defined]
        return name


class Bank(RpcTarget):
    """Accounts, by the names of their owners."""

    def __init__(self) -> None:
        self._accounts = {name: Account(name) for name in ("Ada", "Grace")}

    def open(self, owner: str) -> Account:
        return self._accounts.setdefault(owner, Account(owner))

    def find(self, owner: str) -> Account | None:
        return self._accounts.get(owner)

    def all(self) -> list[Account]:
        return list(self._accounts.values())

    def by_name(self) -> dict[str, tuple[Account, int]]:
        return {name: (account, len(name)) for name, account in self._accounts.items()}

    def later(self, text: str) -> Future[str]:
        future: Future[str] = Future()
        future.set_result(text.upper())
        return future

    def every(self, callback: Callable[[int], RpcPromise[int]], times: int = 2) -> int:
        return sum(callback(n).result() for n in range(times))

    def badly(self, callback: Callable[[int], RpcPromise[int]]) -> int:
        return callback("text").result()  # type: ignore[arg-type]

    def listen(self, listener: Listener) -> bool:
        listener.onEntry(Entry(5, Kind.CHEQUE), self._accounts["Ada"]).result()
        return listener.mayGo().result()

    def limit(self, limit: Limit) -> Limit:
        return limit

    def numbers(self, count: int) -> Iterator[int]:
        return iter(range(count))

    def total(self, numbers: ReadableStream) -> int:
        return sum(numbers)

    def mood(self, mood: Literal["good", "bad"]) -> None:
        """Nothing comes of it."""

    def anything(self, value: Any, stub: RpcStub | None = None) -> Any:
        return value

    def wrong(self) -> list[Entry]:
        return [{"amount": 1}, {"amount": "two"}]  # type: ignore[list-item]

    @staticmethod
    def version() -> str:
        return "1"
