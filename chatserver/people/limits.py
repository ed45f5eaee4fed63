"""How often things may be done: by one connection, by one person, and from one address.

A `Rate` is so many a second, and so many at once. What was done is counted in a `Bucket`, which
fills up again as time passes: of a connection, of a person, of an address (of IPv6, a subscriber's
/64). `Rates` has those of persons and addresses, an `Allowance` what counts for one connection.
What the server keeps for all that comes from an address is bounded beside them: `Address.memory`.

Each worker counts for itself: asking the others would cost a round trip for each message.
"""

import ipaddress
import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from capnweb_sync.core.ledger import MemoryOfMany
from chatserver.errors import RateLimited

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SUBSCRIBER_BYTES: Final = 8
"""What of an address stands for who has it: all of IPv4's, the /64 of IPv6's, within which one
machine takes as many as it likes."""

ROUNDING: Final = 0.01
"""The part of a drop that may be missing: sums of fractions are not exact."""

HELD_RETRY_SECONDS: Final = 10.0
"""When to try again where too many connections are open: nobody knows when one will end."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may be done: `per_second` on and on, `burst` at once.

    `str(rate)` is what `Rate.parse` reads: `10:50`, or `off`.
    """

    per_second: float
    burst: int
    interval: float = field(init=False, repr=False)
    """Seconds in which one is free again."""
    span: float = field(init=False, repr=False)
    """How long before now `Bucket.ready` is when a bucket is full."""

    def __post_init__(self) -> None:
        # Here, and not in each of thousands of buckets.
        object.__setattr__(self, "interval", 1 / self.per_second if self.per_second else math.inf)
        span = (self.burst - 1 + ROUNDING) * self.interval
        object.__setattr__(self, "span", span)

    @classmethod
    def parse(cls, value: str) -> "Rate":
        """Raises ValueError."""
        if value.lower() == "off":
            return OFF
        steady, _, burst = value.partition(":")
        try:
            rate = cls(float(steady), int(burst))
        except ValueError:
            raise ValueError("must be off, or like 10:50, ten a second and 50 at once") from None
        if not 0 < rate.per_second < math.inf or rate.burst < 1:
            raise ValueError("must have more than 0 a second and 1 or more at once")
        return rate

    def __str__(self) -> str:
        return "off" if self == OFF else f"{self.per_second:g}:{self.burst}"


NEVER_USED: Final = -math.inf

OFF: Final = Rate(math.inf, 1)
"""As often as one likes."""


class Bucket:
    """What was done at a `Rate`: full at first, one drop less for each time, and filling up again.

    A bucket is kept as the moment from which there is a drop in it (the generic cell rate
    algorithm), which costs less than the number of its drops and when they were counted.
    """

    __slots__ = ("rate", "ready")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.ready = NEVER_USED
        """The moment from which one more may be done."""

    def idle(self, now: float) -> bool:
        """Whether it is full, as a new one is."""
        return self.ready <= now - self.rate.span


Buckets: TypeAlias = tuple[Bucket, ...]


def take(buckets: Buckets) -> None:
    """Count one in each of `buckets`; in none if one of them is empty, which raises RateLimited."""
    now = monotonic()
    for bucket in buckets:
        if bucket.ready > now:
            raise RateLimited(max(bucket.ready for bucket in buckets) - now)
    # Of each call: without calls of its own, which would take half of the time.
    for bucket in buckets:
        rate, ready = bucket.rate, bucket.ready
        full = now - rate.span
        bucket.ready = (ready if ready > full else full) + rate.interval  # noqa: FURB136


def allows(bucket: Bucket) -> bool:
    """Count one in `bucket`, if there is room."""
    try:
        take((bucket,))
    except RateLimited:
        return False
    return True


class Idle(Protocol):
    """Something of which a new one is as good as the old one while it is idle."""

    def idle(self, now: float) -> bool: ...


T = TypeVar("T", bound=Idle)


