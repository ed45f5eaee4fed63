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
import resource
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import Limits, RpcError, RpcTarget

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
    max_table_entries=2_000,
    max_calls=100,
    max_argument_values=10_000,
    max_map_steps=10_000,
    max_stream_bytes=256 * 1024,
)


class Child(RpcTarget):
    def name(self) -> str:
        return "child"

    @property
    def itself(self) -> Child:
        return self


class Api(RpcTarget):
    """Something of everything that a peer can use."""

    def __init__(self) -> None:
        self.secret = "secret"
        self.kept: list[Any] = []

    def echo(self, *values: Any) -> Any:
        return list(values)

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

    def call(self, function: Any) -> Any:
        return function(1)

    def keep(self, capability: Any) -> None:
        self.kept = [capability.dup()]

    def later(self) -> Future[Any]:
        return Future()

    def fail(self) -> None:
        raise RpcError("as meant", code="meant")

    def bug(self) -> None:
        raise ValueError("secret")

    def count(self) -> Any:
        return iter(range(3))

    def take(self, stream: Any) -> Any:
        return stream

    @property
    def prop(self) -> Any:
        return {"a": [1, self.echo]}


NAMES = [name for name in vars(Api) if not name.startswith("_")]
HOSTILE = ["__class__", "__init__", "__globals__", "_on_dispose", "secret", "kept", "constructor"]


class Generator:
    """Makes messages from a seed."""

    def __init__(self, seed: int, recorded: list[str]) -> None:
        self.random = random.Random(seed)
        self._recorded = recorded
        # Half of the sessions get nothing that is against the protocol by its form alone, so that
        # they live long enough for what is against its meaning.
        self._harmless = seed % 2 == 0
        self._pushed = 0
        self._pipes: list[int] = []

    def message(self) -> str:
        if self._harmless:
            return self._plausible()
        kind = self.random.choices(
            (self._plausible, self._mutated, self._noise, self._bomb), (60, 25, 10, 5)
        )[0]
        return kind()

    def _plausible(self) -> str:
        make: Callable[[], Any] = self.random.choices(
            (
                lambda: ["push", self._expression(4)],
                lambda: ["pull", self._id()],
                lambda: ["release", self._id(), self.random.choice((1, 1, 1, 2, 10**9))],
                lambda: ["resolve", self._id(), self._expression(3)],
                lambda: ["reject", self._id(), self._expression(2)],
                lambda: ["stream", self._expression(3)],
                lambda: ["pipe"],
                lambda: ["abort", self._expression(1)],
            ),
            (60, 30, 1, 1, 0.5, 6, 3, 0.1),
        )[0]
        made = make()
        if made[0] in ("push", "stream", "pipe"):
            self._pushed += 1
        if made[0] == "pipe":
            self._pipes.append(self._pushed)
        return json.dumps(made)

    def _id(self) -> int:
        if not self._pushed:
            return 0
        pushed = self.random.randint(1, self._pushed)
        return self.random.choices(
            (0, pushed, -self.random.randint(1, 25), 2**53), (10, 20, 0.3, 0.02)
        )[0]

    def _path(self) -> list[Any]:
        parts = [*NAMES, *HOSTILE, "a", "n", "tags", "child", "write", "close", "abort", 0, 1, -1]
        return [self.random.choice(parts) for _ in range(self.random.choice((0, 1, 1, 1, 2, 5)))]

    def _expression(self, depth: int) -> Any:
        choose = self.random.choice
        if depth == 0 or self.random.random() < 0.3:
            return choose((0, 1, -1.5, "", "text", "\ud83d", None, True, 2**60, ["undefined"]))
        inner = depth - 1
        return choose(
            (
                lambda: ["pipeline", self._id(), self._path(), self._list(inner)],
                lambda: ["pipeline", self._id(), self._path(), self._list(inner)],
                lambda: ["pipeline", self._id(), self._path()],
                lambda: ["pipeline", self._id()],
                lambda: ["import", self._id(), self._path()],
                lambda: ["export", -self.random.randint(1, 30)],
                lambda: ["promise", -self.random.randint(1, 60)],
                lambda: ["writable", -self.random.randint(1, 30)],
                self._readable,
                lambda: ["blob", "text/plain", self._readable()] if self._pipes else "no pipe",
                lambda: ["remap", self._id(), self._path(), self._captures(), self._list(inner)],
                lambda: [self._list(inner)],
                lambda: {choose(NAMES): self._expression(inner)},
                lambda: ["bigint", "9" * choose((1, 20, 5000))],
                lambda: ["date", choose((0, None, 1e300))],
                lambda: ["bytes", choose(("aGk", "", "-_-_")), choose(("Int8Array", "DataView"))],
                lambda: ["error", "TypeError", "m", None, {"cause": self._expression(inner)}],
                lambda: ["request", "https://x/", {"body": self._readable()}],
                lambda: ["response", self._readable(), {"status": choose((200, 404))}],
                lambda: [choose(("nan", "inf", "-inf")), 1],
            )
        )()

    def _readable(self) -> Any:
        if not self._pipes:
            return "no pipe"
        return ["readable", self._pipes.pop(self.random.randrange(len(self._pipes)))]

    def _list(self, depth: int) -> list[Any]:
        return [self._expression(depth) for _ in range(self.random.choice((0, 1, 1, 2, 4)))]

    def _captures(self) -> list[Any]:
        captures = (["import", self._id()], ["export", -self.random.randint(1, 30)])
        return [self.random.choice(captures) for _ in range(self.random.randint(0, 3))]

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
                text[at:at] = text[at : at + self.random.randint(1, 20)]
            else:
                text[at:at] = str(self.random.choice((-1, 0, 7, 10**20))).encode()
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
    lambda: json.dumps(["push", nested_map(6)]),
    lambda: json.dumps(["push", ["remap", 1, [], [], [["pipeline", 0, ["n"]]] * 3_000]]),
    lambda: json.dumps(["push", ["bigint", "9" * 60_000]]),
    lambda: json.dumps(["stream", ["pipeline", 1, ["write"], ["x" * 60_000]]]),
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
    api.keep(lambda: None).result()
    api.echo([1, {"a": b"bytes"}, 2**70, float("inf")], api.child()).result()
    both.tables()
    return list(both.client_transport.sent)


