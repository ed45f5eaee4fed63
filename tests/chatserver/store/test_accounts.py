"""Accounts and their places, asked of every engine: `people_interface` has the sentences."""

import pytest

from chatserver.errors import NameTaken, NoSuchRoom, NotJoined, TooMany, Unauthorized
from chatserver.people.names import OPERATOR, OPERATOR_KEY, check_name
from chatserver.store.interface import Policy, Store
from chatserver.store.people_interface import PersonInfo, PlaceInfo
from chatserver.store.seats import ACCOUNT, GUEST, LOBBY, MAX_PLACES, MAX_PRESENCE, Aside
from chatserver.store.values import Account, Joined, Lost, account_identity
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import Ear, claim, come, enter, say, say_in, tick, told
from tests.chatserver.store.conftest import Clock

CYRILLIC_ANN = "\u0410nn"

# --- whose a name is


def test_the_subject_that_first_used_a_name_owns_it(store: Store) -> None:
    ann = come(store, "Ann")
    outcome(store.release(ann.claim))

    with pytest.raises(Unauthorized):
        come(store, "ANN")
    with pytest.raises(Unauthorized):
        come(store, "Ann", subject="ann", secret=ann.claim.secret)

    again = come(store, "aNN", subject="Ann")
    assert (again.name, again.claim.by) == ("aNN", account_identity("Ann"))
    assert again.claim.account


def test_for_guests_an_accounts_name_is_taken_whether_anybody_is_there_or_not(
    store: Store,
) -> None:
    ann = come(store, "Ann")
    with pytest.raises(NameTaken):
        claim(store, "ann")
    with pytest.raises(NameTaken):
        claim(store, "Ann", ann.claim.secret)
    outcome(store.release(ann.claim))

    with pytest.raises(NameTaken) as taken:
        claim(store, "ann")
    assert "retryAfter" not in taken.value.properties
    with pytest.raises(NameTaken, match="looks like Ann"):
        claim(store, CYRILLIC_ANN)


def test_an_account_is_let_in_whatever_its_name_looks_like(store: Store) -> None:
    claim(store, "Ann")

    assert come(store, CYRILLIC_ANN).name == CYRILLIC_ANN


def test_a_guest_is_out_when_an_account_of_its_name_comes(store: Store) -> None:
    guest = claim(store, "Ann")
    seat = enter(store, guest, "tea")
    say_in(store, guest, seat, "hello")
    ear = Ear(store)

    ann = come(store, "Ann", lobby=False)

    (lost,) = ear.losses()
    assert (lost.holder, lost.why) == (guest.claim.holder, "account_came")
    assert "Ann" in lost.text
    assert ann.seats == ()
    assert store.names() == []
    with pytest.raises(NotJoined):
        say(store, guest, "still here?")
    with pytest.raises(NotJoined):
        store.room(guest.claim.by, seat)


def test_a_guest_who_waits_is_out_without_a_word(store: Store) -> None:
    guest = claim(store, "Ann")
    outcome(store.suspend(guest.claim))
    ear = Ear(store)

    come(store, "Ann", lobby=False)

    assert ear.losses() == []
    assert store.names() == []


def test_the_role_and_the_spelling_are_those_of_the_latest_token(store: Store) -> None:
    come(store, "Ann", "moderator")
    seat = enter(store, come(store, "ANN", "member", subject="Ann"), "tea")

    by = account_identity("Ann")
    assert store.everyone(None, 9) == [PersonInfo("ANN", "member", True, 2)]
    assert store.people(by, seat, None, 9)[0].role == "member"


def test_a_token_from_before_a_revoke_is_no_good(store: Store, clock: Clock) -> None:
    boss = come(store, "Boss", "admin")
    come(store, "Ann")
    second = clock.now // 1000

    assert outcome(store.revoke(boss.claim, "admin", "ann")) == 1

    for issued in (0, second, second + 0.999):
        with pytest.raises(Unauthorized):
            claim(store, "Ann", account=Account("Ann", "member", issued))
    assert claim(store, "Ann", account=Account("Ann", "member", second + 1)).name == "Ann"


