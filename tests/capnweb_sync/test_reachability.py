"""What a peer can reach: the public methods and properties of classes made for it, nothing else."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from capnweb_sync import RemoteError, RemoteTypeError, RpcStub, RpcTarget, undefined

from .loopback import EMPTY, Loopback, RawPeer

SECRET = "module secret"


class Base(RpcTarget):
    def inherited(self) -> str:
        return "inherited"

    def hidden(self) -> str:
        return "hidden"


class Api(Base):
    constant = "constant"
    hidden = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.attribute = "attribute"
        self.overridden = lambda: "the attribute"  # type: ignore[method-assign]
        self.reads = 0

    def method(self) -> str:
        return "method"

    def overridden(self) -> str:
        return "the method"

    def _protected(self) -> str:
        return SECRET

    def __private(self) -> str:
        return SECRET

    def __call__(self) -> str:
        return SECRET

    @property
    def prop(self) -> dict[str, Any]:
        self.reads += 1
        return {"text": "x{0.__class__}", "list": [1, {"deep": True}], "tuple": (7, 8)}

    @functools.cached_property
    def cached(self) -> str:
        return "cached"

    @property
    def function(self) -> Callable[[], str]:
        return lambda: SECRET

    @property
    def myself(self) -> "Api":
        return self

    @property
    def broken(self) -> str:
        raise ValueError(SECRET)

    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> str:
        return cls.__name__

    class Inner:
        pass

    def _on_dispose(self) -> None:
        raise AssertionError("called by a peer")


def read(*path: str | int) -> Any:
    """What a look at `path` of an `Api` gives."""
    pair = Loopback(Api())
    promise = pair.api
    for part in path:
        promise = promise[part]
    return promise.result()


@pytest.mark.parametrize("name", ["method", "inherited", "static"])
def test_public_methods_can_be_called(name: str) -> None:
    assert Loopback(Api()).api[name]().result() == name


def test_a_class_method_can_be_called() -> None:
    assert Loopback(Api()).api.of_class().result() == "Api"


def test_properties_can_be_read_and_their_plain_values_walked() -> None:
    assert read("prop", "list", 1, "deep") is True
    assert read("prop", "tuple", 1) == 8
    assert read("cached") == "cached"
    assert read("myself", "myself", "prop", "list", 0) == 1


def test_a_cached_property_can_be_read_again() -> None:
    pair = Loopback(Api())
    assert [pair.api.cached.result() for _ in range(2)] == ["cached", "cached"]


@pytest.mark.parametrize(
    "name",
    [
        "constant",
        "hidden",
        "Inner",
        "_protected",
        "_Api__private",
        "_on_dispose",
        "__init__",
        "__class__",
        "__dict__",
        "__doc__",
        "__call__",
        "__reduce__",
        "__weakref__",
        "nothing",
        "",
        0,
        1.5,
    ],
)
def test_everything_else_is_undefined(name: Any) -> None:
    peer = RawPeer(Api())
    peer.says(["push", ["pipeline", 0, [name]]], ["pull", 1])
    peer.says(["push", ["pipeline", 0, [name], []]], ["pull", 2])
    assert ["resolve", 1, ["undefined"]] in peer.heard
    (reject,) = [message for message in peer.heard if message[:2] == ["reject", 2]]
    assert reject[2][1] == "TypeError"


@pytest.mark.parametrize("name", ["attribute", "overridden", "reads"])
def test_an_instance_attribute_is_refused_even_where_it_hides_a_method(name: str) -> None:
    with pytest.raises(RemoteTypeError, match=name):
        read(name)
    with pytest.raises(RemoteTypeError, match=name):
        Loopback(Api()).api[name]().result()


@pytest.mark.parametrize(
    "path",
    [
        ("method", "__globals__"),
        ("method", "__func__"),
        ("method", "__self__"),
        ("function", "__globals__"),
        ("function", "__code__"),
        ("prop", "__class__"),
        ("prop", "keys"),
        ("prop", "text", "format"),
        ("prop", "text", 0),
        ("prop", "list", "append"),
        ("prop", "list", -1),
        ("prop", "list", "0"),
        ("prop", "list", 2),
        ("prop", "tuple", "count"),
    ],
)
def test_attributes_of_functions_and_plain_values_are_undefined(path: tuple[Any, ...]) -> None:
    assert read(*path) is undefined


def test_a_property_of_undefined_is_a_type_error_as_in_javascript() -> None:
    with pytest.raises(RemoteTypeError, match="undefined"):
        read("nothing", "more")


def test_an_object_passed_by_reference_cannot_be_called_itself() -> None:
    with pytest.raises(RemoteTypeError, match="not a function"):
        Loopback(Api()).api().result()


def test_a_read_method_is_a_function_to_call() -> None:
    pair = Loopback(Api())
    assert pair.api.method.result()().result() == "method"


def test_an_exported_function_can_be_called_and_nothing_else() -> None:
    def function() -> str:
        return "called"

    function.attribute = SECRET  # type: ignore[attr-defined]
    pair = Loopback(function)
    assert pair.api().result() == "called"
    assert pair.api.attribute.result() is undefined
    with pytest.raises(RemoteTypeError):
        pair.api.__getattr__("attribute")().result()


def test_a_format_string_of_the_peer_is_only_text() -> None:
    class Greeter(RpcTarget):
        def greet(self, name: str) -> str:
            return f"Hello, {name}!"

    attack = "{0.__class__.__init__.__globals__} %s %(x)s"
    assert Loopback(Greeter()).api.greet(attack).result() == f"Hello, {attack}!"
    with pytest.raises(RemoteError, match="Internal error"):
        read("broken")


def test_a_main_dict_shows_its_entries() -> None:
    pair = Loopback({"add": lambda a, b: a + b, "version": 3, "inner": {"f": lambda: "deep"}})
    assert pair.api.add(1, 2).result() == 3
    assert pair.api.version.result() == 3
    assert pair.api.inner.f().result() == "deep"
    assert pair.api["keys"].result() is undefined


def test_without_a_main_object_every_call_says_so() -> None:
    with pytest.raises(RemoteError, match="no main object"):
        Loopback().api.anything().result()


def test_a_stub_held_in_a_property_is_reached_through() -> None:
    class Holder(RpcTarget):
        def __init__(self) -> None:
            self._stub = RpcStub(Api())

        @property
        def api(self) -> RpcStub:
            return self._stub

    pair = Loopback(Holder())
    assert pair.api.api.method().result() == "method"
    assert pair.api.api.prop.list[0].result() == 1
    assert pair.tables() == EMPTY


def test_reading_a_property_happens_once_for_each_look() -> None:
    api = Api()
    pair = Loopback(api)
    look = pair.api.prop
    assert api.reads == 0
    look.result()
    look.result()
    assert api.reads == 1


def test_what_comes_from_a_base_that_was_not_made_for_peers_is_undefined() -> None:
    class Worker:
        def start(self) -> str:
            return SECRET

        def ping(self) -> str:
            return SECRET

    class Pingable(RpcTarget):
        def ping(self) -> str:
            return "pong"

    class Mixed(Worker, Pingable):
        pass

    class Ordered(Pingable, Worker):
        pass

    assert Loopback(Mixed()).api.start.result() is undefined
    assert Loopback(Mixed()).api.ping.result() is undefined
    assert Loopback(Ordered()).api.ping().result() == "pong"
