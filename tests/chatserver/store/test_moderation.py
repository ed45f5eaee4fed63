"""Who moderates whom and what, asked of every engine: `people_interface` has the sentences."""

from concurrent.futures import Future
from typing import Any

import pytest

from chatserver.errors import (
    BadRequest,
    Banned,
    ChatError,
    ClaimLost,
    Forbidden,
    NoSuchMessage,
    NoSuchRoom,
    NotJoined,
)
from chatserver.people.token_terms import Role
from chatserver.store.interface import Store
from chatserver.store.seats import EVERYWHERE, LOBBY
from chatserver.store.values import Joined
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
)
from tests.chatserver.store.conftest import Clock

# --- who may


@pytest.mark.parametrize(
    ("room", "role", "refusal"),
    [
        (LOBBY, "member", Forbidden),
        (LOBBY, "moderator", None),
        (LOBBY, "admin", None),
        ("tea", "member", Forbidden),
        ("tea", "moderator", None),
        ("+private", "member", NoSuchRoom),
        ("+private", "moderator", NoSuchRoom),
        ("+private", "admin", None),
        ("@direct", "moderator", NoSuchRoom),
        ("@direct", "admin", NoSuchRoom),
        ("nowhere", "admin", NoSuchRoom),
        (EVERYWHERE, "member", Forbidden),
        (EVERYWHERE, "moderator", Forbidden),
        (EVERYWHERE, "admin", None),
    ],
)
def test_who_moderates_what(
    store: Store, room: str, role: Role, refusal: type[ChatError] | None
) -> None:
    ann = come(store, "Ann")
    claim(store, "Bob")
    private(store, ann)
    enter(store, ann, "tea")
    outcome(store.direct(ann.claim, "bob", "@direct"))
    somebody = come(store, "Somebody", role)

    asked = store.may_moderate(somebody.claim, room, role)
    listed = store.sanctions(somebody.claim, room, role)

    if refusal is None:
        outcome(asked)
        assert outcome(listed) == []
    else:
        assert_refused(refusal, asked, listed)


def test_in_a_private_room_its_owner_moderates_and_who_else_is_inside_may_not(
    store: Store, mod: Joined
) -> None:
    ann, bob = claim(store, "Ann"), claim(store, "Bob")
    private(store, ann, bob, mod)
    two = outcome(store.direct(ann.claim, "bob", "@two"))

    outcome(store.mute(ann.claim, "+private", "member", "bob", 60, ""))
    with pytest.raises(Forbidden):
        outcome(store.mute(bob.claim, "+private", "member", "ann", 60, ""))
    with pytest.raises(Forbidden):
        outcome(store.kick(mod.claim, "+private", "moderator", "bob", ""))
    with pytest.raises(Forbidden):
        outcome(store.mute(ann.claim, two.room, "member", "bob", 60, ""))


def test_who_is_muted_or_banned_moderates_nothing_there_but_admins_do(
    store: Store, mod: Joined, boss: Joined
) -> None:
    ann = come(store, "Ann")
    other = come(store, "Other", "admin")
    private(store, ann)
    outcome(store.mute(boss.claim, "+private", "admin", "ann", 60, ""))
    outcome(store.ban(boss.claim, LOBBY, "admin", "mod", 60, ""))
    # An admin's token was for less when it was sanctioned.
    outcome(store.renew(other.claim, 10**10, "member"))
    outcome(store.mute(boss.claim, LOBBY, "admin", "other", 60, ""))

    assert_refused(Forbidden, store.may_moderate(ann.claim, "+private", "member"))
    assert_refused(Banned, store.may_moderate(mod.claim, LOBBY, "moderator"))
    outcome(store.may_moderate(other.claim, LOBBY, "admin"))


def test_only_those_who_may_do_less_can_be_sanctioned(
    store: Store, mod: Joined, boss: Joined
) -> None:
    other = come(store, "Other", "moderator")
    ann = come(store, "Ann", "moderator")
    private(store, ann, other)

    def sanctions(who: Joined, room: str, role: Role, key: str) -> "list[Future[Any]]":
        return [
            store.mute(who.claim, room, role, key, 60, ""),
            store.ban(who.claim, room, role, key, 60, ""),
        ]

    assert_refused(
        Forbidden,
        *sanctions(mod, LOBBY, "moderator", "mod"),
        *sanctions(mod, LOBBY, "moderator", "other"),
        *sanctions(mod, LOBBY, "moderator", "boss"),
        store.kick(mod.claim, LOBBY, "moderator", "other", ""),
        *sanctions(boss, LOBBY, "admin", "boss"),
        *sanctions(boss, EVERYWHERE, "admin", "boss")[1:],
        *sanctions(ann, "+private", "moderator", "boss"),
        match="only to those who may do less",
    )

    # In a private room a moderator is nobody.
    outcome(store.mute(ann.claim, "+private", "moderator", "other", 60, ""))
    outcome(store.mute(boss.claim, "+private", "admin", "ann", 60, ""))


