"""What admins do, asked of every engine: `people_interface` has the sentences."""

import pytest

from chatserver.errors import (
    BadRequest,
    Banned,
    ClaimLost,
    Forbidden,
    NameTaken,
    NoSuchRoom,
    NotJoined,
    TooMany,
    Unauthorized,
)
from chatserver.people.token_terms import Role
from chatserver.store.interface import Store
from chatserver.store.seats import EVERYWHERE, LOBBY, MAX_SANCTIONS
from chatserver.store.values import Account, Joined, Lost
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import (
    Ear,
    assert_refused,
    claim,
    come,
    enter,
    in_force,
    private,
    say,
    say_in,
    tick,
)
from tests.chatserver.store.conftest import Clock


def test_who_is_banned_from_everywhere_is_sent_away_from_all_places(
    store: Store, boss: Joined, clock: Clock
) -> None:
    places = [come(store, "Ann") for _ in range(2)]
    tea = enter(store, places[0], "tea")
    outcome(store.suspend(come(store, "Ann").claim))
    ear = Ear(store)

    number = outcome(store.ban(boss.claim, EVERYWHERE, "admin", "ann", 60, "ads"))

    text = "You were banned for 1 minute: ads"
    holders = [place.claim.holder for place in places]
    assert sorted(ear.losses()) == sorted(Lost(one, "sent_away", text) for one in holders)
    assert store.names() == []
    with pytest.raises(ClaimLost):
        say(store, places[0], "hello")
    with pytest.raises(Banned):
        come(store, "Ann")
    assert [one.number for one in in_force(store, boss, EVERYWHERE)] == [number]
    clock.advance(60)
    assert tea in come(store, "Ann").seats


def test_a_guest_who_is_banned_from_everywhere_comes_back_by_no_other_name(
    store: Store, boss: Joined
) -> None:
    bob, dan = (claim(store, name, address="digest") for name in ("Bob", "Dan"))
    ear = Ear(store)
    number = outcome(store.ban(boss.claim, EVERYWHERE, "admin", "bob", None, ""))

    assert sorted(ear.losses()) == sorted(
        Lost(one.claim.holder, "sent_away", "You were banned for good") for one in (bob, dan)
    )
    with pytest.raises(Banned):
        claim(store, "Cid", address="digest")
    assert store.names() == []
    come(store, "Ann")
    claim(store, "Bob", bob.claim.secret, address="another")
    outcome(store.lift(boss.claim, EVERYWHERE, "admin", number))
    claim(store, "Cid", address="digest")


def test_an_address_can_be_banned(store: Store, boss: Joined) -> None:
    bob, cid = (claim(store, name, address="digest") for name in ("Bob", "Cid"))
    claim(store, "Dan", address="another")
    ear = Ear(store)

    number = outcome(store.ban_address(boss.claim, "admin", "digest", "192.0.2.7", 60, "ads"))

    lost = [
        Lost(one.claim.holder, "sent_away", "You were banned for 1 minute: ads")
        for one in (bob, cid)
    ]
    assert sorted(ear.losses()) == sorted(lost)
    with pytest.raises(Banned):
        claim(store, "Eve", address="digest")
    assert store.names() == ["Dan"]
    (found,) = in_force(store, boss, EVERYWHERE)
    assert (found.number, found.by, found.address, found.name) == (
        number,
        "",
        "digest",
        "192.0.2.7",
    )
    with pytest.raises(Forbidden):
        outcome(store.ban_address(boss.claim, "moderator", "x", "x", 60, ""))


def test_a_room_has_so_many_sanctions_at_a_time(store: Store, boss: Joined) -> None:
    asked = [
        store.ban_address(boss.claim, "admin", f"digest {number}", "x", 60, "")
        for number in range(MAX_SANCTIONS)
    ]
    for future in asked:
        outcome(future)

    with pytest.raises(TooMany):
        outcome(store.ban_address(boss.claim, "admin", "another", "x", 60, ""))
    last = outcome(store.ban_address(boss.claim, "admin", "digest 7", "x", 60, ""))
    assert len(in_force(store, boss, EVERYWHERE)) == MAX_SANCTIONS
    outcome(store.lift(boss.claim, EVERYWHERE, "admin", last))
    outcome(store.ban_address(boss.claim, "admin", "another", "x", 60, ""))


# --- accounts and rooms


