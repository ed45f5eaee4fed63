"""The chat through the official library, which knows nothing of this project."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.node import NodeProgram
from tests.processes import Processes, ServerProcess

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
        "tooFew": ["TypeError", None],
        "wrongType": ["TypeError", None],
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
