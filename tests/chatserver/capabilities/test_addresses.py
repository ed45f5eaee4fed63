"""What is done to guests by where they come from, and what the log has of it."""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from chatserver.people.token_terms import Role
from tests.chatserver.guests import SECRET, Guest, account, refusal
from tests.processes import Processes, ServerProcess

_rooms = count(1)


@pytest.fixture
def room() -> str:
    """A name that no other test uses."""
    return f"addressed{next(_rooms)}"


@pytest.fixture(scope="module")
def proxied() -> Iterator[ServerProcess]:
    """A server that believes what a proxy says of where its clients are from, and logs all."""
    options = ("--trust-proxies", "1", "--log-level", "DEBUG", "--unlimited-addresses", "127.0.0.1")
    with Processes(quiet=True) as processes:
        yield processes.add(ServerProcess(*options, env={"CHAT_SECRET": SECRET}))


ComeFrom = Callable[..., Guest]


@pytest.fixture
def come_from(proxied: ServerProcess) -> Iterator[ComeFrom]:
    """Somebody who comes from an address."""
    here: list[Guest] = []

    def come(address: str, name: str | None, **options: Any) -> Guest:
        headers = {"X-Forwarded-For": address}
        here.append(Guest(proxied.url, name, headers=headers, **options))
        return here[-1]

    yield come
    for guest in here:
        guest.close()


def by_role(role: Role) -> dict[str, Any]:
    return account(role.title(), role=role)


@pytest.mark.parametrize(
    ("address", "same", "another"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("2001:db8:0:1::7", "2001:db8:0:1:ffff::8", "2001:db8:0:2::7"),
    ],
)
def test_what_is_done_to_a_guest_holds_for_guests_from_its_address(
    come_from: ComeFrom, address: str, same: str, another: str, room: str
) -> None:
    mod = come_from("127.0.0.1", **by_role("moderator"))
    moderator = mod.person.moderate("lobby").result()
    bob = come_from(address, f"Bob {room}")
    bob.enter("lobby")
    ann = come_from(same, **account(f"Ann {room}"))
    ann.enter("lobby")

    sanction = moderator.ban(f"Bob {room}").result()

    eve = come_from(same, f"Eve {room}")
    assert refusal(eve.person.enter("lobby")) == "forbidden"
    assert refusal(bob.person.enter("lobby")) == "forbidden"
    assert come_from(another, f"Zoe {room}").enter("lobby").info.result()
    assert ann.enter("lobby").say("an account").result()
    moderator.lift(sanction).result()
    mine = eve.enter("lobby")
    moderator.mute(f"Eve {room}").result()
    twin = come_from(same, f"Twin {room}").enter("lobby")
    assert refusal(twin.say("x")) == refusal(mine.say("x")) == "forbidden"
    shown = moderator.sanctions().result()
    assert [(one["name"], one["kind"]) for one in shown] == [(f"Eve {room}", "mute")]
    moderator.lift(shown[0]["id"]).result()


def test_guests_of_an_address_that_is_banned_are_sent_away_and_none_let_in(
    come_from: ComeFrom, proxied: ServerProcess
) -> None:
    boss = come_from("127.0.0.1", **by_role("admin"))
    admin = boss.person.administer().result()
    bob, eve = come_from("198.51.100.7", "Bob"), come_from("198.51.100.8", "Eve")
    ann = come_from("198.51.100.7", **account("Ann"))
    assert all((bob.me, eve.me, ann.me))

    sanction = admin.ban({"address": "198.51.100.7"}, 60, "a secret reason").result()

    assert bob.closed() == (4004, "You were banned for 1 minute: a secret reason.")
    assert refusal(come_from("198.51.100.7", "Bob").person) == "forbidden"
    assert (eve.me["name"], ann.me["name"]) == ("Eve", "Ann")
    (shown,) = admin.sanctions().result()
    assert (shown["id"], shown["name"], shown["reason"]) == (sanction, None, "a secret reason")
    admin.lift(sanction).result()
    assert come_from("198.51.100.7", "Bob").me["name"] == "Bob"
    line = proxied.wait_for_line(" Banned by=Admin .*", stderr=True)[0]
    assert "198.51.100.7" not in line
    assert "secret" not in line


def test_each_use_is_a_line_of_the_log_without_texts(
    come_from: ComeFrom, proxied: ServerProcess
) -> None:
    boss = come_from("127.0.0.1", **by_role("admin"))
    secrets = [boss.me["resume"], SECRET]
    bob = come_from("203.0.113.99", "Bert")
    there = bob.enter("logged")
    message = there.say("unspeakable").result()["id"]
    moderator, admin = (
        boss.person.moderate("logged").result(),
        boss.person.administer().result(),
    )
    moderator.remove(message, "unspeakable").result()
    moderator.lift(moderator.mute("Bert", 60, "unspeakable").result()).result()
    moderator.kick("Bert", "unspeakable").result()
    admin.announce("unspeakable").result()
    list(admin.export("logged").result())
    admin.closeRoom("logged").result()
    admin.statistics().result()
    admin.disconnect("Bert", "unspeakable").result()
    victim = come_from("127.0.0.1", **account("Victim"))
    assert victim.me["account"]
    admin.revoke("Victim").result()
    admin.erase("Victim").result()

    uses = [
        f"Removed by=Admin id={message} room=logged",
        "Muted by=Admin person=Bert seconds=60 room=logged",
        "Lifted by=Admin id=",
        "Kicked by=Admin person=Bert room=logged",
        "Announced by=Admin",
        "Exported by=Admin room=logged",
        "Closed a room by=Admin room=logged",
        "Disconnected by=Admin person=Bert",
        "Revoked by=Admin person=Victim",
        "Erased by=Admin person=Victim",
        "Listed statistics by=Admin",
    ]
    for use in uses:
        proxied.wait_for_line(re.escape(use), stderr=True)
    written = "\n".join([*proxied.lines, *proxied.error_lines])
    for secret in (*secrets, "unspeakable"):
        assert secret not in written