@pytest.mark.parametrize("role", ["member", "moderator"])
def test_who_is_no_admin_administers_nothing(store: Store, role: Role) -> None:
    ann = come(store, "Ann", role)
    come(store, "Bob")

    assert_refused(
        Forbidden,
        store.disconnect(ann.claim, role, "bob", ""),
        store.revoke(ann.claim, role, "bob"),
        store.announce(ann.claim, role, "hello"),
        store.close_any(ann.claim, role, LOBBY),
        store.erase(ann.claim, role, "bob", ""),
        store.ban(ann.claim, EVERYWHERE, role, "bob", 60, ""),
        store.lift(ann.claim, EVERYWHERE, role, 1),
    )


def test_disconnecting_ends_a_stay_or_all_places_and_nothing_else(
    store: Store, boss: Joined
) -> None:
    places = [come(store, "Ann") for _ in range(2)]
    bob = claim(store, "Bob")
    tea = enter(store, places[0], "tea")
    ear = Ear(store)

    assert outcome(store.disconnect(boss.claim, "admin", "ann", "restart")) == 2
    assert outcome(store.disconnect(boss.claim, "admin", "bob", "")) == 1
    assert outcome(store.disconnect(boss.claim, "admin", "ann", "")) == 0

    losses = [(one.holder, one.why, one.text) for one in ear.losses()]
    told = "You were disconnected: restart"
    assert sorted(losses[:2]) == sorted((p.claim.holder, "sent_away", told) for p in places)
    assert losses[2:] == [(bob.claim.holder, "sent_away", "You were disconnected")]
    assert tea in come(store, "Ann").seats


