"""HTTP batch: a whole conversation in one POST, whose body and answer are lines of messages.

    with batch("https://example.com/rpc/batch") as api:
        user = api.authenticate(token)
        name = user.name                  # pipelined: `user` never comes here
        print(name.result())              # sends the batch, and waits

The client collects calls; the first wait for a result, or the end of the `with` block, sends them.
After that the session is over. What it costs in round trips is one, so there are no streams.
Functions and objects may be passed; what the server calls of them runs here when the answer comes,
and what that returns goes nowhere. A promise of this side's own, such as a call of an `RpcStub` of
an object that is here, is waited for first, since its value goes along; the reference sends what it
has after one turn of its loop (`BatchClientTransport`), and the server waits for the rest in vain.
The protocol page calls the format newline-delimited; the reference has it in `batch.ts`.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Generic
from urllib.parse import urlsplit

from capnweb_sync.session.batch_transport import BatchTransport

from ..deferred import Deferred
from ..limits import DEFAULT_LIMITS, Limits
from ..observe.seen import Observers
from ..runtimes.interface import CallQueue, Runtime
from ..runtimes.steps import Step
from ..runtimes.threads import thread_runtime
from ..session.session import RpcSession
from ..typed import MainApi, with_api
from ..urls import merged, parse_url, public_part, without_password
from .opening import MAX_SENTENCE, sentence_in

TIMEOUT_SECONDS: Final = 30.0
"""How long the answer may take: what the server grants by default."""


OVER: Final = (
    "The batch is over: nothing can be called any more, nor asked for. Make all calls within it;"
    " objects that stay, and callbacks that come later, need a connection: connect()"
)

UNSETTLED: Final = (
    "A promise among the arguments was not settled within {:g} s. A batch is sent once, with the"
    " values of all promises in it; one that is settled later needs a connection: connect()"
)


class BatchError(ConnectionError):
    """The batch was not answered.

    Args:
        sentence: what went wrong, for a person.
        status: the HTTP status, None if there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


