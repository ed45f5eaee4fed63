"""How often things may be done: what is counted, and for whom."""

import gc
import math
import weakref
from collections.abc import Callable
from functools import partial
from unittest.mock import Mock

import pytest

from capnweb_sync import RpcSession
from capnweb_sync.core.ledger import Ledger, MemoryOfMany
from chatserver.capabilities.chat import Chat
from chatserver.errors import RateLimited
from chatserver.people.limits import (
    Address,
    Allowance,
    Bucket,
    Rate,
    RateLimits,
    Rates,
    Table,
    take,
)
from chatserver.rooms.member import BatchConnection, ClientState
from chatserver.settings import Settings
from tests.capnweb_sync.loopback import LoopbackRuntime, LoopbackTransport

RATE = Rate(10, 3)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("chatserver.people.limits.monotonic", clock)
    return clock


def refused(*buckets: Bucket) -> float:
    """In how many seconds there is room again."""
    with pytest.raises(RateLimited) as refusal:
        take(buckets)
    return refusal.value.retry_after


def taken(*buckets: Bucket) -> int:
    """How often in a row something may be done."""
    count = 0
    try:
        while count < 1000:
            take(buckets)
            count += 1
    except RateLimited:
        pass
    return count


def test_so_many_at_once_and_then_so_many_a_second(clock: Clock) -> None:
    bucket = Bucket(RATE)
    assert taken(bucket) == 3

    clock.now += 0.15
    assert taken(bucket) == 1
    clock.now += 10
    assert taken(bucket) == 3


def test_a_refusal_says_when_there_is_room_again(clock: Clock) -> None:
    bucket = Bucket(RATE)
    taken(bucket)

    clock.now += 0.02
    seconds = refused(bucket)

    assert seconds == pytest.approx(0.08, abs=0.002)
    clock.now += seconds
    take((bucket,))


def test_what_one_bucket_refuses_is_counted_in_none(clock: Clock) -> None:
    empty, other = Bucket(RATE), Bucket(RATE)
    taken(empty)

    refused(other, empty)

    assert taken(other) == 3


def test_who_is_refused_does_not_wait_any_longer_for_having_asked(clock: Clock) -> None:
    bucket = Bucket(RATE)
    taken(bucket)

    for _ in range(1000):
        refused(bucket)

    assert refused(bucket) == pytest.approx(0.1, abs=0.002)


def test_a_rate_that_is_off_refuses_nothing(clock: Clock) -> None:
    assert taken(Bucket(Rate.parse("off"))) == 1000


@pytest.mark.parametrize("value", ["10", "10:", ":5", "0:5", "-1:5", "nan:5", "inf:5", "10:0", "x"])
def test_a_rate_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Rate.parse(value)


@pytest.mark.parametrize("value", ["10:50", "0.5:1", "off"])
def test_a_rate_is_written_as_it_is_read(value: str) -> None:
    assert str(Rate.parse(value)) == value


# --- addresses


def limits(**given: object) -> RateLimits:
    return RateLimits(**{"calls": RATE, "address_calls": Rate(10, 5), **given})  # type: ignore[arg-type]


def calls(rates: Rates, host: str) -> Callable[[], int]:
    """A connection from `host`, which calls as often as it may."""
    allowance: Allowance = rates.connection(rates.address(host))
    return lambda: taken(*allowance.calls) if allowance.calls else 1000


def test_connections_are_limited_one_by_one_and_their_address_for_all(clock: Clock) -> None:
    rates = Rates(limits())
    first, second = calls(rates, "192.0.2.1"), calls(rates, "192.0.2.1")

    assert (first(), second()) == (3, 2)
    assert calls(rates, "192.0.2.2")() == 3


