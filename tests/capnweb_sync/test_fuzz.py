"""Generated messages against a live session: it ends or goes on, as the protocol says, and that is
all that happens.

10,000 messages, 200,000 with `--full`: made at random, mutated from a recorded conversation, and
bombs. A failure names its seed, and what it sent.
"""

from __future__ import annotations

import gc
import json
import logging
import random
import re
import resource
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import (
    Blob,
    Limits,
    ReadableStream,
    RpcError,
    RpcTarget,
    WritableStream,
    broadcast,
)

from .loopback import Loopback, RawPeer

MESSAGES = 10_000
FULL_MESSAGES = 200_000

MESSAGES_PER_SESSION = 60
"""At most; many sessions end sooner. Enough to build on each other."""

MESSAGE_SECONDS = 2.0
"""CPU time that one message of some KiB may take; the worst of them takes a tenth of it."""

MEMORY_MIB = 96
"""How much the process may grow over all messages: the limits of one session, not of thousands."""

LIMITS = Limits(
    max_message_size=64 * 1024,
    max_calls=100,
    max_map_steps=10_000,
    max_memory=2 * 1024 * 1024,
)


class Child(RpcTarget):
    def name(self) -> str:
        return "child"

    @property
    def itself(self) -> Child:
        return self


class Sink:
    """Takes what is written, and fails at some of it."""

    def write(self, chunk: Any) -> None:
        if chunk == 1:
            raise RpcError("one too many", code="meant")


class Api(RpcTarget):
    """Something of everything that a peer can use."""

    def __init__(self) -> None:
        self.secret = "secret"
        self.kept: list[Any] = []
        self.futures: list[Future[Any]] = []

    def echo(self, *values: Any) -> Any:
        return list(values)

    def same(self, value: Any = None) -> Any:
        return value

    def add(self, a: int, b: int) -> int:
        return a + b

    def items(self) -> list[Any]:
        return [{"n": n, "tags": ["a", "b"]} for n in range(10)]

    def large(self) -> list[int]:
        return [0] * 1000

    def child(self) -> Child:
        return Child()

    def nested(self) -> dict[str, Any]:
        return {"child": Child(), "list": [1, Child(), {"f": self.echo}]}

    def call(self, function: Callable[..., Any]) -> Any:
        return function(1)

    def wait_for(self, function: Callable[..., Any]) -> Any:
        return function(1).result()

    def keep(self, capability: Callable[..., Any]) -> None:
        self.kept = [capability.dup()]  # type: ignore[attr-defined]

    def use_kept(self) -> Any:
        broadcast(self.kept, None, 1)
        return self.kept

    def later(self) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]

    def settle(self, value: Any = None) -> None:
        while self.futures:
            self.futures.pop().set_result(value)

    def fail(self) -> None:
        raise RpcError("as meant", code="meant")

    def bug(self) -> None:
        raise Bug("secret")

    def count(self) -> Any:
        return iter(range(3))

    def forever(self) -> Any:
        return iter(lambda: b"x" * 1000, None)

    def take(self, stream: ReadableStream) -> Any:
        return list(stream)

    def first(self, stream: ReadableStream) -> Any:
        return next(stream, None)

    def sink(self) -> WritableStream:
        return WritableStream(Sink())

    def write_to(self, stream: WritableStream) -> None:
        with stream:
            stream.write([1])

    def blob(self) -> Blob:
        return Blob(b"abc", "text/plain")

    def length(self, blob: Blob) -> int:
        return len(blob.data)

    @property
    def prop(self) -> Any:
        return {"a": [1, self.echo]}


class Bug(Exception):
    """What `bug` raises."""


NAMES = [name for name in vars(Api) if not name.startswith("_")]
HOSTILE = ["__class__", "__init__", "__globals__", "_on_dispose", "secret", "kept", "constructor"]