class Table(Generic[T]):
    """What is counted for each of many, and forgotten when it is idle.

    With each new one, the two that were asked for longest ago are looked at: so a table is never
    longer than twice what it must be, and nothing ever goes through all of it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._entries: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, key: Hashable) -> T:
        """The entry, a new one if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            self._forget()
            self._forget()
            entry = self._entries[key] = self._make()
        else:
            self._entries.move_to_end(key)
        return entry

    def _forget(self) -> None:
        if self._entries:
            key = next(iter(self._entries))
            if self._entries[key].idle(monotonic()):
                del self._entries[key]
            else:
                self._entries.move_to_end(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The rates of one connection and of one address, and who is free of them."""

    messages: Rate = OFF
    joins: Rate = OFF
    calls: Rate = OFF
    history: Rate = OFF
    address_messages: Rate = OFF
    address_joins: Rate = OFF
    address_calls: Rate = OFF
    address_history: Rate = OFF
    address_batches: Rate = OFF
    address_connects: Rate = OFF
    address_connections: int = 1
    address_memory: int = sys.maxsize
    unlimited: tuple[Network, ...] = ()


class Address:
    """What counts for one address.

    Attributes:
        held: how many of its WebSockets are open.
        memory: what all that comes from it has the server keep.
    """

    __slots__ = ("batches", "calls", "connects", "held", "history", "joins", "memory", "messages")

    def __init__(self, limits: RateLimits, memory_of_all: MemoryOfMany | None = None) -> None:
        self.messages = Bucket(limits.address_messages)
        self.joins = Bucket(limits.address_joins)
        self.calls = Bucket(limits.address_calls)
        self.history = Bucket(limits.address_history)
        self.batches = Bucket(limits.address_batches)
        self.connects = Bucket(limits.address_connects)
        self.held = 0
        self.memory = MemoryOfMany(limits.address_memory, memory_of_all)

    def idle(self, now: float) -> bool:
        """Whether nothing of it is open or kept, and it may do as much as a new one."""
        return not (self.held or self.memory.held) and all(
            bucket.idle(now)
            for bucket in (
                self.calls,
                self.connects,
                self.messages,
                self.joins,
                self.history,
                self.batches,
            )
        )


class Allowance:
    """What one connection, or one batch, may do: the buckets to `take` from for each.

    They are made with their first use: most connections only listen.
    """

    __slots__ = ("_address", "_calls", "_history", "_joins", "_messages", "_own", "_persons")

    def __init__(
        self,
        address: Address | None = None,
        persons: Table[Bucket] | None = None,
        own: RateLimits | None = None,
    ) -> None:
        """
        Args:
            address: what counts for where it comes from; None for who is free of all limits.
            persons: what counts for those who speak.
            own: the rates of the connection itself; a batch has none.
        """
        self._address = address
        self._persons = persons
        self._own = own
        self._joins: Buckets | None = None
        self._calls: Buckets | None = None
        self._history: Buckets | None = None
        self._messages: Buckets | None = None

    @property
    def joins(self) -> Buckets:
        """What counts for a join."""
        if self._joins is None:
            self._joins = self._buckets("joins")
        return self._joins

    @property
    def calls(self) -> Buckets:
        """What counts for a call of any kind."""
        if self._calls is None:
            self._calls = self._buckets("calls")
        return self._calls

    @property
    def history(self) -> Buckets:
        """What counts for a read of the history."""
        if self._history is None:
            self._history = self._buckets("history")
        return self._history

    def messages_of(self, person: Hashable) -> Buckets:
        """What counts for what `person` says here; whoever resumes a membership is the same one."""
        if self._messages is None:
            self._messages = self._buckets("messages")
        if self._persons is None:
            return self._messages
        return (*self._messages, self._persons.of(person))

    def let_go(self) -> None:
        """The connection, which `Rates.hold` counted, is closed."""
        if self._address is not None:
            self._address.held -= 1

    def _buckets(self, what: str) -> Buckets:
        if self._address is None:
            return ()
        shared: Bucket = getattr(self._address, what)
        return (shared,) if self._own is None else (Bucket(getattr(self._own, what)), shared)


UNLIMITED: Final = Allowance()
"""Of who is free of all limits."""


class Rates:
    """What this process counts of addresses and persons, and the limits for it."""

    def __init__(self, limits: RateLimits, memory_of_all: MemoryOfMany | None = None) -> None:
        """`memory_of_all`: within which the memory of each address is bounded."""
        self._limits = limits
        self._memory_of_all = memory_of_all
        self._addresses = Table(lambda: Address(limits, memory_of_all))
        self._persons = Table(lambda: Bucket(limits.messages))

    def exempt(self, host: str) -> bool:
        """Whether nothing that comes from there is limited."""
        address = ip_address(host)
        return address is not None and subscriber(address, self._limits.unlimited) is None

    def address(self, host: str) -> Address | None:
        """What counts for the address `host`, the text of an IP address; None if it is exempt. What
        is none, such as that of a Unix socket, tells nobody apart: each is one of its own."""
        address = ip_address(host)
        if address is None:
            return Address(self._limits, self._memory_of_all)
        who = subscriber(address, self._limits.unlimited)
        return None if who is None else self._addresses.of(who)

    def connect(self, address: Address | None) -> None:
        """Count a new connection. Raises RateLimited, also while too many are open."""
        if address is not None:
            if address.held >= self._limits.address_connections:
                raise RateLimited(
                    HELD_RETRY_SECONDS, "Too many connections are open from this address"
                )
            take((address.connects,))

    def hold(self, address: Address | None) -> bool:
        """A connection is open, until `Allowance.let_go`; False if it should not be: several that
        began at once may all have found room."""
        if address is None:
            return True
        address.held += 1
        return address.held <= self._limits.address_connections

    def batch(self, address: Address | None) -> Allowance:
        """Count a batch: what it may do. Raises RateLimited, also while answers to others from
        this address are not taken, and are too much together."""
        if address is None:
            return UNLIMITED
        if address.memory.held > address.memory.most:
            raise RateLimited(HELD_RETRY_SECONDS, "Too much is kept for this address")
        take((address.batches,))
        return Allowance(address, self._persons)

    def connection(self, address: Address | None) -> Allowance:
        """What a new connection may do."""
        if address is None:
            return UNLIMITED
        return Allowance(address, self._persons, self._limits)


def subscriber(address: IpAddress, unlimited: tuple[Network, ...]) -> bytes | None:
    """Who has `address`, as far as one can tell; None where limits are for nobody."""
    if any(address in network for network in unlimited):
        return None
    return address.packed[:SUBSCRIBER_BYTES]


def ip_address(host: str) -> IpAddress | None:
    """The address that `host` writes, an IPv4 address in IPv6's form as what it is; None if it is
    none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
