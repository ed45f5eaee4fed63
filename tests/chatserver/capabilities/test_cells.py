"""The tables of `docs/security.md`: each cell is tried on the wire, on every engine."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatserver.capabilities.admin import Admin
from chatserver.capabilities.chat import Chat
from chatserver.capabilities.moderator import Moderator
from chatserver.capabilities.person import Person
from chatserver.capabilities.room import Room
from tests.chatserver.capabilities.cells import (
    ANYWHERE,
    IN_A_GARDEN,
    IN_A_PRIVATE_ROOM,
    IN_A_ROOM,
    IN_THE_LOBBY,
    STATES,
    column,
    to_sanctions,
    to_whom,
)
from tests.processes import REPOSITORY, ServerProcess

AT_ONCE = 8
"""Columns that are tried side by side, since some wait for a token to be over."""

Cells = dict[tuple[str, str], str]
"""By call and column."""


def table(title: str) -> Cells:
    """The cells of the table below this heading; those of which none is to be tried are left
    out."""
    text = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.split(f"\n### {title}\n", 1)[1]
    lines = [line.strip("| ").split(" | ") for line in section.split("\n#", 1)[0].splitlines()]
    head, _, *rows = [cells for cells in lines if len(cells) > 1 or cells[0].startswith("---")]
    return {
        (call.replace("`", ""), state): cell
        for calls, *cells in rows
        for call in calls.split(", ")
        for state, cell in zip(head[1:], cells, strict=True)
        if cell != "–"
    }


def tried(server: ServerProcess, cells: Cells, kind: str, calls: dict[str, Any]) -> Cells:
    states = [state for state in STATES if any(state == column for _, column in cells)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        columns = pool.map(lambda state: column(server.url, kind, state, calls), states)
        return {
            (call, state): cell
            for state, found in zip(states, columns, strict=True)
            for call, cell in found.items()
        }


@pytest.mark.parametrize(
    ("title", "kind", "calls"),
    [
        ("Anywhere", "garden", ANYWHERE),
        ("In a public room", "garden", IN_A_GARDEN),
        ("In the lobby", "lobby", IN_THE_LOBBY),
        ("In a private room", "private", IN_A_PRIVATE_ROOM),
    ],
)
def test_each_call_does_for_each_one_what_the_table_says(
    each_server: ServerProcess, title: str, kind: str, calls: dict[str, Any]
) -> None:
    said = table(title)
    if kind == "lobby":
        said = {**table("In a public room"), **said}

    assert tried(each_server, said, kind, calls) == said


@pytest.mark.parametrize(
    ("title", "kind", "doers"),
    [
        ("To whom, in a public room and everywhere", "garden", ("moderator", "admin")),
        ("To whom, in a private room", "private", ("owner", "admin")),
    ],
)
def test_it_is_done_to_whom_the_table_says(
    each_server: ServerProcess, title: str, kind: str, doers: tuple[str, ...]
) -> None:
    said = table(title)
    pairs = list(dict.fromkeys((call.partition(":")[0], state) for call, state in said))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        columns = pool.map(lambda pair: to_whom(each_server.url, kind, *pair), pairs)
        found = {
            (call, state): cell
            for (_, state), done in zip(pairs, columns, strict=True)
            for call, cell in done.items()
        }

    assert found == said
    assert {doer for doer, _ in pairs} == set(doers)


def test_what_was_decided_is_changed_by_whom_the_table_says(each_server: ServerProcess) -> None:
    said = table("What was decided by whom")
    pairs = list(dict.fromkeys((call.partition(":")[0], author) for call, author in said))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = pool.map(lambda pair: to_sanctions(each_server.url, *pair), pairs)
        found = {
            (call, author): cell
            for (_, author), done in zip(pairs, tried, strict=True)
            for call, cell in done.items()
        }

    assert found == said


def public(kind: type) -> Iterator[str]:
    """What a client can call or read of it, as the tables name it."""
    for base in kind.__mro__[:-2]:
        for name in vars(base):
            if re.match("[a-z]", name):
                yield f"{kind.__name__}.{name}"


def test_the_tables_have_all_calls() -> None:
    there = {call for calls in (ANYWHERE, IN_A_ROOM, IN_THE_LOBBY) for call in calls}
    there |= IN_A_PRIVATE_ROOM.keys()

    assert there == {
        name for kind in (Chat, Person, Room, Moderator, Admin) for name in public(kind)
    }