class Generator:
    """Makes messages from a seed, and from what the session has said."""

    def __init__(self, seed: int, recorded: list[str]) -> None:
        self.random = random.Random(seed)
        self._recorded = recorded
        # Half of the sessions get nothing that is against the protocol by its form alone, so that
        # they live long enough for what is against its meaning.
        self._harmless = seed % 2 == 0
        self._next = 1
        self._live: list[int] = []
        self._pipes: list[int] = []
        self._unread: list[int] = []
        self._heard = 0
        self._exports: list[int] = []
        self._asked: list[int] = []
        self._asked_next = 1
        self._own_next = -1
        self._stubs: list[int] = []
        self._promised: list[int] = []

    def hear(self, messages: list[Any]) -> None:
        """Learn which ids there are to use from what the session has sent."""
        for message in messages[self._heard :]:
            if message[0] in ("push", "stream", "pipe"):
                self._asked.append(self._asked_next)
                self._asked_next += 1
            found = re.findall(
                r'\["(?:export|promise|writable)",(-\d+)',
                json.dumps(message, separators=(",", ":")),
            )
            self._exports += map(int, found)
        self._heard = len(messages)

    def message(self) -> str:
        if self._harmless:
            return self._plausible()
        kind = self.random.choices(
            (self._plausible, self._mutated, self._noise, self._bomb), (95, 2, 1, 2)
        )[0]
        return kind()

    def _plausible(self) -> str:
        make: Callable[[], Any] = self.random.choices(
            (
                lambda: ["push", self._expression(4)],
                lambda: ["pull", self._id()],
                self._release,
                self._resolve,
                self._write,
                lambda: ["stream", self._expression(3)],
                lambda: ["pipe"],
                lambda: ["abort", self._expression(1)],
            ),
            (50, 25, 5, 8, 15, 2, 4, 0.1),
        )[0]
        made = make()
        if made[0] in ("push", "stream", "pipe"):
            if made[0] != "stream":
                self._live.append(self._next)
            if made[0] == "pipe":
                self._pipes.append(self._next)
                self._unread.append(self._next)
            self._next += 1
        return json.dumps(made)

    def _release(self) -> Any:
        if self._live and self.random.random() < 0.95:
            released = self._live.pop(self.random.randrange(len(self._live)))
            return ["release", released, 1]
        return ["release", self._id(), self.random.choice((1, 2, 10**9))]

    def _resolve(self) -> Any:
        awaited = self._asked if self.random.random() < 0.5 else self._promised
        if not awaited:
            return ["pipe"]
        answered = awaited.pop(self.random.randrange(len(awaited)))
        if self.random.random() < 0.8:
            # Not with results: a call may be waiting for this very answer, for ever.
            live, exports = self._live, self._exports
            self._live = self._exports = []
            value = self._expression(3)
            self._live, self._exports = live, exports
            return ["resolve", answered, value]
        return ["reject", answered, ["error", "Error", "m"]]

    def _write(self) -> Any:
        if not self._pipes:
            return ["pipe"]
        method = self.random.choices(("write", "close", "abort"), (20, 1, 1))[0]
        target = self.random.choice(self._pipes + self._exports)
        kind = self.random.choices(("stream", "push"), (5, 1))[0]
        return [kind, ["pipeline", target, [method], self._list(2)]]

    def _id(self) -> int:
        if self.random.random() < 0.002:
            return self.random.choice((-1, -7, self._next, 2**53, 10**30))
        return self.random.choice((0, 0, *self._live[-6:], *self._exports[-3:]))

    def _own(self, among: list[int] | None = None) -> int:
        """An id that the peer exports under: a new one, often, and always if it is a promise's,
        which goes to `among`."""
        if among is None and self._stubs and self.random.random() < 0.3:
            return self.random.choice(self._stubs)
        own = self._own_next
        self._own_next -= 1
        (self._stubs if among is None else among).append(own)
        return own

    def _path(self) -> list[Any]:
        choice, odd = self.random.choice, self.random.random()
        if odd < 0.7:
            return [choice(NAMES)]
        parts = [*NAMES, *HOSTILE, "a", "n", "tags", "child", "write", "close", "abort", 0, 1, -1]
        return [choice(parts) for _ in range(choice((0, 1, 2, 5)))]

    def _expression(self, depth: int) -> Any:
        choose = self.random.choice
        if depth == 0 or self.random.random() < 0.3:
            return choose((0, 1, -1.5, "", "text", "\ud83d", None, True, 2**60, ["undefined"]))
        inner = depth - 1
        return choose(
            (
                lambda: ["pipeline", self._id(), self._path(), self._list(inner)],
                lambda: ["pipeline", self._id(), self._path(), self._list(inner)],
                lambda: ["pipeline", 0, [choose(NAMES)], [self._capability()]],
                lambda: ["pipeline", 0, [choose(NAMES)], [self._capability()]],
                lambda: ["pipeline", self._id(), self._path()],
                lambda: ["pipeline", self._id()],
                lambda: ["import", self._id(), self._path()],
                self._capability,
                lambda: ["remap", self._id(), self._path(), self._captures(), self._steps(inner)],
                lambda: [self._list(inner)],
                lambda: {choose(NAMES): self._expression(inner)},
                lambda: ["bigint", "9" * choose((1, 20, 5000))],
                lambda: ["date", choose((0, None, 1e300))],
                lambda: ["bytes", choose(("aGk", "", "-_-_")), choose(("Int8Array", "DataView"))],
                lambda: ["error", "TypeError", "m", None, {"cause": self._expression(inner)}],
                lambda: ["request", "https://x/", {"body": self._readable()}],
                lambda: ["response", self._readable(), {"status": choose((200, 404))}],
                lambda: [choose(("nan", "inf", "-inf"))],
            )
        )()

    def _capability(self) -> Any:
        return self.random.choice(
            (
                lambda: ["export", self._own()],
                lambda: ["promise", self._own(self._promised)],
                lambda: ["writable", self._own()],
                lambda: ["import", self._id()],
                self._readable,
                self._readable,
                lambda: ["blob", "text/plain", self._readable()] if self._unread else "no pipe",
            )
        )()

    def _readable(self) -> Any:
        if not self._unread:
            return "no pipe"
        return ["readable", self._unread.pop(self.random.randrange(len(self._unread)))]

    def _list(self, depth: int) -> list[Any]:
        return [self._expression(depth) for _ in range(self.random.choice((0, 1, 1, 2, 4)))]

    def _captures(self) -> list[Any]:
        captures = (["import", self._id()], ["export", self._own()])
        return [self.random.choice(captures) for _ in range(self.random.randint(0, 3))]

    def _steps(self, depth: int) -> list[Any]:
        """Instructions of a mapper function, whose ids are its own."""
        choose = self.random.choice
        steps: list[Any] = []
        for index in range(choose((1, 1, 2, 5))):
            at = choose((0, index, -1, -2, 9))
            steps.append(
                choose(
                    (
                        lambda at=at: ["pipeline", at, self._path()],
                        lambda at=at: ["pipeline", at, self._path(), [["pipeline", 0]]],
                        lambda at=at: ["import", at],
                        lambda at=at: ["remap", at, [], [["import", at]], self._steps(depth)],
                        lambda at=at: self._expression(depth),
                    )
                )()
                if depth
                else ["pipeline", at]
            )
        return steps

    def _mutated(self) -> str:
        text = bytearray(self.random.choice(self._recorded), "utf-8")
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(text))
            change = self.random.choice(("replace", "delete", "repeat", "number"))
            if change == "replace":
                text[at] = self.random.choice(b'[]{}",:0123456789abc\\\xff')
            elif change == "delete" and len(text) > 1:
                del text[at]
            elif change == "repeat":
                text[at:at] = text[at : at + 10] * self.random.randint(1, 20)
            else:
                text[at:at] = str(self.random.choice((0, 1, -1, 2**31, 2**53, -(10**30)))).encode()
        return text.decode("utf-8", "replace")

    def _noise(self) -> str:
        alphabet = '[]{}",:-.0123456789abcdeftrunl \\u"pushpull'
        return "".join(self.random.choices(alphabet, k=self.random.randint(0, 60)))

    def _bomb(self) -> str:
        return self.random.choice(BOMBS)()


