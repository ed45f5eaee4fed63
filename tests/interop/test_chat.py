"""The chat through the official library, which knows nothing of this project, and our clients
against a small chat server that is written with it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capnweb_sync import RemoteError, RpcTarget, connect
from chatclient import ChatClient
from tests.conftest import StartServer
from tests.interop.node import FOLDER, NodeProgram
from tests.processes import DEADLINE, REPOSITORY, Processes, ServerProcess, wait_until

TABLES = {"ours": {"imports": 1, "exports": 1}, "theirs": [{"imports": 1, "exports": 1}]}

EXPECTED: dict[str, Any] = {
    "join, send, receive, list and leave": {
        "welcome": "Welcome to the chat, Alice!",
        "members": [
            "epoch",
            "lastId",
            "message",
            "recovered",
            "resume",
            "userCount",
            "username",
            "users",
        ],
        "heard": ["Alice", "Hello everyone!", True],
        "same": [True, True],
        "users": ["Alice"],
        "goodbye": "Goodbye, Alice!",
    },
    "a plain object with a function as callback": [["Alice", "hi"]],
    "two members hear each other in the same order": [
        [["Alice", "hi Bob"], ["Bob", "hi Alice"]],
        [["Alice", "hi Bob"], ["Bob", "hi Alice"]],
    ],
    "errors have codes, and the connection goes on": {
        "taken": ["Error", "username_taken"],
        "notJoined": ["Error", "not_joined"],
        "noName": ["Error", "bad_request"],
        "longName": ["Error", "bad_request"],
        "reserved": ["Error", "bad_request"],
        "noText": ["Error", "bad_request"],
        "longText": ["Error", "too_large"],
        "longestText": "no error",
        "noCallback": ["TypeError", "bad_request"],
        "wrongCallback": ["TypeError", "bad_request"],
        "tooFew": ["TypeError", "bad_request"],
        "wrongType": ["TypeError", "bad_request"],
        "surplus": "no error",
        "unknownMethod": ["TypeError", None],
        "goesOn": "no error",
    },
    "absent options may be undefined, null or missing": ["Alice", "Bob", "Carol"],
    "a join, a message and the history in one round trip": {
        "username": "Alice",
        "users": ["Alice"],
        "later": True,
        "history": [["Alice", "pipelined"]],
    },
    "properties are read without a call": [1, 1],
    "whoever disposes of the main stub has left": ["Dora"],
    "logging in, entering and speaking is one round trip": {
        "kinds": ["push", "push", "push", "pull"],
        "heard": ["gardening", "Ann", "hello", True],
    },
    "a room is handed on in a session of a program's own": {
        "said": ["Ann", "beep", True],
        "leaving": ["TypeError", None],
        "before": "no error",
        "after": ["Error", "not_joined"],
    },
}


@pytest.fixture(scope="module")
def official_client(node: str) -> Iterator[NodeProgram]:
    with NodeProgram(node, "chat_client.mjs") as program:
        yield program


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with Processes() as processes:
        yield processes.add(ServerProcess())


@pytest.mark.parametrize("scenario", EXPECTED)
def test_the_official_library_chats(
    official_client: NodeProgram, server: ServerProcess, scenario: str
) -> None:
    assert official_client.ask({"url": server.url, "scenario": scenario}) == {
        "observed": EXPECTED[scenario]
    }


def test_1000_messages_and_a_leave_leave_nothing_in_the_tables_of_either_side(
    official_client: NodeProgram, chat_tables_server: str
) -> None:
    scenario = "the tables of both sides after 1,000 messages and a leave"

    result = official_client.ask({"url": chat_tables_server, "scenario": scenario})

    assert result == {"observed": {"before": TABLES, "after": TABLES, "inOrder": True}}


def test_people_and_rooms_leave_nothing_in_the_tables_of_either_side(
    official_client: NodeProgram, chat_tables_server: str
) -> None:
    scenario = "the tables of both sides after an hour in rooms"

    result = official_client.ask({"url": chat_tables_server, "scenario": scenario})

    assert result == {"observed": {"before": TABLES, "after": TABLES, "name": "Ann"}}


def test_the_conversation_of_the_protocol_in_javascript_is_what_happens(
    node: str, start_server: StartServer, tmp_path: Path
) -> None:
    page = (REPOSITORY / "docs" / "protocol.md").read_text(encoding="utf-8")
    program = page.partition("```js\n")[2].partition("```")[0]
    printed = page.partition("It prints:\n\n```\n")[2].partition("```")[0]
    # Node has had it since 22 only.
    socket = 'import { WebSocket } from "ws";\nglobalThis.WebSocket ??= WebSocket;\n'
    conversation = tmp_path / "page.mjs"
    url = start_server().url
    conversation.write_text(socket + program.replace("ws://127.0.0.1:8080/rpc/ws", url), "utf-8")
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")

    finished = subprocess.run(
        [node, conversation], capture_output=True, text=True, timeout=DEADLINE, check=False
    )

    assert (finished.stderr, finished.stdout) == ("", printed)


# ---- our clients, the other server


def test_our_library_chats_at_a_server_written_with_the_official_one(
    reference_chat_server: str,
) -> None:
    with (
        ChatClient(reference_chat_server, "Alice") as alice,
        ChatClient(reference_chat_server, "Bob") as bob,
    ):
        alice.send("hi Bob")
        heard = next(bob.messages())
        bob.send("hi Alice")
        texts = alice.messages()

        assert (heard.user, heard.text) == ("Alice", "hi Bob")
        assert [next(texts).text, next(texts).text] == ["hi Bob", "hi Alice"]
        assert alice.users() == ["Alice", "Bob"]
        assert bob.leave() == "Goodbye, Bob!"
        assert alice.leave() == "Goodbye, Alice!"


class Listener(RpcTarget):
    """A callback passed by reference."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def onMessage(self, event: dict[str, Any]) -> None:
        self._hear(event)

    def _hear(self, event: dict[str, Any]) -> None:
        if event["type"] == "chat":
            self._texts.append(event["text"])


@pytest.mark.parametrize("by_reference", [True, False], ids=["an object", "a plain object"])
def test_1000_messages_of_our_client_leave_nothing_in_the_tables_of_either_side(
    reference_chat_server: str, by_reference: bool
) -> None:
    heard: list[str] = []
    listener = Listener(heard)
    texts = [f"message {n}" for n in range(1000)]

    with connect(reference_chat_server) as session:
        chat = session.main

        def tables() -> list[dict[str, int]]:
            return [session.stats(), chat.tables().result()]

        before = tables()
        welcome = chat.join(
            "Carol", listener if by_reference else {"onMessage": listener._hear}
        ).result()
        with pytest.raises(RemoteError) as caught:
            chat.join("Carol", listener).result()
        receipts = [promise.result() for promise in [chat.sendMessage("Carol", t) for t in texts]]
        wait_until(lambda: len(heard) == len(texts))
        goodbye = chat.leave("Carol").result()

        assert welcome["message"] == "Welcome to the chat, Carol!"
        assert caught.value.code == "username_taken"
        assert [receipt["id"] for receipt in receipts] == sorted(r["id"] for r in receipts)
        assert heard == texts
        assert goodbye == {"message": "Goodbye, Carol!"}
        wait_until(lambda: tables() == before, message="the tables are as they were")
