"""Every exception of ours can be copied, and goes to another process and back, with all it says.

What a worker process raises arrives in its parent by pickle. One that cannot be made again there
ends a whole `ProcessPoolExecutor`; that of a task queue is lost.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import capnweb_sync
import chatclient
import chatserver.errors
from capnweb_sync import ConnectError, RemoteError, RpcError, SessionClosed, connect
from tests.processes import DEADLINE, free_port

PROGRAMS = ("__main__", "gunicorn_conf", "worker")
"""Modules that are not for importing here: they start something, or need gunicorn."""

ABSTRACT = chatserver.errors.ChatError
"""Only its kinds are raised: it has no code."""


def exception_classes() -> Iterator[type[Exception]]:
    """The public exceptions of all modules of ours."""
    for package in (capnweb_sync, chatserver, chatclient):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.rpartition(".")[2] in PROGRAMS:
                continue
            for name, cls in inspect.getmembers(
                importlib.import_module(info.name), inspect.isclass
            ):
                public = cls.__module__ == info.name and not name.startswith("_")
                if public and issubclass(cls, Exception) and cls is not ABSTRACT:
                    yield cls


def example(cls: type[Exception]) -> Exception:
    """An instance, with something for each parameter."""
    if not inspect.isfunction(cls.__init__):
        return cls("a sentence")  # Python's own, which takes anything
    args: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in inspect.signature(cls).parameters.values():
        kind = str(parameter.annotation)
        value: Any = f"the {parameter.name}"
        if kind.startswith(("int", "<class 'int'>")):
            value = 404  # also a status of HTTP, where one is wanted
        elif kind.startswith(("float", "<class 'float'>")):
            value = 1.5
        elif kind.startswith(("bool", "<class 'bool'>")):
            value = True
        elif "Mapping" in kind:
            value = {"code": "some_code", "retryAfter": 2.5, "cause": RemoteError("why")}
        elif "Headers" in kind:
            value = [("A", "b")]
        if parameter.kind is parameter.VAR_KEYWORD:
            if issubclass(cls, SessionClosed):
                named |= {"close_code": 4001, "reason": "the reason"}
            else:
                named |= {"retryAfter": 2.5, "detail": [1, capnweb_sync.undefined]}
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            args.append(value)
    return cls(*args, **named)


def facts(error: BaseException | None) -> Any:
    """What an error says, and what caused it."""
    if error is None:
        return None
    attributes = {
        name: facts(value) if isinstance(value, BaseException) else value
        for name, value in vars(error).items()
    }
    if "cause" in attributes.get("properties", {}):
        cause = attributes["properties"]["cause"]
        attributes["properties"] = {**attributes["properties"], "cause": facts(cause)}
    code = getattr(error, "code", None)
    return type(error), str(error), error.args, code, attributes, facts(error.__cause__)


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


WAYS = [copy.copy, copy.deepcopy, pickled]


@pytest.mark.parametrize("again", WAYS)
@pytest.mark.parametrize(
    "cls", list(exception_classes()), ids=lambda cls: f"{cls.__module__}.{cls.__name__}"
)
def test_an_exception_comes_back_as_it_was(
    cls: type[Exception], again: Callable[[Exception], Exception]
) -> None:
    error = example(cls)
    assert again(error) is not error
    assert facts(again(error)) == facts(error)
    assert facts(again(again(error))) == facts(error)


@pytest.mark.parametrize("again", WAYS)
def test_the_cause_comes_along(again: Callable[[Exception], Exception]) -> None:
    error = RpcError("m", code="c")
    error.__cause__ = RpcError("its cause")
    error.__cause__.__cause__ = KeyError("the first of all")
    assert facts(again(error)) == facts(error)


class Demanding(Exception):
    """What another package has: it can be pickled, and then not be made again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


@pytest.mark.parametrize("again", WAYS)
def test_a_cause_that_would_take_the_error_down_with_it_is_left(
    again: Callable[[Exception], Exception],
) -> None:
    error = RpcError("m", code="c")
    error.__cause__ = Demanding(1, 2)
    twin = again(error)
    assert (str(twin), twin.__cause__) == ("m", None)


class NoSuchRoom(RpcError):
    """An application's own, whose parameters are not those of its base."""

    def __init__(self, room: str, number: int) -> None:
        super().__init__(f"There is no {room}.", code="no_such_room", number=number)
        self.room = room


@pytest.mark.parametrize("again", WAYS)
def test_an_error_class_of_an_application_needs_nothing_for_that(
    again: Callable[[Exception], Exception],
) -> None:
    error = NoSuchRoom("kitchen", 3)
    assert facts(again(error)) == facts(error)


def connect_to_nobody(port: int) -> None:
    connect(f"ws://127.0.0.1:{port}/", timeout=DEADLINE)


def test_an_error_of_connecting_arrives_from_a_process_pool() -> None:
    port = free_port()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.raises(ConnectError, match="refused") as raised:
            pool.submit(connect_to_nobody, port).result(DEADLINE)
        assert raised.value.url == f"ws://127.0.0.1:{port}/"
        assert pool.submit(abs, -1).result(DEADLINE) == 1