def nested_map(levels: int) -> Any:
    """A map of a list in a map of a list …: each level multiplies the work by ten."""
    steps: list[Any] = [0]
    for _ in range(levels):
        steps = [["remap", -1, [], [["import", -1]], steps]]
    return ["remap", 1, [], [["import", 1]], steps]


BOMBS: list[Callable[[], str]] = [
    lambda: "[" * 30_000 + "]" * 30_000,
    lambda: '{"a":' * 10_000 + "0" + "}" * 10_000,
    lambda: json.dumps(["push", ["pipeline", 0, ["echo"], [["pipeline", 1]] * 2_000]]),
    lambda: json.dumps(["push", ["pipeline", 0, ["prop"] * 5_000, []]]),
    lambda: json.dumps(["push", [[["pipeline", 0, ["echo"], [1]]] * 1_000]]),
    lambda: json.dumps(["push", [[["export", -n] for n in range(1, 3_000)]]]),
    lambda: json.dumps(["push", [[["promise", -n] for n in range(1, 1_500)]]]),
    lambda: json.dumps(["push", nested_map(6)]),
    lambda: json.dumps(["push", ["remap", 1, [], [], [["pipeline", 0, ["n"]]] * 3_000]]),
    lambda: json.dumps(["push", ["bigint", "9" * 60_000]]),
    lambda: json.dumps(["stream", ["pipeline", 1, ["write"], ["x" * 60_000]]]),
    lambda: json.dumps(["push", [[["pipeline", 1, ["write"], ["x" * 40]]] * 1_000]]),
    lambda: json.dumps(["push", [[["pipeline", 0, ["forever"], []]] * 1_000]]),
    lambda: json.dumps(["push", "x" * 100_000]),
    lambda: json.dumps(["release", 1, 10**30]),
]


