"""What the tests of `capnweb_sync` share."""

from collections.abc import Iterator

import pytest

from capnweb_sync.runtimes import interface


@pytest.fixture(autouse=True)
def default_runtime_restored() -> Iterator[None]:
    """A test may choose the runtime of stubs that belong to no session; the next has its own."""
    before = interface._default
    yield
    interface._default = before
