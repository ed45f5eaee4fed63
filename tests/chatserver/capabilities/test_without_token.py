"""Where guests are not let in, whoever has no token reaches nothing, whatever it sends."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from chatserver.capabilities.admin import Admin
from chatserver.capabilities.chat import Chat
from chatserver.capabilities.moderator import Moderator
from chatserver.capabilities.person import Person
from chatserver.capabilities.room import Room
from tests.chatserver.guests import SECRET, Guest, account
from tests.chatserver.wire import Rejected, WireClient, decoded
from tests.processes import Processes, ServerProcess

NAMES = sorted(
    {
        *(name for kind in (Chat, Person, Room, Moderator, Admin) for name in dir(kind)),
        *("_stays", "_store", "_client", "_access", "_session", "constructor", "then", "0", ""),
    }
)

VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, "", "lobby", "*", "Ann", "\ud800", [["x"]], {"name": "Eve"}),
    *({"token": "x.y.z"}, {"resume": "x"}, ["export", -1], {"onMessage": ["export", -2]}),
    *(["undefined"], ["pipeline", 0], ["pipeline", 0, ["about"]], ["date", 0], ["bytes", "AA"]),
]


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with Processes(quiet=True) as processes:
        yield processes.add(ServerProcess("--guests", "no", env={"CHAT_SECRET": SECRET}))


def expression(choices: random.Random, last: int) -> list[Any]:
    """A call or a property of what there may be, on the main object or on an answer to come."""
    target = choices.choice([0, choices.randint(0, last)])
    path = [choices.choice(NAMES) for _ in range(choices.choice([0, 1, 1, 1, 2, 3]))]
    arguments = [choices.choice(VALUES) for _ in range(choices.randint(0, 3))]
    return ["pipeline", target, path, *([arguments] if choices.random() < 0.8 else [])]


@pytest.mark.parametrize("seed", range(3))
def test_who_has_no_token_reaches_nothing(server: ServerProcess, seed: int, full: bool) -> None:
    ann, boss = (
        Guest(server.url, **account(name, role=role))
        for name, role in (("Ann", "member"), ("Boss", "admin"))
    )
    last = ann.enter("lobby").say("hello").result()["id"]
    ann.wait_for("hello")
    about = ann.session.main.about.result()
    choices = random.Random(seed)
    client = WireClient(server.url)
    held = {0}
    codes: set[str | None] = set()

    for _ in range(5_000 if full else 500):
        if not client.open:  # what was sent was no message
            client, held = WireClient(server.url), {0}
        asked = expression(choices, client.pushes)
        try:
            client.send(json.dumps(["push", asked]))
            answer = client.raw_answer(client.ask())
        except ConnectionClosed:
            continue
        if answer is None:
            continue
        kind, number, value = answer
        if kind == "reject":
            codes.add(Rejected(value).code)
        elif isinstance(value, list) and value[:1] == ["export"]:
            _, target, path, *called = asked
            assert target in held, "the main object, or a method of it that was not called"
            assert not called
            assert len(path) < 2
            held.add(number)
        else:
            assert decoded(value) in (about, *about.values(), None), asked

    assert codes == {None, "unauthorized", "bad_request"}
    admin = boss.person.administer()
    assert [one["name"] for one in admin.people().result()] == ["Ann", "Boss"]
    assert [room["name"] for room in admin.rooms().result()] == ["lobby"]
    assert ann.enter("lobby").events().result()[-1]["id"] == last
    for guest in (ann, boss):
        guest.close()