@pytest.mark.parametrize(
    ("one", "other", "the_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_of_ipv6_a_subscriber_s_64_is_one_address(one: str, other: str, the_same: bool) -> None:
    rates = Rates(limits())

    assert (rates.address(one) is rates.address(other)) == the_same


def test_what_is_no_address_is_not_taken_for_the_same(clock: Clock) -> None:
    rates = Rates(limits())

    assert calls(rates, "")() == 3
    assert calls(rates, "")() == 3


def test_some_addresses_are_free_of_limits(clock: Clock) -> None:
    networks = Rates(limits(unlimited=Settings().unlimited_addresses))

    for host in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        assert calls(networks, host)() == 1000
    assert calls(networks, "192.0.2.1")() == 3


def test_a_person_is_limited_on_all_of_its_connections(clock: Clock) -> None:
    rates = Rates(RateLimits(messages=RATE))
    first = rates.connection(rates.address("192.0.2.1"))
    second = rates.connection(rates.address("192.0.2.2"))

    assert taken(*first.messages_of("secret")) == 3
    assert taken(*second.messages_of("secret")) == 0
    assert taken(*second.messages_of("another")) == 3


def test_connections_over_the_number_of_an_address_are_refused(clock: Clock) -> None:
    rates = Rates(limits(address_connections=2))
    address = rates.address("192.0.2.1")
    assert [rates.hold(address) for _ in range(3)] == [True, True, False]

    with pytest.raises(RateLimited):
        rates.connect(address)
    for _ in range(2):
        rates.connection(address).let_go()
    rates.connect(address)


def test_what_an_address_keeps_is_bounded_within_what_all_keep() -> None:
    everybody = MemoryOfMany(1 << 30)
    rates = Rates(limits(address_memory=1_000_000), everybody)
    address = rates.address("2001:db8::1")
    assert address is not None
    gone: list[str] = []
    ledgers = []
    for host, size in (("2001:db8::1", 600_000), ("2001:db8::2", 700_000), ("192.0.2.1", 900_000)):
        of = rates.address(host)
        assert of is not None
        ledger = Ledger(2_000_000, of.memory)
        ledger.owner = Mock(shed=partial(gone.append, host))
        ledgers.append(ledger)
        ledger.hold(size)

    assert gone == ["2001:db8::2"]
    assert (address.memory.held, everybody.held) == (1_300_000, 2_200_000)
    assert not address.idle(math.inf)


def test_an_address_that_leaves_too_many_answers_untaken_gets_no_more(clock: Clock) -> None:
    rates = Rates(limits(address_memory=1_000_000, address_batches=RATE))
    address = rates.address("192.0.2.1")
    assert address is not None
    untaken = [Ledger(1 << 30, address.memory) for _ in range(3)]
    for ledger in untaken:
        ledger.hold(400_000)

    with pytest.raises(RateLimited):
        rates.batch(address)
    rates.batch(rates.address("192.0.2.2"))
    untaken.pop().close()
    rates.batch(address)


# --- what is kept


def test_who_is_idle_is_forgotten_as_others_come(clock: Clock) -> None:
    table = Table(lambda: Bucket(RATE))
    for number in range(1000):
        take((table.of(number),))
    assert len(table) == 1000

    clock.now += 10
    for number in range(1000, 2000):
        take((table.of(number),))

    assert len(table) == 1000


def test_who_is_not_idle_is_never_forgotten(clock: Clock) -> None:
    table = Table(lambda: Address(limits()))
    holding = table.of("holding")
    holding.held = 1
    quiet = table.of("quiet")

    clock.now += 10
    for number in range(10):
        table.of(number)

    assert table.of("holding") is holding
    assert table.of("quiet") is not quiet


def test_a_connection_whose_calls_are_counted_goes_at_once_when_it_is_over() -> None:
    rates = Rates(RateLimits(calls=RATE, address_calls=RATE))
    allowance = rates.connection(rates.address("192.0.2.1"))
    client = ClientState(BatchConnection(), allowance=allowance)
    session = RpcSession(
        LoopbackTransport(), Chat(Mock(), Mock(), client), runtime=LoopbackRuntime()
    )
    assert session.calls.before_call is not None
    gone = weakref.ref(session)
    gc.disable()
    try:
        session.connection_lost(1006, "gone")
        del session, client
        assert gone() is None
    finally:
        gc.enable()