def recorded_conversation() -> list[str]:
    """What an honest client says."""
    both = Loopback(Api())
    api = both.api
    api.add(1, 2).result()
    api.call(lambda n: n + 1).result()
    api.child().name().result()
    api.items().map(lambda item: {"n": item.n, "sum": api.add(item.n, 1)}).result()
    api.items().map(lambda item: item.tags.map(lambda tag: api.echo(tag, item.n))).result()
    api.keep(lambda: None).result()
    api.use_kept().result()
    api.echo([1, {"a": b"bytes"}, 2**70, float("inf")], api.child()).result()
    api.echo(api.nested().list[1], api.same(api.prop)).result()
    api.take(iter([1, b"2", [3]])).result()
    api.length(Blob(b"abc")).result()
    with api.sink().result() as stream:
        stream.write(0)
    list(api.count().result())
    promise = api.later()
    promise.done()
    api.settle(5).result()
    promise.result()
    both.tables()
    return list(both.client_transport.sent)


def megabytes() -> float:
    """The most memory that this process has ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def attack(seed: int, recorded: list[str], beside: Loopback) -> tuple[int, weakref.ref[Any]]:
    """One session that gets messages until it ends. How many, and a weak reference to what is left
    of it."""
    generator = Generator(seed, recorded)
    api = Api()
    peer = RawPeer(api, limits=LIMITS, beside=beside)
    sent: list[str] = []
    try:
        while len(sent) < MESSAGES_PER_SESSION and not peer.session.closed:
            sent.append(generator.message())
            started = time.process_time()
            peer.says(sent[-1])
            assert time.process_time() - started < MESSAGE_SECONDS, "a message took too long"
            assert peer.session.calls.under_way <= LIMITS.max_calls
            assert 0 <= peer.session.ledger.held <= LIMITS.max_memory
            generator.hear(peer.heard)
        check_answers(peer.heard)
        peer.session.connection_lost(1006, "")
        peer.runtime.pump()
        while api.futures:
            api.settle()
            peer.runtime.pump()
        assert peer.session.stats() == {"imports": 0, "exports": 0}
        if peer.session.calls.under_way or peer.session.ledger.held:
            gc.collect()  # a stream that waits in itself
            peer.runtime.pump()
        assert peer.session.calls.under_way == 0, "calls are under way"
        assert peer.session.ledger.held == 0, "something is still counted"
    except BaseException as error:
        messages = "\n".join(text[:300] for text in sent[-10:])
        raise AssertionError(f"seed {seed}, message {len(sent)}: {error!r}\n{messages}") from error
    finally:
        peer.runtime.queues.remove(peer.session.calls._queue)  # type: ignore[arg-type]
    return len(sent), weakref.ref(peer.session)


ANSWERS = ("push", "pull", "resolve", "reject", "release", "abort", "stream", "pipe")


def check_answers(messages: list[Any]) -> None:
    """Nothing of the process's own is in them, and every failure is a documented one."""
    text = json.dumps(messages)
    assert "Traceback" not in text
    assert ".py" not in text
    for message in messages:
        assert message[0] in ANSWERS, message


