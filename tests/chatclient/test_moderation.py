"""What those may do to others who may, and what becomes of those; in the library and at the
terminal."""

import json
from collections.abc import Iterator

import pytest

from chatclient import (
    ChatClient,
    Event,
    Forbidden,
    NotJoined,
    SentAway,
    Unauthorized,
    UsernameTaken,
)
from chatserver.people.token_terms import Role
from chatserver.tokens import issue
from tests.chatclient.typist import Typist
from tests.processes import Processes, ServerProcess, wait_until

SECRET = "a secret of the tests, 32 bytes long"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One that knows accounts; each test has names and rooms of its own."""
    with Processes() as processes:
        server = ServerProcess("--store", "memory:", env={"CHAT_SECRET": SECRET})
        yield processes.add(server)


def account(server: ServerProcess, name: str, role: Role = "member") -> ChatClient:
    """Somebody with a token."""
    return ChatClient(server.url, token=issue(name, SECRET, role=role))


def notices(chat: ChatClient, last: str) -> list[str]:
    """What was told, up to this."""
    told = []
    for event in chat.events():
        if event.type == "notice":
            told.append(event.text)
        if event.text == last:
            break
    return told


def test_a_moderator_mutes_removes_lifts_and_sends_out(server: ServerProcess) -> None:
    with account(server, "Mod 1", "moderator") as mod, ChatClient(server.url, "Bob 1") as bob:
        assert (mod.role, bob.role) == ("moderator", None)
        mod.enter("tea1")
        tea = bob.enter("tea1")
        said = tea.send("spam")
        moderator = mod.moderate("tea1")
        with pytest.raises(Forbidden):
            bob.moderate("tea1")
        number = moderator.mute("Bob 1", 60, "spam")
        with pytest.raises(Forbidden, match="muted"):
            tea.send("more spam")
        (sanction,) = moderator.sanctions()
        assert (sanction.id, sanction.kind, sanction.name) == (number, "mute", "Bob 1")
        assert (sanction.by, sanction.reason) == ("Mod 1", "spam")
        assert sanction.time is not None
        assert sanction.until is not None
        moderator.lift(number)
        assert moderator.sanctions() == []
        moderator.remove(said.id, "no spam")
        moderator.kick("Bob 1", "enough")
        with pytest.raises(NotJoined):
            tea.send("anything")
        moderator.ban("Bob 1")
        with pytest.raises(Forbidden):
            bob.enter("tea1")
        assert notices(bob, "Mod 1 sent Bob 1 out: enough") == [
            "Mod 1 muted Bob 1 for 1 minute: spam",
            "Mod 1 lifted the mute of Bob 1",
            "Mod 1 sent Bob 1 out: enough",
        ]


def test_an_admin_looks_around(server: ServerProcess) -> None:
    with account(server, "Root 2", "admin") as root, ChatClient(server.url, "Bob 2") as bob:
        bob.enter("tea2").send("hello")
        with pytest.raises(Forbidden):
            bob.administer()
        admin = root.administer()
        known = {one.name: one for one in admin.people(after="B")}
        assert (known["Root 2"].role, known["Bob 2"].role) == ("admin", None)
        assert known["Bob 2"].online
        stays = {one.name: one for one in admin.connections()}
        assert (stays["Root 2"].account, stays["Bob 2"].account) == (True, False)
        assert {"lobby", "tea2"} <= {room.name for room in admin.rooms()}
        assert admin.statistics()["messages"] >= 1
        lines = [json.loads(line) for line in "".join(admin.export("tea2")).splitlines()]
        assert "hello" in [line.get("text") for line in lines]
        admin.close_room("tea2")
        assert "tea2" not in {room.name for room in admin.rooms()}


def test_whoever_is_sent_away_stays_away_and_learns_why(server: ServerProcess) -> None:
    with account(server, "Root 3", "admin") as root, account(server, "Eve 3") as eve:
        admin = root.administer()
        with ChatClient(server.url, "Bob 3") as bob:
            assert admin.disconnect("Bob 3", "good night") == 1
            with pytest.raises(SentAway, match="good night"):
                list(bob.events())
        assert admin.revoke("Eve 3") == 1
        with pytest.raises(Unauthorized):
            list(eve.events())
        with account(server, "Mal 3") as mal:
            number = admin.ban(name="Mal 3", seconds=60, reason="spam")
            with pytest.raises(SentAway, match="spam"):
                list(mal.events())
        with pytest.raises(Forbidden, match="spam"):
            account(server, "Mal 3")
        assert [one.id for one in admin.sanctions()] == [number]
        admin.lift(number)
        account(server, "Mal 3").close()


def test_a_guest_goes_when_the_account_comes_whose_name_it_had(server: ServerProcess) -> None:
    with (
        ChatClient(server.url, "Ann 4") as guest,
        account(server, "Ann 4"),
        pytest.raises(UsernameTaken),
    ):
        list(guest.events())


def test_an_announcement_is_heard_once_by_everyone(server: ServerProcess) -> None:
    with (
        account(server, "Root 5", "admin") as root,
        ChatClient(server.url, "Bob 5", max_waiting=2) as bob,
    ):
        for number in range(5):
            root.send(f"message {number}")
        root.administer().announce("tea at five")
        root.send("the end")
        heard: list[Event] = []
        for event in bob.events():
            heard.append(event)
            if event.text == "the end":
                break
        (told,) = [event for event in heard if event.room == "*"]
        assert (told.type, told.text, told.prev) == ("notice", "tea at five", 0)
        assert [e.text for e in heard if e.type == "chat"][-6:-1] == [
            f"message {number}" for number in range(5)
        ]
        assert "*" not in {room.name for room in bob.rooms()}


def test_only_who_may_moderate_sees_how_at_the_terminal(server: ServerProcess) -> None:
    with Typist() as mod, Typist() as bob:
        mod.start(server.url, "", token=issue("Mod 6", SECRET, role="moderator"))
        bob.start(server.url, "Bob 6")
        for typist in (mod, bob):
            typist.types("/enter tea6")
            typist.sees("* You are in tea6.")
        mod.types("/help")
        mod.sees("Moderating:")
        bob.types("/help")
        bob.sees("The rest:")
        assert "Moderating:" not in "\n".join(bob.lines)
        assert "/mute" in mod.program.commands()
        assert "/mute" not in bob.program.commands()
        bob.types("spam")
        mod.sees("[Bob 6]: spam")
        mod.types("/mute Bob 6 10m too much spam")
        bob.sees("* Mod 6 muted Bob 6 for 10 minutes: too much spam")
        bob.types("more spam")
        wait_until(lambda: any("You are muted here" in line for line in bob.lines))
        mod.types("/lift")
        wait_until(lambda: any("mute of Bob 6 by Mod 6 until" in line for line in mod.lines))
        mod.types("/lift Bob 6")
        bob.sees("* Mod 6 lifted the mute of Bob 6")
        mod.types("/kick Bob 6 enough")
        bob.sees("* Mod 6 sent Bob 6 out: enough", "* You are in lobby.")
        mod.types("/ban Bob 6 1h")
        mod.sees("* Mod 6 banned Bob 6 for 1 hour")
        bob.types("/enter tea6")
        wait_until(lambda: any("banned" in line for line in bob.lines))


def test_what_others_said_is_removed_by_who_may(server: ServerProcess) -> None:
    with Typist() as owner, ChatClient(server.url, "Bob 7") as bob:
        owner.start(server.url, "Ann 7")
        owner.types("/open Plans", "/invite")
        wait_until(lambda: any("/accept" in line for line in owner.lines))
        (line,) = [line for line in owner.lines if "/accept" in line]
        plans = bob.accept("".join(line.split("/accept")[1].split()))
        plans.send("spam")
        owner.sees("[Bob 7]: spam")
        owner.types("/remove #1 why")  # not among the last ones
        owner.sees("There is no such message among the last ones here.")
        (message,) = plans.history()
        owner.types(f"/remove #{message.id} no spam")
        owner.sees("* Ann 7 removed a message: no spam")


def test_an_announcement_is_shown_wherever_one_is(server: ServerProcess) -> None:
    with account(server, "Root 8", "admin") as root, Typist() as ann, Typist(width=None) as script:
        ann.start(server.url, "Ann 8", room="tea8")
        script.start(server.url, "Script 8")
        root.administer().announce("tea at five")
        ann.sees("* To everyone: tea at five")
        script.sees("* To everyone: tea at five")
        root.administer().disconnect("Ann 8", "good night")
        wait_until(lambda: ann.status == 4)
        wait_until(lambda: any("good night" in line for line in ann.lines))


def test_a_lesser_role_ends_what_one_could_do(server: ServerProcess) -> None:
    with account(server, "Mod 9", "moderator") as mod:
        mod.enter("tea9")
        moderator = mod.moderate("tea9")
        assert moderator.sanctions() == []
        mod.renew(issue("Mod 9", SECRET, days=60))
        assert mod.role == "member"
        with pytest.raises(Forbidden):
            moderator.sanctions()
