"""Futures under gevent: waiting for one and following one up.

`Future.result()` blocks the whole thread unless the standard library is patched; `wait` blocks the
greenlet either way.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from gevent.event import Event

from capnweb_sync.futures import complete

T = TypeVar("T")
U = TypeVar("U")


def wait(future: "Future[T]") -> T:
    """Block the greenlet until `future` is completed; its result, or what it raises."""
    if not future.done():
        done = Event()
        future.add_done_callback(lambda _: done.set())
        done.wait()
    return future.result()


def then(future: "Future[T]", convert: Callable[[T], U]) -> "Future[U]":
    """A future for `convert(result)`, or for the failure of `future` or of `convert`."""
    converted: Future[U] = Future()

    def follow_up(done: "Future[T]") -> None:
        try:
            complete(converted, convert(done.result()))
        except Exception as error:
            # Raised from here, it would only be logged, and who waits would wait for ever.
            complete(converted, None, error)

    future.add_done_callback(follow_up)
    return converted


def instead(future: "Future[T]", kind: type[Exception], error: Exception) -> "Future[T]":
    """A future for the result of `future`; it fails with `error` where that fails with `kind`."""
    answer: Future[T] = Future()

    def follow_up(done: "Future[T]") -> None:
        failure = done.exception()
        if failure is None:
            complete(answer, done.result())
        else:
            complete(answer, None, error if isinstance(failure, kind) else failure)

    future.add_done_callback(follow_up)
    return answer