def opener() -> urllib.request.OpenerDirector:
    """urllib's, for HTTP alone and without redirects: it would carry the headers of a batch,
    credentials among them, to whatever host an answer names, and turn the POST into a GET."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


class BatchRuntime:
    """Threads, but waiting for a result sends the batch first, whichever thread waits."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._threads = thread_runtime()
        self._send = send

    @property
    def step(self) -> Step:
        """The lock of the core's state."""
        return self._threads.step

    def call_queue(self) -> CallQueue:
        """A queue for a new session."""
        return self._threads.call_queue()

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Send the batch, unless that was done, and wait. Raises BatchError."""
        self._send()
        return self._threads.wait(deferred, timeout)

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` where a step may be taken."""
        self._threads.enter(function)

    def tidy_later(self, function: Callable[[], None]) -> None:
        """Run `function` within seconds, gathered with what else there is to tidy."""
        self._threads.tidy_later(function)

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> Deferred[None]:
        """Have long work done; what is settled when it is."""
        return self._threads.in_turns(pieces, frees=frees)

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function` beside everything else; only streams need it."""
        self._threads.spawn(function)

    def collect(self, function: Callable[[], None]) -> None:
        """Run `function`, a finalizer's, as soon as no step is under way."""
        self._threads.collect(function)


class BatchSession(Generic[MainApi]):
    """One batch. `with` gives the server's main object and sends the batch at the end."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        limits: Limits = DEFAULT_LIMITS,
        observer: Observers = None,
        api: Callable[..., MainApi] | None = None,
    ) -> None:
        self._target = parse_url(url, "http", "https")
        self._request = urllib.request.Request(
            self._target.url,
            method="POST",
            headers=merged(
                self._target, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}
            ),
        )
        self._timeout = timeout
        self._limits = limits
        self._sent = False
        self._sending = threading.Lock()
        self._transport = BatchTransport()
        self._transport.peer = public_part(url)
        runtime: Runtime = BatchRuntime(self.send)
        self._session = RpcSession(
            self._transport, runtime=runtime, limits=limits, observer=observer
        )
        main: Any = self._session.main
        self._main: MainApi = main if api is None else with_api(main, api)

    @property
    def main(self) -> MainApi:
        """The server's main object."""
        return self._main

    def send(self) -> None:
        """Send the batch and take the answer; without effect the second time, in whichever thread.

        Asks for the result of every call whose promise is still there, and waits for promises of
        this side's own among the arguments. What the server has called meanwhile runs before this
        returns, unless it takes very long. Raises BatchError.
        """
        with self._sending:
            if self._sent:
                return
            self._sent = True
        try:
            self._session.pull_all()
            if not self._session.drain(self._timeout):
                raise BatchError(UNSETTLED.format(self._timeout))
            lines = self._transport.take()
            for message in self._post(lines).splitlines():
                self._session.receive(message)
        finally:
            self._session.connection_lost(None, OVER)
            self._run_callbacks()
            self._session.tell_observers()

    def _run_callbacks(self) -> None:
        """Wait for what the server has called, in its order, which nobody else would."""
        if not self._session.calls_served:
            return
        runtime = thread_runtime()
        done: Deferred[None] = Deferred()
        self._session.calls.notify(runtime.step.run, done.resolve, None)
        runtime.wait(done, self._timeout)

    def _post(self, lines: bytes) -> bytes:
        self._request.data = lines
        try:
            with opener().open(self._request, timeout=self._timeout) as response:
                body: bytes = response.read(self._limits.max_message_size + 1)
                missing: int | None = response.length
        except urllib.error.HTTPError as error:
            with error:
                sentence = sentence_in(error.headers.get("Content-Type"), error.read(MAX_SENTENCE))
            location = error.headers.get("Location")
            if location is not None and 300 <= error.code < 400:
                sentence = f"It points to {location!r}; a batch goes only where it is sent."
            told = f"The server answered {error.code}. {sentence}".rstrip()
            raise BatchError(told, error.code) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise BatchError(
                f"The batch was not answered by {self._target.url}{self._proxied()}: {reason}."
            ) from error
        if len(body) > self._limits.max_message_size:
            raise BatchError(
                f"The answer has more than {self._limits.max_message_size} bytes. With"
                " limits=Limits(max_message_size=…), batch() takes larger ones."
            )
        if missing:
            raise BatchError(f"The answer broke off {missing} bytes before its end.")
        return body

    def _proxied(self) -> str:
        """The proxy that urllib has gone through, as a phrase: it may be to blame."""
        parts = urlsplit(self._target.url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy is None or urllib.request.proxy_bypass(parts.netloc):
            return ""
        return f" through the proxy {without_password(proxy)}"

    def __repr__(self) -> str:
        state = "sent" if self._sent else "not sent"
        return f"<BatchSession with {self._session.peer}, {state}>"

    def __enter__(self) -> MainApi:
        return self._main

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.send()
        else:
            self._session.close(reason="The batch was abandoned.")


def batch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
    observer: Observers = None,
    api: Callable[..., MainApi] | None = None,
    check: bool = True,
) -> BatchSession[MainApi]:
    """A batch to an HTTP server: many calls in one request, as a context manager.

    Calls are collected; the first that is waited for, or the end of the `with`, sends them. The
    form is that of the reference's `newHttpBatchRpcSession` (`batch.ts`): a message a line, POSTed.

    Args:
        url: `http://…` or `https://…`. A name and a password in it are sent as HTTP has it.
        headers: added to those of the request.
        timeout: seconds that the answer may take, and before it promises among the arguments.
        limits: what is accepted; `max_message_size` bounds the whole answer, in bytes.
        observer: as in `connect`.
        api: as in `connect`.
        check: as in `connect`.

    Returns:
        A context manager that gives the server's main object.

    Raises:
        ValueError: `url` is of another kind, or a header can be none.
        BatchError: from the call that sends it: there was no answer, or one that is none.
    """
    return BatchSession(
        url,
        headers=headers,
        timeout=timeout,
        limits=limits,
        observer=observer,
        api=api if check else None,
    )
