"""What the servers of the scenarios serve; scenario_api.mjs is the same in JavaScript."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from capnweb_sync import (
    Blob,
    Headers,
    ReadableStream,
    RemoteError,
    Request,
    Response,
    RpcPromise,
    RpcRangeError,
    RpcSession,
    RpcStub,
    RpcTarget,
    WritableStream,
    undefined,
)


class Counter(RpcTarget):
    """A number that counts up, and tells when it is disposed of."""

    def __init__(self, value: int, on_dispose: Callable[[], None] = lambda: None) -> None:
        self._value = value
        self._tell = on_dispose

    def increment(self, by: int) -> int:
        self._value += by
        return self._value

    @property
    def value(self) -> int:
        return self._value

    def next(self) -> "Counter":
        """A new counter, one further."""
        return Counter(self._value + 1)

    def _on_dispose(self) -> None:
        self._tell()


class Sink:
    """Where a stream is written to: a list, at whose end stands "end"."""

    def __init__(self, chunks: list[Any], abort: Callable[[Any], None] = lambda _: None) -> None:
        self._chunks = chunks
        self.abort = abort

    def write(self, chunk: Any) -> None:
        self._chunks.append(chunk)

    def close(self) -> None:
        self._chunks.append("end")


def text_of(body: Any) -> str:
    """The text that the body of a request or a response holds, whichever way it came."""
    if isinstance(body, str):
        return body
    return (body if isinstance(body, bytes) else b"".join(body)).decode()


class Main(RpcTarget):
    """The main object of a connection."""

    def __init__(self) -> None:
        self._session: RpcSession
        self._disposals = 0
        self._cancelled = False
        self._collected: list[Any] = []
        self._aborted: Any = undefined
        self._kept: RpcStub | None = None
        self._notes: list[int] = []
        self._waiting: dict[str, Future[Any]] = {}

    def _on_session(self, session: RpcSession) -> None:
        self._session = session

    # ---- values

    def echo(self, value: Any) -> Any:
        return value

    def add(self, a: int, b: int) -> int:
        return a + b

    @property
    def answer(self) -> int:
        return 42

    @property
    def settings(self) -> dict[str, Any]:
        return {"color": "green", "limits": {"members": 10}}

    def fail(self, name: str, message: str) -> None:
        raise RemoteError(
            message,
            name=name,
            properties={
                "code": "teapot",
                "detail": {"attempts": [1, 2]},
                "cause": RpcRangeError("the cause"),
            },
        )

    # ---- capabilities of the client's

    def call(self, callback: RpcStub, *args: Any) -> RpcPromise:
        return callback(*args)

    def tell(self, callback: RpcStub, value: Any) -> str:
        """Nobody waits for what the callback returns."""
        callback(value).dispose()
        return "told"

    def callInside(self, listener: dict[str, Any], event: Any) -> RpcPromise:
        result: RpcPromise = listener["onEvent"](event)
        return result

    def callTwo(self, first: RpcStub, second: RpcStub) -> list[Any]:
        return [promise.result() for promise in (first(1), second(2))]

    def increment(self, counter: RpcStub, by: int) -> RpcPromise:
        return counter.increment(by)

    def incrementInside(self, holder: dict[str, Any], by: int) -> RpcPromise:
        result: RpcPromise = holder["list"][0].increment(by)
        return result

    def keep(self, callback: RpcStub) -> None:
        self._kept = callback.dup()

    def keepWithoutDup(self, callback: RpcStub) -> None:
        self._kept = callback

    def callKept(self, value: Any) -> RpcPromise:
        assert self._kept is not None
        return self._kept(value)

    def forget(self) -> None:
        assert self._kept is not None
        self._kept.dispose()

    def giveBack(self, capability: RpcStub) -> dict[str, RpcStub]:
        return {"it": capability.dup()}

    def askClient(self, question: str) -> RpcPromise:
        return self._session.main.reply(question)

    # ---- capabilities of the server's

    def makeCounter(self, start: int) -> Counter:
        def disposed() -> None:
            self._disposals += 1

        return Counter(start, disposed)

    def makeAdder(self, n: int) -> Callable[[int], int]:
        return lambda x: x + n

    def makeParts(self) -> dict[str, Any]:
        return {
            "counter": self.makeCounter(1),
            "functions": [lambda x: x + 1],
            "last": {"double": lambda x: x * 2},
        }

    @property
    def disposals(self) -> int:
        return self._disposals

    # ---- lists, to be mapped

    def numbers(self, n: int) -> list[int]:
        return list(range(1, n + 1))

    def makeCounters(self, n: int) -> list[Counter]:
        return [self.makeCounter(start) for start in self.numbers(n)]

    # ---- streams and blobs

    def streamNumbers(self, n: int) -> ReadableStream:
        return ReadableStream(self.numbers(n))

    def streamAndFail(self) -> Iterator[int]:
        """Ends with an error after two chunks."""
        yield from (1, 2)
        raise RpcRangeError("no more")

    def streamForever(self) -> Iterator[int]:
        """Without an end; `cancelled` tells whether the reader has stopped it."""
        try:
            yield from itertools.count(1)
        finally:
            self._cancelled = True

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def sum(self, stream: ReadableStream) -> int:
        return sum(stream)

    def makeSink(self) -> WritableStream:
        """A stream to write to; `collected` and `aborted` tell what has come of it."""

        def abort(reason: Any) -> None:
            self._aborted = reason

        return WritableStream(Sink(self._collected, abort))

    @property
    def collected(self) -> list[Any]:
        return self._collected

    @property
    def aborted(self) -> Any:
        return self._aborted

    def writeNumbers(self, stream: WritableStream, n: int) -> None:
        for number in self.numbers(n):
            stream.write(number)
        stream.close()

    def makeBlob(self, text: str, type: str) -> Blob:  # noqa: A002 - the word of both languages
        return Blob(text.encode(), type)

    def readBlob(self, blob: Blob) -> list[str]:
        return [blob.data.decode(), blob.type]

    def makeResponse(self, text: str, status: int) -> Response:
        return Response(text, status, headers=Headers((("x-test", "1"),)))

    def readRequest(self, request: Request) -> list[Any]:
        return [request.method, request.url, request.headers.get("x-test"), text_of(request.body)]

    # ---- time

    def wait(self, key: str) -> Future[Any]:
        future = self._waiting[key] = Future[Any]()
        return future

    def set(self, key: str, value: Any) -> None:
        self._waiting[key].set_result(value)

    def never(self) -> Future[None]:
        return Future()

    def bounce(self, callback: RpcStub, depth: int) -> list[str]:
        """Calls back and forth until `depth` is 0; who was called, outermost first."""
        if depth == 0:
            return []
        return [f"server {depth}", *callback(depth).result()]

    def note(self, n: int) -> None:
        self._notes.append(n)

    @property
    def notes(self) -> list[int]:
        return self._notes

    # ---- the session

    def stats(self) -> dict[str, int]:
        return self._session.stats()


class ClientMain(RpcTarget):
    """What the client serves."""

    def reply(self, question: str) -> str:
        return f"{question} Yes!"
