"""Arguments are checked against the method's annotations before its body runs."""

import functools
import gc
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, Optional, Protocol

import msgspec
import pytest

from capnweb_sync import (
    BigInt,
    RemoteError,
    RemoteTypeError,
    RpcPromise,
    RpcStub,
    RpcTarget,
    undefined,
)
from capnweb_sync.core import arguments
from capnweb_sync.errors import RpcTypeError

from .loopback import Loopback, RawPeer


class Named(RpcTarget):
    def name(self) -> str:
        return "named"


class Ears(Protocol):
    def hear(self, text: str) -> RpcPromise[int]: ...


class Hearing(RpcTarget):
    def hear(self, text: str) -> int:
        return len(text)


class Api(RpcTarget):
    def text(self, text: str) -> str:
        return text

    def number(self, number: int) -> int:
        return number

    def real(self, number: float) -> float:
        return number

    def flag(self, flag: bool) -> bool:
        return flag

    def data(self, data: bytes) -> bytes:
        return data

    def names(self, names: list[str]) -> list[str]:
        return names

    def table(self, table: dict[str, int]) -> dict[str, int]:
        return table

    def mapping(self, table: Mapping[str, Any]) -> Any:
        return dict(table)

    def sequence(self, items: Sequence[Any]) -> Any:
        return list(items)

    def moment(self, moment: datetime) -> datetime:
        return moment

    def choice(self, choice: Literal["a", "b"]) -> str:
        return choice

    def maybe(self, text: str | None = None, *, count: int = 1) -> Any:
        return [text, count]

    def old_maybe(self, text: Optional[int] = 5) -> Any:  # noqa: UP045
        return text

    def either(self, value: int | str) -> Any:
        return value

    def callback(self, function: Callable[[int], int]) -> Any:
        return function(20)

    def target(self, target: Named) -> Any:
        return target.name()

    def promising(self, function: Callable[[int], RpcPromise[int]]) -> int:
        return function(20).result() + 1

    def tell(self, ears: Ears | None) -> int | None:
        return None if ears is None else ears.hear("psst").result()

    def tell_all(self, ears: list[Ears], named: dict[str, Named | None]) -> list[Any]:
        return [*(one.hear("hey").result() for one in ears), *named]

    def stub(self, stub: RpcStub | None = None) -> str:
        return "none" if stub is None else "stub"

    def stubs(self, stubs: list[RpcStub]) -> int:
        return len(stubs)

    def few(
        self,
        number: Annotated[int, msgspec.Meta(ge=1, le=3)],
        names: list[Annotated[str, msgspec.Meta(max_length=3)]] | None = None,
    ) -> int:
        return number + len(names or ())

    def noted(self, ears: Annotated[Ears, "who hears"], text: Annotated[str, "a note"]) -> int:
        return ears.hear(text).result()

    def rest(self, first: int, *others: int) -> Any:
        return [first, list(others)]

    def bare(self, value) -> Any:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return [value is undefined, value]

    def anything(self, value: Any = "default", other: object = None) -> Any:
        return [value, other]

    def positional(self, value: int, /) -> int:
        return value


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("text", "x"),
        ("number", 3),
        ("number", BigInt(2**70)),
        ("real", 3),
        ("real", 3.5),
        ("flag", False),
        ("data", b"x"),
        ("names", []),
        ("names", ["a", "b"]),
        ("table", {"a": 1}),
        ("mapping", {"a": [1]}),
        ("sequence", [1, "a"]),
        ("moment", datetime(2024, 1, 1, tzinfo=timezone.utc)),
        ("choice", "b"),
        ("old_maybe", None),
        ("either", 1),
        ("either", "one"),
        ("positional", 1),
    ],
)
def test_a_value_of_the_right_type_reaches_the_method(method: str, value: Any) -> None:
    assert Loopback(Api()).api[method](value).result() == value


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("text", 1),
        ("text", None),
        ("text", b"x"),
        ("text", ["x"]),
        ("number", "1"),
        ("number", True),
        ("number", 1.5),
        ("number", None),
        ("number", "\ud83d"),
        ("real", "1"),
        ("real", True),
        ("flag", 1),
        ("flag", "true"),
        ("data", "x"),
        ("names", "ab"),
        ("names", ["a", 1]),
        ("names", {"a": 1}),
        ("table", {"a": "1"}),
        ("table", ["a"]),
        ("mapping", [1]),
        ("moment", 5),
        ("moment", "2024-01-01T00:00:00Z"),
        ("choice", "c"),
        ("choice", "\ud83d"),
        ("maybe", 5),
        ("old_maybe", "5"),
        ("either", None),
        ("either", 1.5),
        ("callback", {"onMessage": 1}),
        ("callback", "function"),
        ("callback", None),
        ("target", {}),
        ("stub", 1),
        ("stubs", [1]),
        ("positional", "1"),
    ],
)
def test_a_wrong_type_is_a_type_error_that_names_the_argument(method: str, value: Any) -> None:
    parameter = {
        "text": "text",
        "number": "number",
        "flag": "flag",
        "data": "data",
        "real": "number",
        "table": "table",
        "mapping": "table",
        "names": "names",
        "moment": "moment",
        "choice": "choice",
        "maybe": "text",
        "old_maybe": "text",
        "either": "value",
        "callback": "function",
        "target": "target",
        "stub": "stub",
        "stubs": "stubs",
        "positional": "value",
    }[method]
    pair = Loopback(Api())
    with pytest.raises(RemoteTypeError, match=f"{method}: the argument '{parameter}'") as caught:
        pair.api[method](value).result()
    assert "isinstance" not in str(caught.value)  # a sentence, not how it was found out
    assert pair.api.text("goes on").result() == "goes on"


