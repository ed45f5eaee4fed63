"""Accounts and sanctions on several workers, and what is left of them in Redis."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
import redis

from chatserver.errors import Banned, ChatError, ClaimLost, Forbidden, NameTaken, Unauthorized
from chatserver.store.interface import Policy, Store
from chatserver.store.redis import operations
from chatserver.store.redis.connection import LEASE_SECONDS
from chatserver.store.redis.scripts import META, META_BEFORE, PREFIX
from chatserver.store.seats import EVERYWHERE, LOBBY, Seat
from chatserver.store.values import Account, Joined, Lost
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.store.chat import (
    Ear,
    assert_refused,
    claim,
    come,
    enter,
    in_force,
    say,
    say_in,
    tick,
)
from tests.chatserver.store.conftest import Clock, OpenStore
from tests.chatserver.store.test_redis_rooms import everything

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode

GRACE_SECONDS = Policy().grace_seconds

ADDRESS = "digest of an address"


@pytest.fixture
def url(redis_url: str) -> str:
    return redis_url


@pytest.fixture
def here(open_at: OpenStore) -> Store:
    """A worker."""
    return open_at()


@pytest.fixture
def there(open_at: OpenStore) -> Store:
    """Another worker."""
    return open_at()


@pytest.fixture
def boss(here: Store) -> Joined:
    """An admin."""
    return come(here, "Boss", "admin")


@pytest.fixture
def times(full: bool) -> range:
    """How often something is tried that goes wrong seldom, if at all."""
    return range(1000 if full else 100)


# --- in force on all workers


def test_what_is_said_on_another_worker_after_a_mute_is_answered_is_refused(
    here: Store, there: Store, boss: Joined, times: range
) -> None:
    ann = claim(there, "Ann")
    seat = enter(there, ann, "tea")
    for number in times:
        saying = [there.say(ann.claim, seat, f"{number}", None, 0) for _ in range(3)]
        mute = outcome(here.mute(boss.claim, "tea", "admin", "ann", None, ""))

        assert_refused(Forbidden, there.say(ann.claim, seat, "too late", None, 0))

        outcome(here.lift(boss.claim, "tea", "admin", mute))
        assert all(future.done() for future in saying)
    assert "too late" not in {
        event.text for event in there.read_room(ann.claim.by, seat, limit=500)
    }


@pytest.mark.parametrize("account", [None, Account("Eve")])
def test_of_ten_logins_beside_a_ban_none_is_in_afterwards(
    here: Store, there: Store, boss: Joined, times: range, account: Account | None
) -> None:
    def log_in(store: Store, name: str) -> "Future[Joined]":
        key, holder = ("eve", name) if account else (name, name)
        return store.claim(key, "Eve", holder, None, account=account, address=ADDRESS)

    for number in times[::10]:
        logins = [log_in(store, f"eve {number}.{i}") for i, store in enumerate([here, there] * 5)]
        if account:
            outcome(logins[0])  # else there is nobody yet to ban
            ban = here.ban(boss.claim, EVERYWHERE, "admin", "eve", None, "")
        else:
            ban = here.ban_address(boss.claim, "admin", ADDRESS, "there", None, "")
        sanction = outcome(ban)

        assert_refused(Banned, *(log_in(store, f"late {number}") for store in (here, there)))

        let_in = [future.result().claim for future in logins if not refusal_of(future, Banned)]
        assert_refused(ClaimLost, *(there.suspend(claim) for claim in let_in))
        assert {place.name for place in there.places(None, 9)} == {"Boss"}
        outcome(here.lift(boss.claim, EVERYWHERE, "admin", sanction))


def refusal_of(future: "Future[Any]", error: type[ChatError]) -> bool:
    """Whether it was refused so; nothing else has happened to it."""
    try:
        outcome(future)
    except error:
        return True
    return False


def test_a_renewal_beside_a_revoke_keeps_no_place(
    here: Store, there: Store, boss: Joined, times: range, clock: Clock
) -> None:
    for _ in times[::10]:
        issued = clock.now / 1000
        account = Account("Ann", "member", issued)
        ann = claim(there, "Ann", account=account)
        for _ in range(5):
            there.renew(ann.claim, issued, "member")

        assert outcome(here.revoke(boss.claim, "admin", "ann")) == 1

        assert_refused(
            ClaimLost, there.renew(ann.claim, issued + 5, "admin"), there.release(ann.claim)
        )
        with pytest.raises(Unauthorized):
            claim(there, "Ann", account=account)
        clock.advance(2)


def test_each_worker_hears_which_of_its_holders_are_out_and_why(
    here: Store, there: Store, boss: Joined
) -> None:
    ears = {store: Ear(store) for store in (here, there)}
    places = {store: come(store, "Ann") for store in (here, there)}

    outcome(here.ban(boss.claim, EVERYWHERE, "admin", "ann", 600, "spam"))

    text = "You were banned for 10 minutes: spam"
    for store, ann in places.items():
        assert ears[store].losses() == [Lost(ann.claim.holder, "sent_away", text)]


# --- workers that end


def test_an_account_whose_workers_are_gone_is_away_after_the_grace(
    here: Store, there: Store, clock: Clock
) -> None:
    ann = come(here, "Ann")
    clock.advance(LEASE_SECONDS)
    tick(there)
    assert [place.holder for place in there.places(None, 9)] == [None]
    clock.advance(GRACE_SECONDS - 0.001)
    tick(there)
    assert there.names() == ["Ann"]

    clock.advance(0.001)
    tick(there)

    assert there.names() == []
    assert there.places(None, 9) == []
    assert [person.online for person in there.everyone(None, 9)] == [False]
    back = come(there, "Ann", secret=ann.claim.secret)
    assert back.claim.secret != ann.claim.secret
    assert back.seats == ann.seats


def test_the_place_of_a_worker_that_is_gone_makes_room(
    here: Store, there: Store, clock: Clock
) -> None:
    first = come(here, "Ann")
    for _ in range(9):
        come(there, "Ann")
    clock.advance(LEASE_SECONDS)
    tick(there)

    come(there, "Ann")

    assert_refused(ClaimLost, here.suspend(first.claim))
    assert len(there.places(None, 10)) == 10


def test_a_place_whose_claim_was_answered_too_late_is_given_up(here: Store) -> None:
    first = come(here, "Ann")
    operation = operations.claim("ann", "Ann", "h", None, True, Account("Ann"), "")
    joined = outcome(here.submit(operation))  # type: ignore[attr-defined]
    assert operation.regret is not None

    outcome(here.submit(operation.regret))  # type: ignore[attr-defined]

    assert_refused(ClaimLost, here.release(joined.claim))
    assert [place.holder for place in here.places(None, 9)] == [first.claim.holder]


# --- what is kept


def test_an_address_is_kept_for_as_long_as_stay_and_ban(
    here: Store, boss: Joined, clock: Clock, redis_client: redis.Redis
) -> None:
    eve = claim(here, "Eve", address=ADDRESS)
    outcome(here.ban(boss.claim, LOBBY, "admin", "eve", 60, ""))
    outcome(here.release(eve.claim))
    assert ADDRESS.encode() in everything(redis_client)

    clock.advance(60)
    tick(here)
    outcome(here.release(boss.claim))

    assert ADDRESS.encode() not in everything(redis_client)
    assert [name for name in redis_client.scan_iter() if b"lifting" in name] == []


def test_of_a_room_that_has_ended_no_sanctions_are_left(
    here: Store, boss: Joined, redis_client: redis.Redis
) -> None:
    ann = claim(here, "Ann", address=ADDRESS)
    enter(here, ann, "tea")
    outcome(here.mute(boss.claim, "tea", "admin", "ann", 60, ""))
    outcome(here.close_any(boss.claim, "admin", "tea"))
    outcome(here.release(ann.claim))

    kinds = ("sanctions", "against", "lifting", "addresses")
    assert [redis_client.keys(f"*:{kind}*") for kind in kinds] == [[], [], [], []]


def test_more_than_one_part_of_what_was_said_is_erased_wherever_it_was(
    here: Store, boss: Joined, redis_client: redis.Redis
) -> None:
    ann = come(here, "Ann")
    bob = come(here, "Bob")
    private = outcome(here.open_room(ann.claim, "+room", "Room", "", False))
    seats = [*(enter(here, ann, name) for name in ("tea", "cake")), private]
    seats.append(outcome(here.direct(ann.claim, "bob", "@both")))
    for number in range(40):
        for seat in (*seats, ann.seats[0]):
            say_in(here, ann, seat, f"said {number}")
        say(here, bob, f"mine {number}")
    outcome(here.leave_room(ann.claim, seats[0]))

    parts, cursor = 0, ""
    while parts == 0 or cursor:
        cursor = outcome(here.erase(boss.claim, "admin", "ann", cursor))
        parts += 1

    assert parts > 1
    assert b"said" not in everything(redis_client)
    left = [event.text for event in here.read() if event.type == "chat" and not event.removed]
    assert left == [f"mine {number}" for number in range(40)]
    assert [person.name for person in here.everyone(None, 9)] == ["Bob", "Boss"]
    assert claim(here, "Ann").name == "Ann"


def test_who_renews_with_another_spelling_is_called_so_everywhere(here: Store) -> None:
    ann, bob = come(here, "Ann"), claim(here, "Bob")
    key = ann.claim.key

    again = outcome(here.claim(key, "ANN", "again", None, account=Account("Ann")))

    assert here.names() == ["ANN", "Bob"]
    assert [person.name for person in here.everyone(None, 9)] == ["ANN", "Bob"]
    for gone in (ann, again, bob):
        outcome(here.release(gone.claim))
    assert here.names() == []


# --- from before there were accounts


def as_before(client: redis.Redis) -> None:
    """What there is, as the version without accounts would have left it."""
    client.rename(META, META_BEFORE[0])
    client.hdel(META_BEFORE[0], "sanction")
    client.delete(*(f"{PREFIX}{name}" for name in ("known", "named", "counts", "addresses")))

    def each(name: str, change: Callable[[Any], Any]) -> None:
        for field, packed in dict[Any, Any](client.hgetall(f"{PREFIX}{name}")).items():
            client.hset(f"{PREFIX}{name}", field, pack(change(unpack(packed))))

    each("names", lambda record: {k: v for k, v in record.items() if k != "address"})
    each("rooms", lambda room: room[:-1])
    each("seats:1", lambda seat: seat[:4])


def test_a_database_of_before_accounts_goes_on_and_its_workers_do_not(
    here: Store, open_at: OpenStore, redis_client: redis.Redis, clock: Clock
) -> None:
    ann = claim(here, "Ann")
    seat = enter(here, ann, "tea")
    message = say_in(here, ann, seat, "hello")
    as_before(redis_client)

    store = open_at()

    assert (store.epoch, store.last_id) == (here.epoch, message.id)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        redis_client.hget(META_BEFORE[0], "epoch")
    with pytest.raises(NameTaken):
        claim(store, "Ann")
    back = claim(store, "Ann", ann.claim.secret, address=ADDRESS)
    assert Seat("tea", seat.number) in back.seats
    boss = come(store, "Boss", "admin")
    assert [person.name for person in store.everyone(None, 9)] == ["Ann", "Boss"]
    assert [room.name for room in store.all_rooms(None, 9)] == [LOBBY, "tea"]
    outcome(store.mute(boss.claim, "tea", "admin", "ann", None, ""))
    assert_refused(Forbidden, store.say(back.claim, seat, "no", None, 0))
    assert [one.name for one in in_force(store, boss, "tea")] == ["Ann"]
    assert store.statistics()["online"] == 2


def test_a_worker_does_nothing_with_a_database_of_before_until_another_one_takes_it_over(
    here: Store, open_at: OpenStore, redis_client: redis.Redis
) -> None:
    ann = claim(here, "Ann")
    as_before(redis_client)
    before = everything(redis_client)

    released = here.release(ann.claim)
    eventually(lambda: not here.available)
    assert everything(redis_client) == before
    open_at()

    outcome(released)
    assert here.available
    assert here.names() == []