def test_with_the_next_token_an_account_has_its_role(store: Store, clock: Clock) -> None:
    boss, ann = come(store, "Boss", "admin"), come(store, "Ann")
    second = clock.now // 1000

    outcome(store.renew(ann.claim, second, "moderator"))

    assert store.everyone("Amy", 1) == [PersonInfo("Ann", "moderator", True, 1)]
    outcome(store.revoke(boss.claim, "admin", "ann"))
    back = claim(store, "Ann", account=Account("Ann", "member", second + 1))
    with pytest.raises(Unauthorized):
        outcome(store.renew(back.claim, second, "admin"))
    assert store.everyone("Amy", 1) == [PersonInfo("Ann", "member", True, 1)]


def test_a_guest_has_no_token_to_renew(store: Store) -> None:
    with pytest.raises(Unauthorized):
        outcome(store.renew(claim(store, "Ann").claim, 10**10, "admin"))


# --- places


def test_each_place_has_a_secret_and_a_holder_of_its_own_and_all_one_identity(
    store: Store,
) -> None:
    here, there = come(store, "Ann"), come(store, "Ann", secret="none of them")

    assert here.claim.key == there.claim.key == "ann"
    assert here.claim.by == there.claim.by == account_identity("Ann")
    assert here.claim.secret != there.claim.secret
    assert here.seats == there.seats
    assert store.names() == ["Ann"]
    assert (there.online, there.users) == (1, ("Ann",))
    assert say(store, here, "here").id < say(store, there, "there").id
    assert told(store) == ["Ann joined the chat", "here", "there"]


def test_the_secret_takes_that_place_over_and_no_other(store: Store) -> None:
    here, there = come(store, "Ann"), come(store, "Ann")
    ear = Ear(store)

    back = come(store, "Ann", secret=here.claim.secret)

    assert back.claim.secret == here.claim.secret
    assert ear.losses() == [Lost(here.claim.holder, "taken_over")]
    with pytest.raises(NotJoined):
        say(store, here, "am I still?")
    assert say(store, there, "I am").id == say(store, back, "and I").id - 1


def test_an_account_has_ten_places_and_those_that_wait_make_room(
    store: Store, clock: Clock
) -> None:
    places = [come(store, "Ann") for _ in range(MAX_PLACES)]
    with pytest.raises(TooMany):
        come(store, "Ann")
    assert come(store, "Ann", secret=places[9].claim.secret)
    for place in (places[4], places[2]):
        outcome(store.suspend(place.claim))
        clock.advance(0.01)

    come(store, "Ann")

    assert come(store, "Ann", secret=places[2].claim.secret).claim.secret == places[2].claim.secret
    with pytest.raises(TooMany):
        come(store, "Ann", secret=places[4].claim.secret)


@pytest.mark.parametrize("how", ["release", "time"])
def test_with_a_place_ends_nothing_that_is_the_identitys(
    store: Store, clock: Clock, how: str
) -> None:
    ann, bob = come(store, "Ann"), come(store, "Bob")
    tea = enter(store, ann, "tea")
    mine = outcome(store.open_room(ann.claim, "+mine", "Mine", "", False))
    two = outcome(store.direct(ann.claim, "bob", "@two"))
    outcome(store.block(ann.claim, "cid", True))
    first = say_in(store, bob, enter(store, bob, "tea"), "one")
    said = say_in(store, ann, tea, "two", "key")
    say_in(store, bob, enter(store, bob, "tea"), "three")
    if how == "release":
        outcome(store.release(ann.claim))
    else:
        outcome(store.suspend(ann.claim))
        clock.advance(15)
        tick(store)

    assert store.names() == ["Bob"]
    assert store.people(bob.claim.by, enter(store, bob, "tea"), "Amy", 1)[0].online is False
    again = come(store, "Ann", lobby=False)

    assert {*again.seats} == {*ann.seats, tea, mine, two}
    assert again.seats[0] == ann.seats[0]
    assert store.room(again.claim.by, tea).unread == 1
    assert say_in(store, again, tea, "two", "key") == said
    assert store.room(again.claim.by, mine).owner
    assert outcome(store.edit(again.claim, tea, said.id, "2")).id > first.id
    with pytest.raises(NoSuchRoom):
        outcome(store.direct(claim(store, "Cid").claim, "ann", "@cid"))


def test_a_direct_room_with_an_account_that_is_away_can_be_asked_for(store: Store) -> None:
    ann, bob = come(store, "Ann"), come(store, "Bob")
    outcome(store.release(ann.claim))

    two = outcome(store.direct(bob.claim, "ann", "@two"))
    say_in(store, bob, two, "are you there?")

    again = come(store, "Ann")
    assert two in again.seats
    assert store.room(again.claim.by, two).unread == 1