@pytest.mark.parametrize("values", [(0,), (4,), (1, ["four"])])
def test_bounds_in_an_annotation_are_looked_at(values: tuple[Any, ...]) -> None:
    api = Loopback(Api()).api

    with pytest.raises(RemoteTypeError, match=r"few: the argument '(number|names)'.*Expected"):
        api.few(*values).result()

    assert api.few(3, ["one"]).result() == 4


def test_notes_in_an_annotation_change_nothing() -> None:
    assert Loopback(Api()).api.noted(Hearing(), "psst").result() == 4


@pytest.mark.parametrize("method", ["text", "number", "bare", "rest", "callback", "positional"])
def test_a_missing_argument_is_a_type_error_that_names_it(method: str) -> None:
    with pytest.raises(RemoteTypeError, match=f"{method}: the argument '.+' is missing"):
        Loopback(Api()).api[method]().result()


@pytest.mark.parametrize("method", ["text", "number", "rest", "callback"])
def test_undefined_is_a_missing_argument(method: str) -> None:
    with pytest.raises(RemoteTypeError, match="is missing"):
        Loopback(Api()).api[method](undefined).result()


def test_undefined_takes_the_default() -> None:
    api = Loopback(Api()).api
    assert api.maybe(undefined).result() == [None, 1]
    assert api.old_maybe(undefined).result() == 5
    assert api.anything(undefined, 2).result() == ["default", 2]
    assert api.stub(undefined).result() == "none"


def test_undefined_reaches_a_parameter_that_takes_anything() -> None:
    assert Loopback(Api()).api.bare(undefined).result() == [True, undefined]


def test_surplus_arguments_are_ignored() -> None:
    api = Loopback(Api()).api
    assert api.text("x", 1, {"newer": True}).result() == "x"
    assert api.maybe("x", 9).result() == ["x", 1]


def test_each_of_the_rest_is_checked() -> None:
    api = Loopback(Api()).api
    assert api.rest(1, 2, 3).result() == [1, [2, 3]]
    with pytest.raises(RemoteTypeError, match="'others'"):
        api.rest(1, 2, "3").result()