def test_nobody_of_that_name_is_a_bad_request(store: Store, mod: Joined, boss: Joined) -> None:
    come(store, "Ann")
    guest = claim(store, "Guest")
    outcome(store.release(guest.claim))

    assert_refused(
        BadRequest,
        store.mute(mod.claim, LOBBY, "moderator", "nobody", 60, ""),
        store.ban(mod.claim, LOBBY, "moderator", "guest", 60, ""),
        store.kick(mod.claim, LOBBY, "moderator", "nobody", ""),
        store.kick(mod.claim, LOBBY, "moderator", "boss", ""),
        store.lift(mod.claim, LOBBY, "moderator", 1),
        store.disconnect(boss.claim, "admin", "nobody", ""),
        store.revoke(boss.claim, "admin", "guest"),
        store.erase(boss.claim, "admin", "guest", ""),
    )


def test_who_lost_the_claim_moderates_nothing(store: Store, mod: Joined) -> None:
    outcome(store.release(mod.claim))

    assert_refused(
        ClaimLost,
        store.may_moderate(mod.claim, LOBBY, "moderator"),
        store.mute(mod.claim, LOBBY, "moderator", "mod", 60, ""),
        store.announce(mod.claim, "admin", "hello"),
    )


# --- kick and ban


def test_who_is_kicked_has_no_seat_and_hears_why_last(store: Store, mod: Joined) -> None:
    ann = claim(store, "Ann")
    tea = enter(store, ann, "tea")
    say_in(store, ann, tea, "hello")
    enter(store, mod, "tea")
    ear = Ear(store)

    outcome(store.kick(mod.claim, "tea", "moderator", "ann", "too loud"))

    with pytest.raises(NotJoined):
        say_in(store, ann, tea, "why?")
    with pytest.raises(NotJoined):
        store.read_room(ann.claim.by, tea, limit=9)
    assert ear.told() == ["Mod sent Ann out: too loud"]
    (event,) = ear.events
    assert (event.type, event.room, event.user, event.by) == (
        "notice",
        "tea",
        "Mod",
        mod.claim.by,
    )
    assert [(one.by, one.number, one.begins) for one in event.seats] == [
        (ann.claim.by, tea.number, False)
    ]
    assert enter(store, ann, "tea").number > event.id


def test_who_is_kicked_out_of_the_lobby_is_in_its_list_no_more(store: Store, mod: Joined) -> None:
    ann = claim(store, "Ann")

    outcome(store.kick(mod.claim, LOBBY, "moderator", "ann", ""))

    assert store.names() == ["Mod"]
    assert [event.text for event in store.read_room(mod.claim.by, mod.seats[0], limit=9)][-1] == (
        "Mod sent Ann out"
    )
    with pytest.raises(NotJoined):
        say(store, ann, "hello")


def test_the_owner_kicks_the_last_but_one_and_an_admin_the_owner(
    store: Store, boss: Joined
) -> None:
    ann, bob = claim(store, "Ann"), come(store, "Bob")
    seats = private(store, ann, bob)

    outcome(store.kick(boss.claim, "+private", "admin", "ann", ""))

    assert store.room(bob.claim.by, seats[1]).owner
    outcome(store.kick(boss.claim, "+private", "admin", "bob", ""))
    assert [room.name for room in store.all_rooms(None, 9)] == [LOBBY]


def test_who_is_banned_from_a_room_is_not_let_in(store: Store, mod: Joined, clock: Clock) -> None:
    ann = come(store, "Ann")
    tea = enter(store, ann, "tea")
    say_in(store, ann, tea, "hello")
    ear = Ear(store)

    number = outcome(store.ban(mod.claim, "tea", "moderator", "ann", 3600, "ads"))

    assert ear.told() == ["Mod banned Ann for 1 hour: ads"]
    with pytest.raises(NotJoined):
        say_in(store, ann, tea, "hello")
    with pytest.raises(Banned, match="You are banned from here for 1 hour yet: ads"):
        enter(store, ann, "tea")
    enter(store, ann, "elsewhere")
    outcome(store.lift(mod.claim, "tea", "moderator", number))
    assert ear.told()[-1] == "Mod lifted the ban of Ann"
    enter(store, ann, "tea")