def test_revoking_ends_all_places_and_ones_own_too(
    store: Store, boss: Joined, clock: Clock
) -> None:
    ann = come(store, "Ann")
    ear = Ear(store)

    assert outcome(store.revoke(boss.claim, "admin", "ann")) == 1
    assert outcome(store.revoke(boss.claim, "admin", "boss")) == 1

    assert ear.losses() == [
        Lost(who.claim.holder, "revoked", "Your tokens were revoked") for who in (ann, boss)
    ]
    with pytest.raises(ClaimLost):
        outcome(store.announce(boss.claim, "admin", "hello"))
    with pytest.raises(Unauthorized):
        claim(store, "Boss", account=Account("Boss", "admin", clock.now // 1000))


def test_an_announcement_is_of_the_room_of_all(store: Store, boss: Joined) -> None:
    say(store, claim(store, "Ann"), "hello")
    ear = Ear(store)

    receipts = [
        outcome(store.announce(boss.claim, "admin", text)) for text in ("we restart", "now")
    ]

    assert ear.told() == ["we restart", "now"]
    assert ear.events == store.read_rooms({EVERYWHERE: receipts[0].id - 1}, 10**6, 9)
    assert store.read_rooms({EVERYWHERE: receipts[0].id}, 10**6, 9) == ear.events[1:]
    assert [(e.id, e.type, e.room, e.user, e.by, e.prev) for e in ear.events] == [
        (receipt.id, "notice", EVERYWHERE, "Boss", boss.claim.by, 0) for receipt in receipts
    ]
    assert [event.text for event in store.read()] == ["Ann joined the chat", "hello"]


def test_an_admin_closes_any_room_but_the_lobby_and_direct_ones(store: Store, boss: Joined) -> None:
    ann, bob = come(store, "Ann"), claim(store, "Bob")
    seat = private(store, ann)[0]
    enter(store, ann, "tea")
    outcome(store.direct(ann.claim, "bob", "@two"))
    ear = Ear(store)

    for room in ("+private", "tea"):
        outcome(store.close_any(boss.claim, "admin", room))

    assert ear.told() == ["Boss closed the room"] * 2
    with pytest.raises(NotJoined):
        store.room(ann.claim.by, seat)
    for room, refusal in ((LOBBY, Forbidden), ("@two", NoSuchRoom), ("+private", NoSuchRoom)):
        with pytest.raises(refusal):
            outcome(store.close_any(boss.claim, "admin", room))
    assert [room.name for room in store.rooms(bob.claim.by, None, 9)] == ["@two", LOBBY]


def test_erasing_an_account_removes_what_it_said_and_then_itself(
    store: Store, boss: Joined
) -> None:
    ann, bob = come(store, "Ann"), claim(store, "Bob")
    tea, bobs = enter(store, ann, "tea"), enter(store, bob, "tea")
    for number in range(120):
        say_in(store, ann, tea, f"{number} of Ann")
    kept = say_in(store, bob, bobs, "of Bob")
    say(store, ann, "in the lobby")
    outcome(store.react(ann.claim, tea, kept.id, "x", True))
    outcome(store.block(ann.claim, "cid", True))
    ear = Ear(store)

    cursor = outcome(store.erase(boss.claim, "admin", "ann", ""))
    assert cursor
    assert [one.why for one in ear.losses()] == ["sent_away"]
    with pytest.raises(Unauthorized):
        claim(store, "Ann", account=Account("Ann", "member", 0))
    with pytest.raises(NameTaken):
        claim(store, "Ann")
    while cursor:
        cursor = outcome(store.erase(boss.claim, "admin", "ann", cursor))

    ear.told()
    removed = [event for event in ear.events if event.type == "remove"]
    assert len(removed) == 121
    assert {(event.user, event.by) for event in removed} == {("Boss", boss.claim.by)}
    seen = store.read_room(bob.claim.by, bobs, limit=500, kinds="messages")
    assert [event.text for event in seen if event.text] == ["of Bob"]
    assert seen[-1].reactions == {}
    assert [one.name for one in store.people(bob.claim.by, bobs, None, 9)] == ["Bob"]
    assert [who.name for who in store.everyone(None, 9)] == ["Bob", "Boss"]
    assert [seat.room for seat in come(store, "Ann").seats] == [LOBBY]
    outcome(store.ban(boss.claim, EVERYWHERE, "admin", "ann", None, ""))
    assert outcome(store.erase(boss.claim, "admin", "ann", "")) == ""
    with pytest.raises(Banned):
        come(store, "Ann")
    assert come(store, "Ann", subject="another").claim.account
    with pytest.raises(BadRequest):
        outcome(store.erase(boss.claim, "admin", "nobody", ""))
    with pytest.raises(Forbidden):
        outcome(store.erase(boss.claim, "admin", "boss", ""))


def erase(store: Store, boss: Joined, key: str) -> None:
    """All of an account."""
    cursor = outcome(store.erase(boss.claim, "admin", key, ""))
    while cursor:
        cursor = outcome(store.erase(boss.claim, "admin", key, cursor))


def test_no_token_of_an_account_that_was_erased_is_good_that_was_not_signed_later(
    store: Store, boss: Joined, clock: Clock
) -> None:
    now = clock.now // 1000
    of_before, of_later = Account("Ann", "member", now - 60), Account("Ann", "member", now + 60)
    claim(store, "Ann", account=of_before)

    erase(store, boss, "ann")

    for account in (of_before, Account("Ann", "admin", now)):
        with pytest.raises(Unauthorized):
            claim(store, "Ann", account=account)
    # Neither for whoever has the name meanwhile, nor for the account that comes of a later one.
    guest = claim(store, "Ann")
    with pytest.raises(Unauthorized):
        claim(store, "Ann", account=of_before)
    say(store, guest, "still here")
    claim(store, "Ann", account=of_later)
    with pytest.raises(Unauthorized):
        claim(store, "Ann", account=of_before)
    clock.advance(3600)
    erase(store, boss, "ann")
    with pytest.raises(Unauthorized):
        claim(store, "Ann", account=of_later)


def test_the_reactions_of_an_account_that_is_erased_are_taken_back_and_told(
    store: Store, boss: Joined, clock: Clock
) -> None:
    ann, bob = come(store, "Ann"), claim(store, "Bob")
    said = [say(store, bob, f"{number}").id for number in range(60)]
    for joined, emoji in ((ann, "x"), (ann, "y"), (bob, "x")):
        for message in said:
            outcome(store.react(joined.claim, joined.seats[0], message, emoji, True))
    # By another spelling of the name, whose reactions are the same account's.
    outcome(store.react(come(store, "ANN", subject="Ann").claim, ann.seats[0], said[0], "z", True))
    own = say(store, ann, "mine").id
    outcome(store.react(ann.claim, ann.seats[0], own, "x", True))
    for _ in range(70):
        clock.advance(1)
        tick(store)
    ear = Ear(store)

    erase(store, boss, "ann")

    seen = store.read_room(bob.claim.by, bob.seats[0], limit=500, kinds="messages")
    assert [event.reactions for event in seen] == [*[{"x": (1, ("Bob",))}] * 60, {}]
    for _ in range(70):
        clock.advance(1)
        tick(store)
    ear.told()
    told = {event.target: event.reactions for event in ear.events if event.type == "react"}
    assert told == {message: {"x": (1, ("Bob",))} for message in said}
