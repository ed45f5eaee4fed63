"""Two workers on one Redis, in this process: what is answered on one is in force on the other."""

from collections.abc import Iterator

import pytest
from redis import Redis

from chatserver.errors import NotJoined
from chatserver.rooms.stays import Stays
from chatserver.store import open_store
from chatserver.store.redis.scripts import ASIDES
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.rooms.somebody import Somebody, resuming, say
from tests.chatserver.store.conftest import redis_url, shared_redis

__all__ = ["redis_url", "shared_redis"]

pytestmark = pytest.mark.usefixtures("gevent_default")

Workers = tuple[Stays, Stays]


@pytest.fixture
def workers(redis_url: str) -> Iterator[Workers]:
    both = (Stays(open_store(redis_url)), Stays(open_store(redis_url)))
    for stays in both:
        stays.start()
    yield both
    for stays in both:
        stays.stop()


def test_what_is_said_in_a_room_is_heard_in_one_order_on_all_workers(workers: Workers) -> None:
    ann, bob = (Somebody(stays, name) for stays, name in zip(workers, ("Ann", "Bob"), strict=True))
    here, there = ann.enter("here"), bob.enter("here")

    said = [room.say(f"{n}") for n in range(50) for room in (here, there)]
    last = max(outcome(future).id for future in said)

    eventually(lambda: all(who.heard[-1]["id"] >= last for who in (ann, bob)))
    chats = [[e["id"] for e in who.heard if e["type"] == "chat"] for who in (ann, bob)]
    assert chats[0] == chats[1] == sorted(outcome(future).id for future in said)


def test_two_who_ask_for_their_conversation_at_once_get_the_same(workers: Workers) -> None:
    ann, bob = (Somebody(stays, name) for stays, name in zip(workers, ("Ann", "Bob"), strict=True))

    asked = [ann.person.direct("Bob"), bob.person.direct("Ann")]
    here, there = (outcome(future) for future in asked)

    names = {outcome(room.info)["name"] for room in (here, there)}
    assert len(names) == 1
    say(here, "psst")
    eventually(lambda: bob.texts() == ["psst"])


def test_a_room_that_is_closed_is_closed_on_all_workers_once_it_is_answered(
    workers: Workers,
) -> None:
    ann, bob = (Somebody(stays, name) for stays, name in zip(workers, ("Ann", "Bob"), strict=True))
    here = outcome(ann.person.open({"title": "Ours"}))
    there = outcome(bob.person.accept(outcome(here.createPass())))

    outcome(here.close())

    with pytest.raises(NotJoined):
        outcome(there.say("still here?"))
    with pytest.raises(NotJoined):
        outcome(there.history())
    eventually(lambda: bob.heard and bob.heard[-1]["type"] == "notice")
    eventually(lambda: workers[1].feed.position == workers[0].feed.position)
    with pytest.raises(NotJoined):
        there.typing()


def test_typing_is_told_on_all_workers(workers: Workers, redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:  # which says who listens; a worker begins to at first
        eventually(lambda: dict(redis.pubsub_numsub(ASIDES)) == {ASIDES.encode(): 2})
    ann, bob = (Somebody(stays, name) for stays, name in zip(workers, ("Ann", "Bob"), strict=True))
    here = ann.enter("here")
    bob.enter("here")
    say(here, "hello")
    eventually(lambda: "hello" in bob.texts())  # from now on his worker knows that he is there

    here.typing()

    eventually(lambda: any(event["type"] == "typing" for event in bob.heard))


def test_whoever_goes_on_at_another_worker_has_its_rooms_there(workers: Workers) -> None:
    first, second = workers
    ann, bob = Somebody(first, "Ann"), Somebody(second, "Bob")
    ann.enter("here")
    there = bob.enter("here")
    me = ann.me()
    since = say(there, "heard")
    eventually(lambda: "heard" in ann.texts())

    ann.end()
    say(there, "missed")
    back = Somebody(second, "Ann", resuming(me["resume"], since))

    eventually(lambda: back.texts() == ["missed"])
    assert [room["name"] for room in back.me()["rooms"]] == ["here"]
    say(back.enter("here"), "back")
    eventually(lambda: bob.texts()[-1] == "back")