class Bugs(logging.Filter):
    """What would be logged of exceptions. The records themselves hold the frames of what failed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        assert record.exc_info is not None
        self.seen.add(repr(record.exc_info[1]))
        return False

    def not_of(self, *expected: str) -> list[str]:
        """Those that do not begin like one of these."""
        return [bug for bug in sorted(self.seen) if not bug.startswith(expected)]


@pytest.fixture
def bugs() -> Iterator[Bugs]:
    """Every exception that is taken for a bug."""
    logger, found = logging.getLogger("capnweb_sync"), Bugs()
    logger.addFilter(found)
    yield found
    logger.removeFilter(found)


def test_whatever_a_peer_sends_harms_nobody(full: bool, bugs: Bugs) -> None:
    recorded = recorded_conversation()
    bystander = Loopback(Api())
    attack(0, recorded, bystander)
    gc.collect()
    before = megabytes()
    left: list[weakref.ref[Any]] = []
    to_send = FULL_MESSAGES if full else MESSAGES
    while to_send > 0:
        sent, session = attack(len(left) + 1, recorded, bystander)
        to_send -= sent
        left.append(session)

    # Nothing waits without end in the loopback, and a promise may stand for itself.
    assert bugs.not_of("Bug(", "TimeoutError(", "RecursionError(") == []
    assert megabytes() - before < MEMORY_MIB
    gc.collect()
    assert sum(session() is not None for session in left) == 0
    assert bystander.api.add(40, 2).result() == 42
    assert bystander.tables() == ({"imports": 1, "exports": 1},) * 2


def test_sessions_whose_calls_failed_are_gone_without_the_cyclic_collector() -> None:
    def attack(message: Any) -> weakref.ref[Any]:
        peer = RawPeer(Api())
        peer.says(["push", ["undefined"]], ["pipe"], message, ["pull", 1])
        peer.session.connection_lost(1006, "")
        return weakref.ref(peer.session)

    gc.collect()
    gc.disable()
    try:
        for message in (
            ["push", ["pipeline", 1, ["x"]]],
            ["stream", ["pipeline", 1, ["x"], []]],
            ["push", ["remap", 0, [], [], []]],
            ["push", ["blob", "", ["readable", 2]]],
            "no JSON",
        ):
            assert attack(message)() is None, message
    finally:
        gc.enable()


def test_nested_maps_cannot_multiply_work() -> None:
    peer = RawPeer(Api(), limits=LIMITS)
    peer.says(["push", ["pipeline", 0, ["items"], []]])
    calls = [["pipeline", -2, ["add"], [1, 2]]] * 10
    inner: list[Any] = [*calls, 0]
    for _ in range(5):
        inner = [["remap", -1, [], [["import", -1], ["import", -2]], inner]]
    started = time.process_time()

    peer.says(["push", ["remap", 1, [], [["import", 1], ["import", 0]], inner]], ["pull", 2])

    assert time.process_time() - started < MESSAGE_SECONDS
    (answer,) = [message for message in peer.heard if message[:2] == ["reject", 2]]
    assert answer[2][4]["code"] == "too_many"
    assert peer.session.calls.under_way == 0
    assert not peer.session.closed


def test_naming_a_result_with_promises_many_times_is_too_many_not_too_slow() -> None:
    peer = RawPeer(Api())
    peer.says(["push", [[["pipeline", 0, ["later"], []]] * 1_000]])
    started = time.process_time()

    peer.says(["push", ["pipeline", 0, ["echo"], [["pipeline", 1]] * 2_000]], ["pull", 2])

    assert time.process_time() - started < MESSAGE_SECONDS
    (answer,) = [message for message in peer.heard if message[:2] == ["reject", 2]]
    assert answer[2][4]["code"] == "too_many"
    assert not peer.session.closed
