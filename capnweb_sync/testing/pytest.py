"""A plugin for pytest, to be named in a `conftest.py`:

pytest_plugins = ["capnweb_sync.testing.pytest"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .pairs import Pair, pair


@pytest.fixture
def capnweb_pair() -> Iterator[Callable[..., Pair]]:
    """`pair`, whose sessions are closed when the test is over."""
    with ExitStack() as pairs:

        def opened(served: Any, main: Any = None, **options: Any) -> Pair:
            return pairs.enter_context(pair(served, main, **options))

        yield opened
