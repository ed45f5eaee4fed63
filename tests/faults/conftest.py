"""What the fault tests share: a database of their own, and clients that come back soon."""

from pathlib import Path

import pytest

from capnweb_sync.client import reconnect

SOON = 0.1
"""Seconds within which a client makes its first attempt to come back, instead of one."""

SOON_AT_MOST = 0.5
"""Seconds between two attempts at most, instead of thirty."""


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The URL of a store on disk that survives its server."""
    return f"sqlite:///{tmp_path / 'chat.db'}"


@pytest.fixture(autouse=True)
def clients_come_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the client's own delays, a test would mostly wait."""
    monkeypatch.setattr(reconnect, "FIRST_DELAY", SOON)
    monkeypatch.setattr(reconnect, "MAX_DELAY", SOON_AT_MOST)
