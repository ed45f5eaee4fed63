"""Counts words: `python -m examples.jobs.worker ws://127.0.0.1:5000/work TOKEN`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from capnweb_sync import ReconnectingSession, RemoteError, SessionClosed, connect

from .api import BenchApi, TaskApi


def count_words(task: TaskApi) -> None:
    """Work on one task."""
    size = task.size().result()
    read = 0

    def reported(chunks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal read
        for chunk in chunks:
            read += len(chunk)
            task.progress(read / size).result()
            yield chunk

    counts = Counter(words(reported(task.text().result())))
    task.finish(f"{count} {word}\n".encode() for word, count in counts.most_common()).result()


def words(chunks: Iterable[bytes]) -> Iterator[str]:
    """The words of a text that comes in pieces."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b" ")
        yield from b" ".join(whole).decode().lower().split()
    yield from rest.decode().lower().split()


def work(
    url: str, token: str, function: Callable[[TaskApi], None] = count_words
) -> ReconnectingSession[BenchApi]:
    """Offer a function to the queue, until the session that this returns is closed."""

    def attempt(task: TaskApi) -> None:
        try:
            function(task)
        except SessionClosed:
            print("The queue is gone; it has the task done again.", file=sys.stderr)
        except RemoteError as error:
            if error.code != "cancelled":
                raise

    return connect(
        url,
        api=BenchApi,
        headers={"Authorization": f"Bearer {token}"},
        reconnect=lambda session: session.main.work(attempt).result(),
        on_status=lambda status: print(status, file=sys.stderr),
    )


if __name__ == "__main__":
    with work(sys.argv[1], sys.argv[2]) as session:
        print("waiting for work", flush=True)
        session.wait_closed()