def test_a_pass_lets_nobody_in_who_is_banned(store: Store) -> None:
    ann, bob = claim(store, "Ann"), claim(store, "Bob")
    seat = private(store, ann, bob)[0]

    outcome(store.ban(ann.claim, seat.room, "member", "bob", None, ""))

    with pytest.raises(Banned, match="for good"):
        outcome(store.accept(bob.claim, "digest"))


def test_somebody_can_be_banned_who_is_not_in_the_room(store: Store, mod: Joined) -> None:
    come(store, "Ann")
    enter(store, claim(store, "Bob"), "tea")
    ear = Ear(store)

    outcome(store.ban(mod.claim, "tea", "moderator", "ann", 90, ""))

    assert ear.told() == ["Mod banned Ann for 90 seconds"]
    assert not ear.events[0].seats


def test_who_is_banned_from_the_lobby_does_not_join_and_may_log_in(
    store: Store, mod: Joined
) -> None:
    bob = claim(store, "Bob", address="digest")
    outcome(store.ban(mod.claim, LOBBY, "moderator", "bob", 60, ""))

    with pytest.raises(NotJoined):
        say(store, bob, "hello")
    back = claim(store, "Bob", bob.claim.secret, address="digest", lobby=False)
    with pytest.raises(Banned):
        enter(store, back, LOBBY)
    with pytest.raises(Banned):
        claim(store, "Cid", address="digest")
    enter(store, claim(store, "Cid", address="digest", lobby=False), "tea")


def test_a_ban_of_a_guest_leaves_no_other_name_of_its_address_in_the_room(
    store: Store, mod: Joined
) -> None:
    bob, cid = (claim(store, name, address="digest", lobby=False) for name in ("Bob", "Cid"))
    dan, ann = claim(store, "Dan", address="another", lobby=False), come(store, "Ann", lobby=False)
    seats = {who: enter(store, who, "tea") for who in (cid, dan, ann)}
    say_in(store, ann, seats[ann], "hello")
    ear = Ear(store)

    outcome(store.ban(mod.claim, "tea", "moderator", "bob", 60, "ads"))

    assert ear.told() == ["Mod banned Bob for 1 minute: ads", "Mod banned Cid for 1 minute: ads"]
    assert [(change.by, change.begins) for change in ear.events[1].seats] == [(cid.claim.by, False)]
    with pytest.raises(NotJoined):
        say_in(store, cid, seats[cid], "hello")
    say_in(store, dan, seats[dan], "hello")
    say_in(store, ann, seats[ann], "hello")
    with pytest.raises(Banned):
        enter(store, bob, "tea")


def test_what_a_guest_does_to_one_of_its_own_address_is_done_to_that_one_alone(
    store: Store,
) -> None:
    ann, bob, cid = (claim(store, name, address="digest") for name in ("Ann", "Bob", "Cid"))
    mine, bobs, cids = private(store, ann, bob, cid)

    outcome(store.mute(ann.claim, mine.room, "member", "bob", None, ""))
    number = outcome(store.ban(ann.claim, mine.room, "member", "bob", None, ""))

    with pytest.raises(NotJoined):
        say_in(store, bob, bobs, "hello")
    say_in(store, cid, cids, "hello")
    outcome(store.lift(ann.claim, mine.room, "member", number))


def test_a_sanction_is_lifted_in_its_own_room_alone(store: Store, mod: Joined) -> None:
    ann = come(store, "Ann")
    enter(store, ann, "tea")
    number = outcome(store.mute(mod.claim, "tea", "moderator", "ann", None, ""))

    with pytest.raises(BadRequest):
        outcome(store.lift(mod.claim, LOBBY, "moderator", number))
    outcome(store.lift(mod.claim, "tea", "moderator", number))
    with pytest.raises(BadRequest):
        outcome(store.lift(mod.claim, "tea", "moderator", number))


