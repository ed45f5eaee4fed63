"""Messages against the protocol: the session ends as the reference ends it, nothing else does."""

import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from capnweb_sync import Limits, RpcError, RpcTarget, SessionClosed

from .loopback import Loopback, RawPeer


class Api(RpcTarget):
    def echo(self, *values: Any) -> Any:
        return list(values)

    def call(self, function: Any) -> Any:
        return function(1)

    @property
    def prop(self) -> Any:
        return {"a": [1, self.echo]}


@pytest.mark.parametrize("thrown", ["x" * 100_000, ["bigint", "9" * 10_000], [[0] * 10_000]])
def test_what_a_peer_throws_is_quoted_in_few_words(thrown: Any) -> None:
    peer = RawPeer()
    promise = peer.session.main.call()
    promise.done()
    peer.says(["reject", 1, thrown])
    with pytest.raises(RpcError, match="no error") as caught:
        promise.result()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "not JSON",
        "[NaN]",
        b"\xff\xfe",
        b'["push",\xff]',
        5,
        None,
        {},
        [],
        [[]],
        [5],
        [None],
        ["nothing"],
        ["__class__"],
        ["push"],
        ["pull"],
        ["pull", "1"],
        ["pull", 1.5],
        ["pull", True],
        ["pull", None],
        ["pull", 1],
        ["pull", -1],
        ["pull", 2**70],
        ["release"],
        ["release", 0],
        ["release", 0, 0],
        ["release", 0, -1],
        ["release", 0, 2],
        ["release", 0, "1"],
        ["release", 0, 1.0],
        ["release", 7, 1],
        ["release", [0], 1],
        ["resolve"],
        ["resolve", 1],
        ["resolve", "x", 1],
        ["resolve", 0, ["import", 0]],
        ["reject", 0, ["error", "Error", "x"]],
        ["resolve", 1, ["unknown"]],
        ["reject", 1],
        ["reject", 1, []],
        ["abort"],
        ["push", []],
        ["push", [1, 2]],
        ["push", ["unknown"]],
        ["push", ["__init__"]],
        ["push", ["import"]],
        ["push", ["import", 99]],
        ["push", ["import", "0"]],
        ["push", ["import", 0, "path"]],
        ["push", ["import", 0, [None]]],
        ["push", ["import", 0, [["x"]]]],
        ["push", ["import", 0, [True]]],
        ["push", ["pipeline", 0, ["echo"], "args"]],
        ["push", ["pipeline", 0, ["echo"], {}]],
        ["push", ["pipeline", 0, ["echo"], [1], 2]],
        ["push", ["pipeline", 1, ["echo"], []]],
        ["push", ["pipeline", -1]],
        ["push", ["export"]],
        ["push", ["export", "x"]],
        ["push", ["export", 5]],
        ["push", ["promise", 5]],
        ["push", ["promise", 0]],
        ["push", [[["promise", -1], ["promise", -1]]]],
        ["push", [[["export", -1], ["promise", -1]]]],
        ["push", ["error", "Error"]],
        ["push", ["bigint", "x"]],
        ["push", ["date", "x"]],
        ["push", ["bytes", 5]],
        ["push", ["bytes", "\u2028"]],
    ],
    ids=repr,
)
def test_a_message_against_the_protocol_ends_the_session_and_says_why(message: Any) -> None:
    peer = RawPeer(Api())
    promise = peer.session.main.call()
    peer.says(message)
    assert peer.session.closed
    assert peer.aborted
    assert peer.heard[-1][0] == "abort"
    assert peer.transport.closed is not None
    assert peer.transport.closed[0] == 3000
    with pytest.raises(SessionClosed):
        promise.result()
    heard = len(peer.heard)
    peer.says(["push", 1], "garbage", ["pull", 1])
    assert len(peer.heard) == heard


@pytest.mark.parametrize(
    "message",
    [
        ["resolve", 99, 5],
        ["resolve", -99, ["export", -5]],
        ["reject", 99, ["error", "Error", "x"]],
        ["push", 5, "surplus"],
        ["push", ["inf", 1]],
        ["push", {"toJSON": 1, "__proto__": ["undefined"]}],
        ["push", ["pipeline", 0]],
        ["push", ["import", 0]],
        ["push", ["pipeline", 0, [1e300, -1, 0.5, 2**70]]],
        ["push", ["pipeline", 0, []]],
        ["push", ["pipeline", 0, [], []]],
        ["push", ["pipeline", 0, [""], []]],
        ["push", ["pipeline", 0, ["echo", "\ud83d"], ["\ud83d"]]],
        ["pull", 0],
        ["push", ["error", "Error", "m", 5, {"cause": ["error", "x", "y"]}]],
    ],
    ids=repr,
)
def test_what_the_reference_lets_pass_passes(message: Any) -> None:
    peer = RawPeer(Api())
    peer.says(message, ["push", "still there"])
    assert peer.aborted is None
    assert not peer.session.closed


def test_the_main_object_may_be_released_and_is_gone_then() -> None:
    peer = RawPeer(Api())
    peer.says(["release", 0, 1])
    assert peer.session.stats()["exports"] == 0
    assert not peer.session.closed
    peer.says(["push", ["pipeline", 0, ["echo"], []]])
    assert peer.aborted == "no such entry on exports table: 0"