def test_a_function_and_an_object_arrive_as_stubs() -> None:
    pair = Loopback(Api())
    assert pair.api.callback(lambda x: x + 1).result() == 21
    assert pair.api.target(Named()).result() == "named"
    assert pair.api.stub(Named()).result() == "stub"
    assert pair.api.stubs([Named(), lambda: None]).result() == 2


def test_a_callback_may_be_annotated_with_what_its_calls_give() -> None:
    pair = Loopback(Api())
    assert pair.api.promising(lambda x: x + 1).result() == 22
    assert pair.api.tell(Hearing()).result() == 4
    assert pair.api.tell(None).result() is None
    named = {"a": Named(), "b": None}
    assert pair.api.tell_all([Hearing(), Hearing()], named).result() == [3, 3, "a", "b"]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("promising", [5]), ("tell", [{"hear": 1}]), ("tell_all", [[5], {}])],
)
def test_what_is_no_callback_is_a_type_error(method: str, arguments: list[Any]) -> None:
    with pytest.raises(RemoteTypeError, match=r"of the wrong type: [Ee]xpected") as caught:
        Loopback(Api()).api[method](*arguments).result()
    assert caught.value.code == "bad_request"


def test_a_plain_object_with_a_function_arrives_as_a_dict_with_a_stub() -> None:
    class Join(RpcTarget):
        def join(self, callback: RpcStub | dict[str, Any]) -> str:
            assert isinstance(callback, dict)
            return type(callback["onMessage"]).__name__

    assert Loopback(Join()).api.join({"onMessage": print}).result() == "RpcStub"


def test_functions_of_every_kind_are_checked() -> None:
    def twice(number: int, factor: int = 2) -> int:
        return number * factor

    for function in (twice, functools.partial(twice, factor=2), Api().number):
        pair = Loopback(function)
        assert pair.api(4).result() in (4, 8)
        with pytest.raises(RemoteTypeError, match="'number'"):
            pair.api("4").result()


def test_a_built_in_function_checks_for_itself() -> None:
    pair = Loopback({"length": len, "join": "-".join})
    assert pair.api.length("abc").result() == 3
    assert pair.api.join(["a", "b"]).result() == "a-b"
    with pytest.raises(RemoteError):
        pair.api.length(5).result()


def test_the_body_does_not_run_when_an_argument_is_wrong() -> None:
    ran: list[object] = []

    def function(number: int) -> None:
        ran.append(number)

    with pytest.raises(RemoteTypeError):
        Loopback(function).api("x").result()
    assert ran == []


def test_what_the_peer_sent_does_not_flood_the_error_message() -> None:
    peer = RawPeer(Api())
    peer.says(["push", ["pipeline", 0, ["number"], ["x" * 1_000_000]]], ["pull", 1])
    assert len(json.dumps(peer.heard[-1])) < 1_000


def test_a_mutable_default_is_not_what_the_peer_can_change() -> None:
    class Keeper(RpcTarget):
        def options(self, options: dict[str, Any] | None = None) -> Any:
            return options

    api = Loopback(Keeper()).api
    assert api.options(None).result() is None
    assert api.options({"a": 1}).result() == {"a": 1}


def test_what_is_known_of_a_method_ends_with_it() -> None:
    def check(annotation: type, right: Any) -> None:
        class Passing(RpcTarget):
            def method(self, value: Any) -> None:
                pass

            method.__annotations__["value"] = annotation

        parameters = arguments.parameters_of(Passing().method)
        assert list(parameters.bind([right])) == [right]
        with pytest.raises(RpcTypeError):
            parameters.bind([None])

    gc.collect()
    before = len(arguments._bound)
    for _ in range(50):
        check(int, 1)
        check(str, "text")
        gc.collect()
    assert len(arguments._bound) <= before