def test_the_keys_of_messages_are_those_of_all_places(store: Store) -> None:
    here, there = come(store, "Ann"), come(store, "Ann")

    assert say(store, here, "hello", "key") == say(store, there, "hello", "key")


def test_an_account_may_be_in_more_rooms_than_a_guest(store: Store) -> None:
    ann = come(store, "Ann")

    for number in range(GUEST.rooms + 1):
        outcome(store.open_room(ann.claim, f"+{number}", "Room", "", False))

    assert GUEST.made < GUEST.rooms < ACCOUNT.made < ACCOUNT.rooms


# --- being online


def test_coming_online_and_going_is_told_in_the_lobby_and_the_seat_stays(
    store: Store, clock: Clock
) -> None:
    ann = come(store, "Ann")
    other = come(store, "Ann")
    outcome(store.release(ann.claim))
    assert store.names() == ["Ann"]
    outcome(store.release(other.claim))

    assert store.names() == []
    assert store.counts().users == 0
    assert told(store) == ["Ann joined the chat", "Ann left the chat"]

    clock.advance(1)
    again = come(store, "Ann", lobby=False)
    assert again.seats == ann.seats
    assert (again.online, again.users) == (1, ("Ann",))
    assert told(store)[2:] == ["Ann joined the chat"]


def test_an_account_without_a_seat_in_the_lobby_comes_and_goes_without_a_notice(
    store: Store,
) -> None:
    ann = come(store, "Ann", lobby=False)
    outcome(store.release(ann.claim))

    assert told(store) == []


def test_rooms_are_told_who_comes_online_and_goes(store: Store) -> None:
    bob = claim(store, "Bob")
    tea = enter(store, bob, "tea")
    ann = come(store, "Ann", lobby=False)
    enter(store, ann, "tea")
    ear = Ear(store)
    ear.tune_in(bob)

    other = come(store, "Ann", lobby=False)
    outcome(store.release(ann.claim))
    outcome(store.suspend(other.claim))
    assert ear.until_typing(bob, tea) == []

    outcome(store.release(come(store, "Ann", secret=other.claim.secret, lobby=False).claim))
    assert ear.until_typing(bob, tea) == [Aside("tea", "presence", "Ann", ann.claim.by, False)]

    come(store, "Ann", lobby=False)
    assert ear.until_typing(bob, tea) == [Aside("tea", "presence", "Ann", ann.claim.by, True)]


def test_a_crowd_is_not_told_who_comes_online_and_goes(store: Store) -> None:
    bob = claim(store, "Bob")
    ann = come(store, "Ann")
    tea = enter(store, ann, "tea")
    names = [f"member {number}" for number in range(MAX_PRESENCE - 1)]
    for future in [store.claim(check_name(name).key, name, name, None) for name in names]:
        outcome(future)
    ear = Ear(store)
    ear.tune_in(bob)

    outcome(store.release(ann.claim))

    tea_alone = [Aside("tea", "presence", "Ann", ann.claim.by, False)]
    assert ear.until_typing(bob, bob.seats[0]) == tea_alone
    assert tea.room == "tea"


def test_who_is_in_too_many_rooms_comes_and_goes_in_silence(store: Store) -> None:
    bob = claim(store, "Bob")
    tea = enter(store, bob, "tea")
    ann = come(store, "Ann", lobby=False)
    others = [come(store, f"Maker {number}", lobby=False) for number in range(2)]
    rooms = ["tea", *(f"r{number}" for number in range(MAX_PRESENCE))]
    for who, names in ((others[0], rooms[1:101]), (others[1], rooms[101:]), (ann, rooms)):
        for future in [store.enter(who.claim, name) for name in names]:
            outcome(future)
    ear = Ear(store)
    ear.tune_in(bob)

    outcome(store.release(ann.claim))
    again = come(store, "Ann", lobby=False)
    assert ear.until_typing(bob, tea) == []

    outcome(store.leave_room(again.claim, again.seats[-1]))
    outcome(store.release(again.claim))
    assert Aside("tea", "presence", "Ann", ann.claim.by, False) in ear.until_typing(bob, tea)