def test_with_a_room_end_its_sanctions(store: Store, boss: Joined) -> None:
    ann, bob = claim(store, "Ann"), come(store, "Bob")
    seat = private(store, ann, bob)[0]
    outcome(store.ban(ann.claim, seat.room, "member", "bob", None, ""))

    outcome(store.close_room(ann.claim, seat))

    assert store.statistics()["sanctions"] == 0


# --- ranks


def test_what_an_admin_has_decided_only_admins_lift_or_replace(
    store: Store, mod: Joined, boss: Joined
) -> None:
    ann, other = come(store, "Ann"), come(store, "Other", "admin", lobby=False)
    numbers = [
        outcome(done(boss.claim, LOBBY, "admin", "ann", None, ""))
        for done in (store.mute, store.ban)
    ]

    assert_refused(
        Forbidden,
        *(store.lift(mod.claim, LOBBY, "moderator", number) for number in numbers),
        store.mute(mod.claim, LOBBY, "moderator", "ann", 1, ""),
        store.ban(mod.claim, LOBBY, "moderator", "ann", 1, ""),
        match="An admin has decided that",
    )
    with pytest.raises(Banned, match="for good"):
        enter(store, ann, LOBBY)

    outcome(store.lift(other.claim, LOBBY, "admin", numbers[0]))
    replaced = outcome(store.ban(other.claim, LOBBY, "admin", "ann", 60, ""))
    assert [(one.number, one.rank) for one in in_force(store, boss, LOBBY)] == [(replaced, 2)]


def test_what_a_moderator_has_decided_its_equals_and_admins_lift_and_replace(
    store: Store, mod: Joined, boss: Joined
) -> None:
    come(store, "Ann")
    other = come(store, "Other", "moderator")
    outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", None, ""))

    shorter = outcome(store.mute(other.claim, LOBBY, "moderator", "ann", 60, ""))
    outcome(store.lift(other.claim, LOBBY, "moderator", shorter))
    outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", None, ""))
    admins = outcome(store.mute(boss.claim, LOBBY, "admin", "ann", 60, ""))

    assert [(one.number, one.rank) for one in in_force(store, boss, LOBBY)] == [(admins, 2)]


def test_what_an_admin_has_decided_for_a_time_stands_in_nobodys_way_afterwards(
    store: Store, mod: Joined, boss: Joined, clock: Clock
) -> None:
    come(store, "Ann")
    outcome(store.mute(boss.claim, LOBBY, "admin", "ann", 60, ""))
    clock.advance(60)

    number = outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", 60, ""))

    assert [(one.number, one.rank) for one in in_force(store, boss, LOBBY)] == [(number, 1)]


def test_whoever_owns_a_room_next_lifts_what_owners_have_decided_and_nothing_of_admins(
    store: Store, boss: Joined
) -> None:
    ann, bob, cid = come(store, "Ann"), come(store, "Bob"), come(store, "Cid")
    anns, *_ = private(store, ann, bob, cid)
    of_owner = outcome(store.mute(ann.claim, "+private", "member", "cid", None, ""))
    of_admin = outcome(store.mute(boss.claim, "+private", "admin", "ann", None, ""))

    outcome(store.leave_room(ann.claim, anns))

    assert_refused(Forbidden, store.lift(bob.claim, "+private", "member", of_admin))
    outcome(store.lift(bob.claim, "+private", "member", of_owner))
    assert [one.number for one in in_force(store, boss, "+private")] == [of_admin]


# --- messages


def test_a_message_is_struck_by_a_remove_with_the_reason(store: Store, mod: Joined) -> None:
    ann = claim(store, "Ann")
    said = say(store, ann, "rude words")
    outcome(store.release(ann.claim))
    ear = Ear(store)

    receipt = outcome(store.strike(mod.claim, LOBBY, "moderator", said.id, "rude"))

    assert ear.told() == ["rude"]
    (event,) = ear.events
    assert (event.id, event.type, event.target) == (receipt.id, "remove", said.id)
    assert (event.user, event.by) == ("Mod", mod.claim.by)
    (message,) = store.read_room(mod.claim.by, mod.seats[0], limit=9, kinds="messages")
    assert message.removed
    assert message.text == ""
    with pytest.raises(NoSuchMessage):
        outcome(store.strike(mod.claim, LOBBY, "moderator", said.id, ""))
    with pytest.raises(NoSuchRoom):
        outcome(store.strike(mod.claim, EVERYWHERE, "admin", said.id, ""))
