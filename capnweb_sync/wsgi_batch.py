"""One batch over WSGI: the body of a POST holds all that a client says, and the answer to it all
that the server says to that (the reference's `batch.ts`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from .session.batch_transport import BatchTransport
from .session.session import RpcSession
from .wsgi_requests import Environ, TooLarge, address_of, read_body

BATCH_SECONDS: Final = 30.0
"""How long the calls of one batch may take by default: a usual patience of proxies is 60 s."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a batch by default; it is held in memory while it is served."""

ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the answer to a batch by default. A short batch can name one large result many times,
and the answer is held in memory until its client has read it."""

BATCH_OVER: Final = (
    "The batch is over, and with it all that it has passed: none of that can be called any more."
    " What is to be called later has to come by a connection: connect()"
)

Answer: TypeAlias = tuple[str, list[tuple[str, str]], Iterable[bytes]]
"""Status, headers and body."""


def answer_batch(
    environ: Environ,
    open_session: Callable[[BatchTransport], RpcSession],
    *,
    seconds: float,
    max_batch: int,
    max_answer: int,
) -> Answer:
    """Serve a batch.

    Args:
        environ: the POST.
        open_session: begins a session on this transport.
        seconds: that taking the batch and its calls may take together.
        max_batch: bytes of it.
        max_answer: bytes of what it is answered with.
    """
    try:
        body = read_body(environ, max_batch)
    except TooLarge:
        return _too_large(
            f"A batch has {max_batch} bytes at most; max_batch of serve() takes more."
        )
    except ValueError:
        return "400 Bad Request", [], [b"The body of the request is incomplete.\n"]
    transport = BatchTransport(max_answer, address_of(environ))
    transport.can_answer = False
    session = open_session(transport)
    transport.on_too_large = session.close
    deadline = time.monotonic() + seconds
    taken = session.runtime.in_turns(take_lines(session, body, deadline))
    in_time = (
        session.runtime.wait(taken, seconds)
        and time.monotonic() < deadline
        and session.drain(deadline - time.monotonic())
    )
    answer = transport.take()
    session.connection_lost(None, BATCH_OVER)
    if transport.too_large:
        return _too_large(
            f"An answer has {max_answer} bytes at most: ask for less at a time, or max_answer of"
            " serve() gives more."
        )
    if not in_time:
        sentence = f"The batch took longer than {seconds:g} s.\n"
        return "504 Gateway Timeout", [], [sentence.encode()]
    return "200 OK", [], [answer]


def _too_large(sentence: str) -> Answer:
    return "413 Content Too Large", [], [f"{sentence}\n".encode()]


def take_lines(session: RpcSession, body: bytes, deadline: float) -> Iterator[None]:
    """Take the messages of a batch, in pieces; no more of them once the session is over or it is
    later than `deadline` (`time.monotonic`)."""
    start = 0
    while start < len(body) and not session.closed and time.monotonic() < deadline:
        end = body.find(b"\n", start)
        if end < 0:
            end = len(body)
        session.receive(body[start:end])
        start = end + 1
        yield