def test_a_capability_in_a_malformed_message_is_released() -> None:
    peer = RawPeer(Api())
    peer.says(["push", [[["export", -1], ["import", 0], ["promise", -2], ["unknown"]]]])
    assert peer.heard[:2] == [["release", -1, 1], ["release", -2, 1]]
    assert peer.session.stats() == {"imports": 0, "exports": 0}


def test_calls_in_a_message_that_is_malformed_further_on_are_counted_down() -> None:
    peer = RawPeer(Api())
    peer.says(["push", [[["pipeline", 0, ["echo"], [1]], ["unknown"]]]])
    assert peer.session.closed
    assert peer.session.calls.under_way == 0


def test_an_abort_of_the_peer_ends_the_session_with_its_reason() -> None:
    peer = RawPeer(Api())
    promise = peer.session.main.f()
    peer.says(["abort", ["error", "TypeError", "I am unwell \ud83d"]])
    assert peer.aborted is None  # an abort is not answered with one
    assert peer.transport.closed == (3000, "I am unwell \ud83d")
    with pytest.raises(SessionClosed, match="unwell"):
        promise.result()


def test_an_abort_may_carry_any_value() -> None:
    for reason in (5, None, ["undefined"], {"a": [["import", 0]]}, "text"):
        peer = RawPeer(Api())
        peer.says(["abort", reason])
        assert peer.session.closed


def test_an_abort_whose_reason_is_malformed_is_answered_with_one() -> None:
    peer = RawPeer(Api())
    peer.says(["abort", ["unknown"]])
    assert peer.aborted is not None


def test_an_offending_message_is_quoted_only_in_part() -> None:
    peer = RawPeer(Api())
    peer.says(["nothing", "x" * 1_000_000])
    assert peer.aborted is not None
    assert len(peer.aborted) < 300
    peer = RawPeer(Api())
    peer.says(["push", ["unknown", "\ud83d" * 1_000_000, 2**200]])
    assert peer.aborted is not None
    assert len(peer.aborted) < 300


def test_others_notice_nothing_of_a_session_that_ends() -> None:
    pair = Loopback(Api())
    for message in ("{", ["pull", 5], ["abort", 1]):
        RawPeer(Api(), beside=pair).says(message)
    assert pair.api.echo(1).result() == [1]


IDS = st.sampled_from([-3, -2, -1, 0, 1, 2, 3, 4, 99])
PATHS = st.lists(st.sampled_from(["echo", "call", "prop", "a", 0, 1, "__class__", ""]), max_size=3)
EXPRESSIONS = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(max_size=3),
        st.tuples(st.sampled_from(["export", "promise", "import", "pipeline"]), IDS).map(list),
        st.tuples(st.sampled_from(["import", "pipeline"]), IDS, PATHS).map(list),
        st.sampled_from(
            [
                ["undefined"],
                ["date", 1],
                ["bytes", "aaaa"],
                ["error", "Error", "x", None, {"cause": 1}],
                ["unknown"],
                ["readable", 1],
                ["writable", -2],
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: [items]),
        st.dictionaries(st.sampled_from(["a", "b", "toJSON"]), inner, max_size=2),
        st.tuples(
            st.sampled_from(["import", "pipeline"]), IDS, PATHS, st.lists(inner, max_size=2)
        ).map(list),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)
MESSAGES = st.one_of(
    st.tuples(st.sampled_from(["push", "stream"]), EXPRESSIONS).map(list),
    st.just(["pipe"]),
    st.tuples(st.just("pull"), IDS).map(list),
    st.tuples(st.sampled_from(["resolve", "reject"]), IDS, EXPRESSIONS).map(list),
    st.tuples(st.just("release"), IDS, st.integers(0, 2)).map(list),
    st.tuples(
        st.just("push"),
        st.tuples(
            st.just("remap"),
            IDS,
            PATHS,
            st.lists(st.tuples(st.sampled_from(["import", "export"]), IDS).map(list), max_size=2),
            st.lists(EXPRESSIONS, max_size=2),
        ).map(list),
    ).map(list),
)


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.lists(MESSAGES, max_size=25), st.integers())
def test_whatever_a_peer_says_no_message_raises_and_the_end_leaves_nothing(
    messages: list[Any], seed: int
) -> None:
    """Random conversations of a peer that knows the protocol and has no manners."""
    disposals: list[int] = []

    class Counted(Api):
        def _on_dispose(self) -> None:
            disposals.append(1)

    rng = random.Random(seed)
    peer = RawPeer(Counted(), limits=Limits(max_calls=8, max_memory=40_000))
    own = peer.session.main.f(lambda value: value)
    ours: list[Callable[[], Any]] = [
        peer.runtime.pump,
        own.x.done,
        lambda: own.y(own, [own.x]),
        lambda: own.dup().on_broken(lambda error: None),
        lambda: own.add_done_callback(lambda promise: promise.exception()),
    ]
    for message in messages:
        peer.session.receive(json.dumps(message))
        if rng.random() < 0.5:
            with contextlib.suppress(RpcError):
                rng.choice(ours)()
    peer.runtime.pump()
    assert 0 <= peer.session.calls.under_way <= 8
    peer.session.connection_lost(1006, "")
    peer.runtime.pump()
    assert peer.session.stats() == {"imports": 0, "exports": 0}
    assert own.exception() is not None or own.done()
    assert peer.session.calls.under_way == 0
    assert disposals == [1]