def megabytes() -> float:
    """The most memory that this process has ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def attack(seed: int, recorded: list[str], beside: Loopback) -> tuple[int, weakref.ref[Any]]:
    """One session that gets messages until it ends. How many, and a weak reference to what is left
    of it."""
    generator = Generator(seed, recorded)
    peer = RawPeer(Api(), limits=LIMITS, beside=beside)
    sent: list[str] = []
    try:
        for _ in range(MESSAGES_PER_SESSION):
            sent.append(generator.message())
            started = time.process_time()
            peer.says(sent[-1])
            assert time.process_time() - started < MESSAGE_SECONDS, "a message took too long"
            assert peer.session.calls.under_way <= LIMITS.max_calls
            sizes = peer.session.stats()
            assert max(sizes.values()) <= LIMITS.max_table_entries, sizes
            if peer.session.closed:
                break
        check_answers(peer.heard)
        peer.session.connection_lost(1006, "")
        peer.runtime.pump()
        assert peer.session.stats() == {"imports": 0, "exports": 0}
    except BaseException as error:
        messages = "\n".join(text[:300] for text in sent[-10:])
        raise AssertionError(f"seed {seed}, message {len(sent)}: {error!r}\n{messages}") from error
    return len(sent), weakref.ref(peer.session)


ANSWERS = ("push", "pull", "resolve", "reject", "release", "abort", "stream", "pipe")


def check_answers(messages: list[Any]) -> None:
    """Nothing of the process's own is in them, and every failure is a documented one."""
    text = json.dumps(messages)
    assert "Traceback" not in text
    assert ".py" not in text
    for message in messages:
        assert message[0] in ANSWERS, message


def test_whatever_a_peer_sends_harms_nobody(full: bool, caplog: pytest.LogCaptureFixture) -> None:
    # A record of the log holds the frames of what failed, and pytest holds the records.
    caplog.set_level(logging.CRITICAL + 1, "capnweb_sync")
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

    assert megabytes() - before < MEMORY_MIB
    gc.collect()
    assert sum(session() is not None for session in left) == 0
    assert bystander.api.add(40, 2).result() == 42
    assert bystander.tables() == ({"imports": 1, "exports": 1},) * 2


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
