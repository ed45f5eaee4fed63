"""Who is let in: on the wire, with each of the settings that say so."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from capnweb_sync import connect
from chatserver.errors import Unauthorized
from chatserver.people.access import EVERYBODY
from chatserver.people.tokens import Identity
from chatserver.tokens import issue
from tests.chatserver.guests import SECRET, Guest, refusal
from tests.chatserver.wire import FUNCTION, Rejected, WireClient
from tests.processes import REPOSITORY, Process, Processes, ServerProcess

ENVIRONMENT = {"CHAT_SECRET": SECRET}

Come = Callable[..., Guest]


@pytest.fixture(scope="module", params=["no", "read"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """One that does not let in everybody, and logs all that it can."""
    options = ("--guests", request.param, "--log-level", "DEBUG")
    with Processes(quiet=True) as processes:
        yield processes.add(ServerProcess(*options, env=ENVIRONMENT))


@pytest.fixture
def come(server: ServerProcess) -> Iterator[Come]:
    """Somebody who logs in at that server; gone when the test is over."""
    here: list[Guest] = []

    def come_as(name: str | None = None, **options: Any) -> Guest:
        here.append(Guest(server.url, name, **options))
        return here[-1]

    yield come_as
    for guest in here:
        guest.close()


def is_open(server: ServerProcess) -> bool:
    return "read" in server.command


def test_who_has_a_token_is_let_in_and_does_as_it_likes(come: Come) -> None:
    ann = come(token=issue("Ann", SECRET, role="moderator"))

    assert (ann.me["name"], ann.me["account"], ann.me["role"]) == ("Ann", True, "moderator")
    assert ann.enter("garden").say("hello").result()["id"]


def test_a_name_beside_a_token_is_the_tokens(server: ServerProcess) -> None:
    client = WireClient(server.url)
    token = issue("Cleo", SECRET)

    with pytest.raises(Rejected) as caught:
        client.call("join", "Dora", FUNCTION, {"token": token})

    assert caught.value.code == "unauthorized"
    assert client.call("join", "cleo", FUNCTION, {"token": token})["username"] == "Cleo"
    assert client.say("Cleo", "hello")
    assert "Cleo" in client.call("listUsers")
    client.close()


def test_a_token_for_rooms_is_for_no_others(server: ServerProcess, come: Come) -> None:
    come(token=issue("Eve", SECRET)).enter("other")
    fay = come(token=issue("Fay", SECRET, rooms=["garden"]))
    refused = "not_joined" if is_open(server) else "unauthorized"

    assert refusal(fay.person.enter("other")) == "no_such_room"
    assert refusal(fay.person.enter("lobby")) == "no_such_room"
    assert refusal(fay.person.open({"title": "Mine"})) == "forbidden"
    assert refusal(fay.person.direct("Eve")) == "forbidden"
    assert refusal(fay.person.accept("x")) == "forbidden"
    fay.enter("garden")
    assert [room["name"] for room in fay.person.rooms().result()] == ["garden"]
    come(token=issue("Fay", SECRET)).enter("lobby")
    assert refusal(fay.session.main.sendMessage("Fay", "hello")) == refused


def test_without_a_token_nothing_answers_or_nothing_is_said(
    server: ServerProcess, come: Come
) -> None:
    come(token=issue("Gus", SECRET)).enter("garden").say("hello").result()
    with connect(server.url) as session:
        chat = session.main
        assert chat.about.result()["guests"] is is_open(server)
        asked = [chat.listUsers(), chat.getHistory(), chat.userCount, chat.messageCount]
        if not is_open(server):
            asked += [chat.login(None, {"name": "Hal"}), chat.join("Hal", lambda event: None)]
            asked += [
                chat.sendMessage("Hal", "x"),
                chat.leave("Hal"),
                chat.login(None, {"token": "x"}),
            ]
            assert {refusal(answer) for answer in asked} == {"unauthorized"}
            return
        for answer in asked:
            answer.result()
    hal = come("Hal")
    garden = hal.enter("garden")
    assert [event["text"] for event in garden.history().result()][-1] == "hello"
    message = garden.history().result()[-1]["id"]
    garden.read(message).result()
    refused = [
        *(garden.say("x"), garden.typing(), garden.edit(message, "x"), garden.remove(message)),
        *(garden.react(message, "🌹"), garden.setTopic("x"), garden.createPass()),
        *(hal.person.open({"title": "Mine"}), hal.person.direct("Gus"), hal.person.accept("x")),
    ]
    assert {refusal(answer) for answer in refused} == {"forbidden"}
    assert refusal(hal.person.enter("a new one")) == "bad_request"
    assert refusal(hal.person.enter("new")) == "no_such_room"
    garden.leave().result()


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_connection_may_say_who_it_is_from(server: ServerProcess) -> None:
    with connect(server.url, headers=bearing(issue("Jo", SECRET))) as session:
        chat = session.main
        assert refusal(chat.login(None, {"name": "Kim"})) == "unauthorized"
        assert refusal(chat.join("Kim", lambda event: None)) == "unauthorized"
        assert chat.login(None, {"name": "jo"}).me.result()["account"] is True
        assert chat.login(None, {"token": issue("Lea", SECRET)}).me.result()["name"] == "Lea"


def test_nobody_comes_in_by_what_a_connection_was_good_for_once() -> None:
    with pytest.raises(Unauthorized):
        EVERYBODY.identify(None, Identity.of("Ann", until=time.time()))
    assert EVERYBODY.identify(None, ann := Identity.of("Ann")) is ann


@pytest.mark.parametrize("path", ["/rpc/ws", "/rpc/batch"])
def test_a_request_with_a_token_that_is_not_good_is_refused(
    server: ServerProcess, path: str
) -> None:
    request = Request(server.http_url + path, data=b"", headers=bearing("x.y.z"))

    with pytest.raises(HTTPError) as caught:
        urlopen(request)

    assert caught.value.code == 401
    assert caught.value.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert caught.value.read() == b"This token is not good here.\n"
    caught.value.close()


def test_another_scheme_is_for_others(server: ServerProcess) -> None:
    with connect(server.url, headers={"Authorization": "Basic QTpC"}) as session:
        assert session.main.about.result()["name"]


def test_a_token_is_renewed_by_one_of_the_same_person_for_the_same_rooms(come: Come) -> None:
    mia = come(token=issue("Mia", SECRET))

    others = [issue("mia", SECRET), issue("Ned", SECRET), issue("Mia", SECRET, rooms=["a"]), "x"]
    assert {refusal(mia.person.renew(token)) for token in others} == {"unauthorized"}
    mia.person.renew(issue("Mia", SECRET, role="admin")).result()
    assert mia.me["role"] == "admin"


def test_no_log_has_a_secret(server: ServerProcess, come: Come) -> None:
    token, over = issue("Ida", SECRET), issue("Ida", SECRET, days=-1)
    ida = come(token=token)
    resume = ida.me["resume"]
    assert refusal(come(token=over).person) == "unauthorized"
    server.wait_for_line("A token was refused", stderr=True)

    written = "\n".join([*server.lines, *server.error_lines])

    assert "login for" in written, "calls are logged"
    for secret in (SECRET, resume, *token.split("."), *over.split(".")[1:]):
        assert secret not in written


def test_no_log_says_why_somebody_was_muted_banned_or_sent_away(
    server: ServerProcess, come: Come
) -> None:
    pam, rex = come(token=issue("Pam", SECRET, role="admin")), come(token=issue("Rex", SECRET))
    garden = rex.enter("plot")
    pam.enter("plot")
    moderator, admin = pam.person.moderate("plot"), pam.person.administer()
    moderator.mute("Rex", None, "a reason of Pam").result()
    assert refusal(garden.say("x")) == "forbidden"
    moderator.ban("Rex", None, "a reason of Pam").result()
    assert refusal(rex.person.enter("plot")) == "forbidden"
    admin.disconnect("Rex", "a reason of Pam").result()
    server.wait_for_line('Closed .*code=4004 by=server reason="sent away"', stderr=True)
    server.wait_for_line("Disconnected", stderr=True)

    written = "\n".join([*server.lines, *server.error_lines])

    assert "code 4004" in written, "the library logs, too"
    assert "say for" in written, "calls are logged"
    assert "a reason of Pam" not in written


def test_an_invitation_works_at_once_on_one_machine(tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/chat.db")
    with Processes() as processes:
        server = processes.add(ServerProcess(*store, "--guests", "no"))
        command = [*server.command[:3], "invite", "Ann", *store, "--url", "https://chat.example/"]
        invited = processes.add(Process(command, cwd=REPOSITORY))
        invited.wait()
        link, token = invited.lines

        assert link == f"https://chat.example/#token={token}"
        assert (tmp_path / "chat.db.secret").stat().st_mode & 0o777 == 0o600
        ann = Guest(server.url, None, token=token)
        assert ann.me["name"] == "Ann"
        ann.close()


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        (["Ann"], {"CHAT_STORE": "memory:"}, "set CHAT_SECRET"),
        (["Ann"], {"CHAT_SECRET": "too short"}, "^chatserver: CHAT_SECRET: secret must have 32"),
        (["System"], ENVIRONMENT, "reserved"),
        (["Ann", "--days", "0"], ENVIRONMENT, "days"),
        (["Ann"], {**ENVIRONMENT, "CHAT_TOKEN_KEYS": "keys"}, "set one of them"),
    ],
)
def test_an_invitation_that_cannot_be_is_a_sentence(
    options: list[str],
    environment: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from chatserver.errors import StartError
    from chatserver.invite import run_invite_command

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        run_invite_command(["invite", *options])
    except (StartError, SystemExit) as error:
        written = f"chatserver: {error}" + capsys.readouterr().err
    assert re.search(sentence, written)
    assert "too short" not in written


APPLICATION = """
from gevent import monkey; monkey.patch_all()
from chatserver import create_app
from chatserver.errors import Unauthorized
from chatserver.tokens import Identity

def authenticate(request):
    user = request.cookies.get("user")
    if user == "banned":
        raise Unauthorized("You are not welcome.")
    return Identity.of(user) if user else None

client = create_app({"STORE": "memory:"}, authenticate=authenticate).test_client()
calls = '["push",["pipeline",0,["login"],[null, NAME]]]\\n'
calls += '["push",["pipeline",1,["me"]]]\\n["pull",2]'
for user, name in (("Ann", "{}"), ("banned", "{}"), ("", '{"name": "Guest"}')):
    client.set_cookie("user", user)
    answer = client.post("/rpc/batch", data=calls.replace("NAME", name))
    print(answer.status_code, answer.text.replace("\\n", " "), flush=True)
"""


def test_an_application_that_knows_its_users_says_who_a_request_is_from() -> None:
    with Processes() as processes:
        program = processes.add(Process([sys.executable, "-c", APPLICATION]))
        ann = program.wait_for_line("^200 .*Ann.*")[0]
        assert '"account":true' in ann.replace(" ", "")
        assert program.wait_for_line("^401")[0]
        assert "You are not welcome." in program.output
        guest = program.wait_for_line("^200 .*Guest.*")[0]
        assert '"account":false' in guest.replace(" ", "")