def test_a_place_that_waits_is_online(store: Store, clock: Clock) -> None:
    ann = come(store, "Ann")
    outcome(store.suspend(ann.claim))
    clock.advance(14.9)
    tick(store)

    assert store.names() == ["Ann"]
    assert store.everyone(None, 9) == [PersonInfo("Ann", "member", True, 1)]
    bob = claim(store, "Bob")
    assert [one.online for one in store.people(bob.claim.by, bob.seats[0], None, 9)] == [True] * 2


# --- looking


def test_everyone_is_listed_by_name(store: Store) -> None:
    ann = come(store, "Ann", "moderator")
    enter(store, ann, "tea")
    outcome(store.release(ann.claim))
    claim(store, "Bob", lobby=False)
    come(store, "Cid", "admin")

    assert store.everyone(None, 9) == [
        PersonInfo("Ann", "moderator", False, 2),
        PersonInfo("Bob", None, True, 0),
        PersonInfo("Cid", "admin", True, 1),
    ]
    assert [who.name for who in store.everyone("Ann", 1)] == ["Bob"]
    assert store.everyone("Cid", 1) == []


def test_places_are_listed_with_all_of_one_name_together(store: Store) -> None:
    places = [come(store, "Ann") for _ in range(3)]
    outcome(store.suspend(places[1].claim))
    bob = claim(store, "Bob")

    anns = sorted((places[0].claim.holder, places[2].claim.holder))
    listed = [PlaceInfo("Ann", True, holder) for holder in (None, *anns)]
    assert store.places(None, 1) == listed
    assert store.places(None, 4) == [*listed, PlaceInfo("Bob", False, bob.claim.holder)]
    assert store.places("Ann", 1) == [PlaceInfo("Bob", False, bob.claim.holder)]


def test_all_rooms_are_listed_but_direct_ones(store: Store) -> None:
    ann, bob = come(store, "Ann"), claim(store, "Bob")
    enter(store, bob, "tea")
    outcome(store.open_room(bob.claim, "+private", "Private", "about", False))
    outcome(store.direct(ann.claim, "bob", "@two"))

    rooms = store.all_rooms(None, 9)

    assert [room.name for room in rooms] == ["+private", "lobby", "tea"]
    assert (rooms[0].title, rooms[0].topic, rooms[0].people) == ("Private", "about", 1)
    assert (rooms[0].number, rooms[0].owner, rooms[0].unread) == (None, False, 0)
    assert [room.name for room in store.all_rooms("+private", 1)] == ["lobby"]


def test_statistics_count_what_there_is(store: Store) -> None:
    ann = come(store, "Ann", "admin")
    come(store, "Ann")
    outcome(store.release(come(store, "Bob").claim))
    say(store, ann, "hello")
    say_in(store, ann, enter(store, ann, "tea"), "hello")
    outcome(store.ban(ann.claim, LOBBY, "admin", "bob", 60, ""))

    found = store.statistics()

    assert found == {
        "accounts": 2,
        "online": 1,
        "places": 2,
        "rooms": 2,
        "messages": 2,
        "events": store.follow(0, 1).events[-1].id,
        "sanctions": 1,
    }


def test_the_operators_account_ends_with_its_last_place_and_its_tokens_stay_revoked(
    store: Store, boss: Joined, clock: Clock
) -> None:
    claim(store, "Bob")
    now = clock.now // 1000

    def operate(holder: str, issued: int) -> Joined:
        account = Account(OPERATOR, "admin", issued)
        return outcome(store.claim(OPERATOR_KEY, OPERATOR, holder, None, False, account=account))

    one, other = (operate(f"operator.{number}", now - 1) for number in range(2))
    enter(store, one, "tea")
    outcome(store.direct(one.claim, "bob", "@two"))
    outcome(store.release(one.claim))
    tick(store)
    assert [who.name for who in store.everyone(None, 9)] == ["Bob", "Boss", OPERATOR]

    outcome(store.revoke(boss.claim, "admin", OPERATOR_KEY))
    tick(store)

    assert [who.name for who in store.everyone(None, 9)] == ["Bob", "Boss"]
    assert [room.name for room in store.rooms(one.claim.by, None, 9)] == [LOBBY]
    with pytest.raises(Unauthorized):
        operate("operator.3", now - 1)
    third = operate("operator.4", now + 1)
    outcome(store.suspend(third.claim))
    clock.advance(Policy().grace_seconds)
    for _ in range(2):
        tick(store)
    assert store.statistics()["accounts"] == 1
    assert other.claim.by == third.claim.by
