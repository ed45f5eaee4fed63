"""What a server offers, for those who call it. Written by `capnweb stubs examples.jobs.desk:Desk examples.jobs.desk:Bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, BinaryIO
from uuid import UUID

from capnweb_sync import ReadableStream, TypedPromise, TypedStub
from examples.jobs.jobs import State


class _Desk:
    """Where a person submits jobs."""

    def submit(
        self,
        key: UUID | TypedPromise[UUID],
        name: str | TypedPromise[str],
        text: ReadableStream | Iterator[Any] | BinaryIO | TypedPromise[ReadableStream],
        /,
    ) -> TypedPromise[State]:
        """Have the words of a text counted. Returns when the text is stored. Whoever has lost the
        answer asks again with the same key, and gets the same job.
        """
        raise NotImplementedError

    def jobs(self) -> TypedPromise[list[State]]:
        """One's jobs, the oldest first."""
        raise NotImplementedError

    def open(self, number: int | TypedPromise[int], /) -> HandleApiPromise:
        """One of them."""
        raise NotImplementedError


class DeskApi(_Desk, TypedStub):
    """Desk, held."""


class DeskApiPromise(_Desk, TypedPromise[DeskApi]):
    """Desk, under way."""


class _Bench:
    """Where a worker offers his services."""

    def work(self, callback: Callable[[TaskApi], None | Future[None]], /) -> TypedPromise[None]:
        """Be called with a task whenever there is one, and with the next when that call has
        returned.
        """
        raise NotImplementedError


class BenchApi(_Bench, TypedStub):
    """Bench, held."""


class BenchApiPromise(_Bench, TypedPromise[BenchApi]):
    """Bench, under way."""


class _Handle:
    """A job of one's own."""

    def state(self) -> TypedPromise[State]:
        """Where it is."""
        raise NotImplementedError

    def watch(self, callback: Callable[[State], None | Future[None]], /) -> TypedPromise[State]:
        """Hear of each change. Returns where it is now."""
        raise NotImplementedError

    def cancel(self) -> TypedPromise[bool]:
        """Whether it was not over yet."""
        raise NotImplementedError

    def fetch(self) -> TypedPromise[ReadableStream]:
        """What the worker has made of it."""
        raise NotImplementedError


class HandleApi(_Handle, TypedStub):
    """Handle, held."""


class HandleApiPromise(_Handle, TypedPromise[HandleApi]):
    """Handle, under way."""


class _Task:
    """A job, for whoever works on it."""

    def size(self) -> TypedPromise[int]:
        """Bytes of the text."""
        raise NotImplementedError

    def text(self) -> TypedPromise[ReadableStream]:
        """What is to be worked on."""
        raise NotImplementedError

    def progress(self, part: float | TypedPromise[float], /) -> TypedPromise[None]:
        """So much is done, from 0 to 1. Refused where nobody wants it any more."""
        raise NotImplementedError

    def finish(
        self,
        result: ReadableStream | Iterator[Any] | BinaryIO | TypedPromise[ReadableStream],
        /,
    ) -> TypedPromise[None]:
        """It is done."""
        raise NotImplementedError


class TaskApi(_Task, TypedStub):
    """Task, held."""


class TaskApiPromise(_Task, TypedPromise[TaskApi]):
    """Task, under way."""
