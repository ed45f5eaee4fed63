"""Two workers on one Redis, in this process: what moderators and admins do on one is in force on
the other when the answer arrives, whatever is under way there."""

from concurrent.futures import Future
from functools import partial

import pytest

from chatserver.capabilities.admin import Admin
from chatserver.capabilities.person import Person
from chatserver.errors import Banned, ChatError, Forbidden, NotJoined, Unauthorized
from chatserver.options import JoinOptions
from chatserver.people.tokens import Identity
from chatserver.rooms.arrival import Arriving
from chatserver.rooms.member import ClientState
from chatserver.rooms.stays import Stays
from tests.chatserver.greenlets import FakeConnection, eventually, outcome
from tests.chatserver.rooms.somebody import Somebody, say
from tests.chatserver.rooms.test_two_workers import Workers, workers
from tests.chatserver.store.conftest import redis_url, shared_redis

__all__ = ["redis_url", "shared_redis", "workers"]

pytestmark = pytest.mark.usefixtures("gevent_default")


@pytest.fixture
def boss(workers: Workers) -> Somebody:
    return Somebody(workers[0], "Boss", identity=Identity.of("Boss", role="admin"))


@pytest.fixture
def admin(boss: Somebody) -> Admin:
    return outcome(boss.person.administer())


def coming(stays: Stays, name: str) -> "tuple[FakeConnection, Future[Person]]":
    """The account of this name comes in; whether it may is not known yet."""
    connection, who = FakeConnection(), Identity.of(name)
    arriving = Arriving(who.key, who.name, who)
    callback, options = connection.callback(), JoinOptions()
    answer = partial(Person, stays)
    client = ClientState(connection)
    return connection, stays.log_in(client, arriving, callback, callback, options, answer)


def is_refused(answer: "Future[Person]") -> bool:
    """Whether it was not let in, and why not."""
    try:
        outcome(answer)
    except Banned:
        return True
    return False


def ends_with(connection: FakeConnection, code: int) -> None:
    """Wait until the connection was closed with this code."""
    eventually(lambda: connection.close_code == code)


def test_who_is_muted_on_one_worker_says_nothing_on_the_other(
    workers: Workers, boss: Somebody, full: bool
) -> None:
    bob = Somebody(workers[1], "Bob")
    there = bob.enter("here")
    moderator = outcome(boss.person.moderate("here"))

    for _ in range(1_000 if full else 100):
        sanction = outcome(moderator.mute("Bob", 60))
        with pytest.raises(Forbidden):
            outcome(there.say("muted"))
        outcome(moderator.lift(sanction))
        say(there, "free")


def test_who_is_kicked_on_one_worker_has_nothing_of_the_room_on_the_other(
    workers: Workers, boss: Somebody
) -> None:
    bob = Somebody(workers[1], "Bob")
    boss.enter("here")
    moderator = outcome(boss.person.moderate("here"))

    for _ in range(20):
        there = bob.enter("here")
        outcome(moderator.kick("Bob"))
        with pytest.raises(NotJoined):
            outcome(there.say("x"))
        with pytest.raises(NotJoined):
            outcome(there.history())


@pytest.mark.parametrize("round_", range(5))
def test_a_ban_beside_ten_logins_lets_none_of_them_stay(
    workers: Workers, admin: Admin, round_: int
) -> None:
    outcome(coming(workers[0], "Bob")[1])  # known, so that it can be banned
    before = [coming(workers[n % 2], "Bob") for n in range(5)]
    ban = admin.ban({"name": "Bob"}, 60)
    after = [coming(workers[n % 2], "Bob") for n in range(5)]

    outcome(ban)

    for connection, answer in before + after:
        if not is_refused(answer):
            ends_with(connection, 4004)
    assert is_refused(coming(workers[round_ % 2], "Bob")[1])
    assert [one["name"] for one in outcome(admin.connections())] == ["Boss"]


@pytest.mark.parametrize("renewed_first", [True, False])
def test_a_revoke_beside_a_renew_leaves_no_good_token(
    workers: Workers, admin: Admin, renewed_first: bool
) -> None:
    for number in range(10):
        name = f"Ann {number}"
        ann = Somebody(workers[1], name, identity=Identity.of(name))
        (member,) = ann.client.members.values()
        following = Identity.of(name, role="admin")

        renewal = workers[1].renew(member, following) if renewed_first else None
        revoked = admin.revoke(name)
        renewal = renewal or workers[1].renew(member, following)

        assert outcome(revoked) == 1
        try:
            outcome(renewal)
        except ChatError as error:
            assert isinstance(error, (NotJoined, Unauthorized))  # noqa: PT017
        ends_with(ann.connection, 4003)
        with pytest.raises(NotJoined):
            outcome(ann.person.administer())


def test_an_export_under_way_ends_with_the_role(boss: Somebody, admin: Admin) -> None:
    here = boss.enter("here")
    said = [here.say("x" * 1_000) for _ in range(600)]
    last = max(outcome(future).id for future in said)
    whole = outcome(admin.export("here"))
    assert f'"id": {last},' in "".join(whole)
    parts = outcome(admin.export("here"))
    next(parts)

    (member,) = boss.client.members.values()
    outcome(admin._stays.renew(member, Identity.of("Boss")))

    with pytest.raises(Forbidden):
        next(parts)
