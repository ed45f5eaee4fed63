"""What the tests of `capnweb_sync` share."""

from collections.abc import Iterator

import pytest

from capnweb_sync.runtimes import interface
from capnweb_sync.runtimes.threads import thread_runtime


@pytest.fixture(autouse=True)
def default_runtime_restored() -> Iterator[None]:
    """A test may choose the runtime of stubs that belong to no session; the next has its own."""
    before = interface._default
    yield
    interface._default = before


@pytest.fixture
def no_thread_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle threads end, also on a Python on which some are kept because none can be had later."""
    monkeypatch.setattr(thread_runtime(), "_kept", 0)
