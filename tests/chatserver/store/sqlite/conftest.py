"""The SQLite store alone, and its file as another program sees it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatserver.store.interface import Policy
from chatserver.store.sqlite import SqliteStore, schema
from tests.chatserver.store.conftest import Clock

Connect = Callable[[str, str], sqlite3.Connection]
OpenWith = Callable[[Connect], SqliteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def open_with(url: str, clock: Clock) -> Iterator[OpenWith]:
    """Open the store with connections of the test's making; closed when the test is over."""
    opened: list[SqliteStore] = []

    def open_it(connect: Connect) -> SqliteStore:
        opened.append(SqliteStore(url, Policy(), clock, connect))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def file(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as another program opens it, which waits for nobody."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def new_file(path: Path) -> sqlite3.Connection:
    """A database without events, as a server leaves it that was never spoken to."""
    path.touch()
    connection = schema.connect(str(path), "normal")
    schema.prepare(connection, str(path))
    return connection
