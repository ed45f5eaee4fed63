"""The scenarios: how our client plays each one, and what whoever plays it must observe.

scenarios.mjs has the same ones in JavaScript. What is observed is plain JSON.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from capnweb_sync import (
    Blob,
    Headers,
    RemoteError,
    Request,
    RpcError,
    RpcPromise,
    RpcRangeError,
    RpcStub,
    WritableStream,
    undefined,
)
from tests.interop.scenario_api import Counter, Sink, text_of
from tests.processes import wait_until

Play: TypeAlias = Callable[[RpcStub], Any]


@dataclass(frozen=True)
class Scenario:
    """One conversation, on a connection of its own.

    Attributes:
        play: has the conversation as our client, given the server's main object; what it observed.
        expected: what it observes if all is well.
    """

    play: Play
    expected: Any


SCENARIOS: dict[str, Scenario] = {}
BATCHES: dict[str, Scenario] = {}


def scenario(
    name: str, expected: Any, table: dict[str, Scenario] = SCENARIOS
) -> Callable[[Play], Play]:
    """Enter a conversation in a table."""

    def enter(play: Play) -> Play:
        table[name] = Scenario(play, expected)
        return play

    return enter


def remote_error(promise: RpcPromise) -> RemoteError:
    """The error that the server answered with."""
    with pytest.raises(RemoteError) as caught:
        promise.result()
    return caught.value


@scenario("call a method", 5)
def _(main: RpcStub) -> Any:
    return main.add(2, 3).result()


@scenario("send values there and back", {"list": [1, [None, "😀"]], "": {}, "no": False})
def _(main: RpcStub) -> Any:
    return main.echo({"list": [1, [None, "😀"]], "": {}, "no": False}).result()


@scenario("read a property", 42)
def _(main: RpcStub) -> Any:
    return main.answer.result()


@scenario("read properties of a property", ["green", 10])
def _(main: RpcStub) -> Any:
    return [main.settings.color.result(), main.settings.limits.members.result()]


@scenario(
    "an error has its class, code, properties and cause",
    [
        [name, "no tea", "teapot", {"attempts": [1, 2]}, "the cause"]
        # A class that JavaScript does not have arrives as Error.
        for name in ("Error", "RangeError", "SyntaxError", "TypeError", "Error")
    ],
)
def _(main: RpcStub) -> Any:
    seen = []
    for name in ("Error", "RangeError", "SyntaxError", "TypeError", "Teapot"):
        error = remote_error(main.fail(name, "no tea"))
        cause = error.properties["cause"]
        seen.append(
            [error.name, error.message, error.code, error.properties["detail"], cause.message]
        )
    return seen


@scenario("a method that is not there", ["TypeError", "'nonsense' is not a function."])
def _(main: RpcStub) -> Any:
    error = remote_error(main.nonsense(1))
    return [error.name, error.message]


@scenario("a property that is not there", True)
def _(main: RpcStub) -> Any:
    return main.nonsense.result() is undefined


@scenario("the server calls a function", 42)
def _(main: RpcStub) -> Any:
    return main.call(lambda a, b: a * b, 6, 7).result()


@scenario("the server calls a function in an object", ["hello"])
def _(main: RpcStub) -> Any:
    heard: list[Any] = []
    main.callInside({"onEvent": heard.append}, "hello").result()
    return heard


@scenario("an error in a callback comes back", ["RangeError", "too far"])
def _(main: RpcStub) -> Any:
    def fail() -> None:
        raise RpcRangeError("too far")

    error = remote_error(main.call(fail))
    return [error.name, error.message]


@scenario("the server keeps a function", [["a", "b"], [1, 2]])
def _(main: RpcStub) -> Any:
    heard: list[Any] = []

    def listen(value: Any) -> int:
        heard.append(value)
        return len(heard)

    main.keep(listen).result()
    answers = [main.callKept("a").result(), main.callKept("b").result()]
    main.forget().result()
    return [heard, answers]


@scenario("a function that was not kept ends with the call", True)
def _(main: RpcStub) -> Any:
    main.keepWithoutDup(lambda: 1).result()
    return isinstance(main.callKept("a").exception(), RemoteError)


@scenario("the server uses an object of the client's", [3, 6, 6])
def _(main: RpcStub) -> Any:
    counter = Counter(1)
    return [
        main.increment(counter, 2).result(),
        main.increment(counter, 3).result(),
        counter.value,
    ]


@scenario("the server uses an object deep inside an argument", 3)
def _(main: RpcStub) -> Any:
    return main.incrementInside({"list": [Counter(1)]}, 2).result()


@scenario("the client's object learns that the call is done", 1)
def _(main: RpcStub) -> Any:
    disposals: list[None] = []
    main.increment(Counter(1, lambda: disposals.append(None)), 2).result()
    wait_until(lambda: disposals)
    return len(disposals)


@scenario("one function twice in one call", [[10, 20], [1, 2]])
def _(main: RpcStub) -> Any:
    heard: list[int] = []

    def listen(value: int) -> int:
        heard.append(value)
        return value * 10

    return [main.callTwo(listen, listen).result(), sorted(heard)]


@scenario("the client uses an object of the server's", [11, 13, 13])
def _(main: RpcStub) -> Any:
    with main.makeCounter(10).result() as counter:
        return [
            counter.increment(1).result(),
            counter.increment(2).result(),
            counter.value.result(),
        ]


@scenario("the server's object learns of its disposal", 1)
def _(main: RpcStub) -> Any:
    main.makeCounter(10).result().dispose()
    wait_until(lambda: main.disposals.result())
    return main.disposals.result()


@scenario("a duplicate outlives its original", [11, 0])
def _(main: RpcStub) -> Any:
    counter = main.makeCounter(10).result()
    duplicate = counter.dup()
    counter.dispose()
    seen = [duplicate.increment(1).result(), main.disposals.result()]
    duplicate.dispose()
    wait_until(lambda: main.disposals.result())
    return seen


@scenario("a disposed stub can't be used", True)
def _(main: RpcStub) -> Any:
    counter = main.makeCounter(10).result()
    counter.dispose()
    with pytest.raises(RpcError):
        counter.increment(1)
    return True


@scenario("an object is given back to its owner, the server", [5, 5])
def _(main: RpcStub) -> Any:
    with main.makeCounter(1).result() as counter:
        return [main.increment(counter, 4).result(), counter.value.result()]


@scenario("an object is given back to its owner, the client", [3, 3])
def _(main: RpcStub) -> Any:
    counter = Counter(1)
    with main.giveBack(counter).result()["it"] as same:
        return [same.increment(2).result(), counter.value]


@scenario("a function as a result", [6, 7])
def _(main: RpcStub) -> Any:
    with main.makeAdder(5).result() as add5:
        return [add5(1).result(), add5(2).result()]


@scenario("a result with capabilities inside", [2, 11, 20])
def _(main: RpcStub) -> Any:
    with main.makeParts() as promise:
        parts = promise.result()
        return [
            parts["counter"].increment(1).result(),
            parts["functions"][0](10).result(),
            parts["last"]["double"](10).result(),
        ]


@scenario("a call on a result that is not there yet", [2, 4, 4])
def _(main: RpcStub) -> Any:
    with main.makeCounter(1) as counter:
        promises = [counter.increment(1), counter.increment(2), counter.value]
        return [promise.result() for promise in promises]


@scenario("calls on results, five deep", 5)
def _(main: RpcStub) -> Any:
    counters = [main.makeCounter(0)]
    for _ in range(5):
        counters.append(counters[-1].next())
    value = counters[-1].value.result()
    for counter in counters:
        counter.dispose()
    return value


@scenario("a call on a part of a result that is not there yet", [2, 20])
def _(main: RpcStub) -> Any:
    with main.makeParts() as parts:
        promises = [parts.counter.increment(1), parts.last.double(10)]
        return [promise.result() for promise in promises]


@scenario("an argument that is not there yet", 7)
def _(main: RpcStub) -> Any:
    with main.add(1, 2) as sum_of_two:
        return main.add(sum_of_two, 4).result()


@scenario("an object that is not there yet as an argument", 5)
def _(main: RpcStub) -> Any:
    with main.makeCounter(3) as counter:
        return main.increment(counter, 2).result()


@scenario("a property as an argument", 52)
def _(main: RpcStub) -> Any:
    return main.add(main.answer, main.settings.limits.members).result()


@scenario("an error on the way to a later call", ["RangeError", "no tea"])
def _(main: RpcStub) -> Any:
    with main.fail("RangeError", "no tea") as failed:
        error = remote_error(failed.counter.increment(1))
    return [error.name, error.message]


@scenario("an error in an argument that is not there yet", ["RangeError", "no tea"])
def _(main: RpcStub) -> Any:
    with main.fail("RangeError", "no tea") as failed:
        error = remote_error(main.add(failed, 1))
    return [error.name, error.message]


@scenario("a call that a later one answers", [[1, 2], True])
def _(main: RpcStub) -> Any:
    waiting = main.wait("key")
    answer = main.set("key", [1, 2]).result()
    # JavaScript's answer of a method without one is undefined, Python's is null.
    return [waiting.result(), answer in (None, undefined)]


@scenario("a call that waits for another call's answer", 42)
def _(main: RpcStub) -> Any:
    with main.wait("key") as waiting:
        total = main.add(waiting, 1)
        main.set("key", 41).result()
        return total.result()


@scenario("a call that nobody answers", 42)
def _(main: RpcStub) -> Any:
    with main.never():
        return main.answer.result()


@scenario(
    "calls back and forth, three levels deep",
    ["server 3", "client 3", "server 2", "client 2", "server 1", "client 1"],
)
def _(main: RpcStub) -> Any:
    def back(depth: int) -> list[str]:
        return [f"client {depth}", *main.bounce(back, depth - 1).result()]

    return main.bounce(back, 3).result()


@scenario("calls arrive in the order sent", list(range(20)))
def _(main: RpcStub) -> Any:
    calls = [main.note(n) for n in range(20)]
    notes = main.notes.result()
    for call in calls:
        call.dispose()
    return notes


@scenario("the server calls the client's main object", "Is anybody there? Yes!")
def _(main: RpcStub) -> Any:
    return main.askClient("Is anybody there?").result()


# ---- map


@scenario("map a list", [11, 12, 13])
def _(main: RpcStub) -> Any:
    with main.numbers(3) as numbers:
        return numbers.map(lambda n: main.add(n, 10)).result()


@scenario("map a list of capabilities", [11, 12, 13])
def _(main: RpcStub) -> Any:
    with main.makeCounters(3) as counters:
        return counters.map(lambda counter: counter.increment(10)).result()


@scenario("map one value, null and nothing", [6, None, True])
def _(main: RpcStub) -> Any:
    seen = []
    for value in (5, None, undefined):
        with main.echo(value) as promise:
            seen.append(promise.map(lambda n: main.add(n, 1)).result())
    one, nothing, missing = seen
    return [one, nothing, missing is undefined]


@scenario("map a list of lists", [[11, 12], [], [13]])
def _(main: RpcStub) -> Any:
    with main.echo([[1, 2], [], [3]]) as rows:
        return rows.map(lambda row: row.map(lambda n: main.add(n, 10))).result()


@scenario("map to a structure", [{"n": 1, "more": [2, 42]}, {"n": 2, "more": [3, 42]}])
def _(main: RpcStub) -> Any:
    with main.numbers(2) as numbers:
        return numbers.map(lambda n: {"n": n, "more": [main.add(n, 1), main.answer]}).result()


@scenario("map with a captured object of the client's", [1, 3, 6])
def _(main: RpcStub) -> Any:
    with RpcStub(Counter(0)) as counter, main.numbers(3) as numbers:
        return sorted(numbers.map(lambda n: counter.increment(n)).result())


@scenario("map with an error", ["RangeError", "no tea"])
def _(main: RpcStub) -> Any:
    with main.numbers(3) as numbers:
        error = remote_error(numbers.map(lambda n: main.fail("RangeError", "no tea")))
    return [error.name, error.message]


# ---- streams and blobs


@scenario("read a stream of the server's", 5050)
def _(main: RpcStub) -> Any:
    return sum(main.streamNumbers(100).result())


@scenario("read a stream that fails", ["RangeError", "no more"])
def _(main: RpcStub) -> Any:
    with main.streamAndFail().result() as stream, pytest.raises(RemoteError) as caught:
        list(stream)
    return [caught.value.name, caught.value.message]


@scenario("stop reading a stream without an end", [1, 2])
def _(main: RpcStub) -> Any:
    with main.streamForever().result() as stream:
        chunks = [next(stream), next(stream)]
    wait_until(lambda: main.cancelled.result())
    return chunks


@scenario("let the server read a stream", 10)
def _(main: RpcStub) -> Any:
    return main.sum(iter([1, 2, 3, 4])).result()


@scenario("let the server read a stream that fails", ["RangeError", "no more"])
def _(main: RpcStub) -> Any:
    def chunks() -> Iterator[int]:
        yield from ()
        raise RpcRangeError("no more")

    error = remote_error(main.sum(chunks()))
    return [error.name, error.message]


@scenario("write to a stream of the server's", ["a", {"b": [1]}, "end"])
def _(main: RpcStub) -> Any:
    with main.makeSink() as promise, promise.result() as stream:
        for chunk in ("a", {"b": [1]}):
            stream.write(chunk)
    return main.collected.result()


@scenario("abort a stream of the server's", [["a"], "enough"])
def _(main: RpcStub) -> Any:
    with main.makeSink() as promise:
        stream = promise.result()
        stream.write("a")
        stream.abort(RpcRangeError("enough"))
        wait_until(lambda: main.aborted.result())
    return [main.collected.result(), main.aborted.result().message]


@scenario("let the server write to a stream", [1, 2, 3, "end"])
def _(main: RpcStub) -> Any:
    chunks: list[Any] = []
    main.writeNumbers(WritableStream(Sink(chunks)), 3).result()
    return chunks


@scenario("blobs", ["grüß Gott", "text/plain", ["hi", "a/b"]])
def _(main: RpcStub) -> Any:
    blob = main.makeBlob("grüß Gott", "text/plain").result()
    return [blob.data.decode(), blob.type, main.readBlob(Blob(b"hi", "a/b")).result()]


@scenario("a response", [201, "1", "created"])
def _(main: RpcStub) -> Any:
    with main.makeResponse("created", 201) as promise:
        response = promise.result()
        return [response.status, response.headers.get("x-test"), text_of(response.body)]


@scenario("a request", ["POST", "http://example.com/a", "1", "the body"])
def _(main: RpcStub) -> Any:
    headers = Headers((("x-test", "1"),))
    return main.readRequest(
        Request("http://example.com/a", "POST", headers, iter([b"the ", b"body"]))
    ).result()


# ---- in one HTTP batch
#
# Everything is asked for before anything is awaited, and the server waits for nothing that it calls
# at the client. The tables of a batch are gone with it.


@scenario("several calls in a batch", [42, 5, [1, {"a": None}]], table=BATCHES)
def _(main: RpcStub) -> Any:
    # A property is asked for when its value is, so it comes first here: that sends the batch.
    promises = [main.answer, main.add(2, 3), main.echo([1, {"a": None}])]
    return [promise.result() for promise in promises]


@scenario("calls on results in a batch", 3, table=BATCHES)
def _(main: RpcStub) -> Any:
    return main.makeCounter(0).next().next().next().value.result()


@scenario("a promise as an argument in a batch", 45, table=BATCHES)
def _(main: RpcStub) -> Any:
    return main.add(main.add(1, 2), main.answer).result()


@scenario("map in a batch", [11, 12, 13], table=BATCHES)
def _(main: RpcStub) -> Any:
    return main.numbers(3).map(lambda n: main.add(n, 10)).result()


@scenario("an error in a batch", ["RangeError", "no tea", "teapot", 3], table=BATCHES)
def _(main: RpcStub) -> Any:
    failed, total = main.fail("RangeError", "no tea"), main.add(1, 2)
    error = remote_error(failed)
    return [error.name, error.message, error.code, total.result()]


@scenario("a function in a batch", ["told", [1, {"a": None}]], table=BATCHES)
def _(main: RpcStub) -> Any:
    heard: list[Any] = []
    told = [main.tell(heard.append, value) for value in (1, {"a": None})]
    return [told[0].result(), heard]
