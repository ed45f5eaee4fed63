"""With an API, stubs know what their methods return, and results are what they are annotated as."""

from __future__ import annotations

import rlcompleter
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import date
from types import ModuleType
from typing import Any, Protocol

import pytest

from capnweb_sync import (
    ReadableStream,
    RemoteTypeError,
    RpcPromise,
    RpcStub,
    RpcTarget,
    TypedPromise,
    undefined,
)
from capnweb_sync.testing import Pair, pair
from capnweb_sync.typed.results import converted
from tests.capnweb_sync.typed.bank import Bank, Entry, Kind, Limit
from tests.processes import DEADLINE


@pytest.fixture
def both(bank_api: ModuleType) -> Iterator[Pair[Any]]:
    with pair(Bank, api=bank_api.BankApi) as both:
        yield both


@pytest.fixture
def bank(both: Pair[Any]) -> Any:
    return both.main


def test_a_stub_is_one_of_its_api(bank: Any, bank_api: ModuleType) -> None:
    assert isinstance(bank, bank_api.BankApi)
    assert isinstance(bank, RpcStub)
    assert not isinstance(bank, bank_api.AccountApi)
    assert isinstance(bank.open("Ada").result(), bank_api.AccountApi)


def test_dataclasses_enumerations_and_dates_go_there_and_back(bank: Any) -> None:
    account = bank.open("Ada")
    entry = Entry(3, Kind.CHEQUE, date(2026, 1, 2))

    assert account.put(entry).result() == entry
    assert account.entries(Kind.CHEQUE).result() == [entry]
    assert account.entries(Kind.CASH).result() == []
    assert bank.limit(Limit(7)).result() == Limit(7)


def test_calls_are_pipelined_as_ever(bank: Any) -> None:
    assert bank.open(bank.open("Ada").owner).owner.result() == "Ada"


def test_what_was_left_out_is_the_servers_default(bank: Any) -> None:
    bank.open("Ada").put(Entry(1)).result()

    assert bank.open("Ada").first().result() == Entry(1)


def test_stubs_within_results_know_their_api(bank: Any) -> None:
    assert [account.owner.result() for account in bank.all().result()] == ["Ada", "Grace"]
    assert bank.find("Nobody").result() is None
    account, length = bank.by_name().result()["Grace"]
    assert (account.put(Entry(1)).result(), length) == (Entry(1), 5)


def test_a_name_of_the_promises_own_is_reached_with_brackets(bank: Any) -> None:
    assert bank.open("Ada")["done"](3).result() == 3
    assert bank.open("Ada").result().done(3).result() == 3
    assert bank.open("Ada")["result"](1, 2, 3).result() == 6


def test_callbacks_get_and_return_what_is_annotated(bank: Any) -> None:
    heard: list[Any] = []

    class Mine(RpcTarget):
        def onEntry(self, entry: Entry, account: Any) -> None:
            heard.extend([entry, account.owner.result()])

        def mayGo(self) -> bool:
            return True

    assert bank.every(lambda n: n + 1, 3).result() == 6
    assert bank.listen(Mine()).result() is True
    assert heard == [Entry(5, Kind.CHEQUE), "Ada"]


def test_a_callback_may_answer_later(bank: Any) -> None:
    futures: list[Future[int]] = [Future(), Future()]
    promise = bank.every(futures.__getitem__)

    futures[0].set_result(20)
    futures[1].set_result(1)

    assert promise.result(DEADLINE) == 21


def test_a_function_gets_what_the_api_says(bank: Any, bank_api: ModuleType) -> None:
    heard: list[Any] = []
    bank.open("Ada").put(Entry(3, Kind.CHEQUE))

    bank.open("Ada").each(lambda *arguments: heard.append(arguments)).result()

    ((entry, account),) = heard
    assert entry == Entry(3, Kind.CHEQUE)
    assert isinstance(account, bank_api.AccountApi)


def test_a_function_that_gets_something_else_is_not_called(bank: Any) -> None:
    heard: list[int] = []
    with pytest.raises(RemoteTypeError, match=r"What a callback got .* Expected `int`, got `str`"):
        bank.badly(heard.append).result()
    assert heard == []


def test_a_parameter_of_a_callback_object_may_be_annotated_with_an_api(
    bank: Any, bank_api: ModuleType
) -> None:
    heard: list[Any] = []

    class Mine(RpcTarget):
        def onEntry(self, entry: Entry, account: object) -> None:
            heard.append(account)

        def mayGo(self) -> bool:
            return isinstance(heard[0], bank_api.AccountApi)

    Mine.onEntry.__annotations__["account"] = bank_api.AccountApi | None

    assert bank.listen(Mine()).result() is True


def test_streams_pass(bank: Any) -> None:
    numbers = bank.numbers(3).result()

    assert isinstance(numbers, ReadableStream)
    assert list(numbers) == [0, 1, 2]
    assert bank.total(iter([1, 2])).result() == 3


def test_a_stub_with_an_api_is_an_argument_and_can_be_kept(bank: Any, both: Pair[Any]) -> None:
    with bank.open("Ada").result() as account, account.dup() as kept:
        assert bank.open("Grace").move(account).result() == "Ada"
        assert kept.put(Entry(1)).result() == Entry(1)
        del account, kept
    both.settle()
    assert both.client.stats() == {"imports": 1, "exports": 1}


def test_a_result_of_another_type_is_a_type_error_with_the_place(bank: Any) -> None:
    promise = bank.wrong()

    with pytest.raises(TypeError, match=r"Expected `int`, got `str` - at `\$\[1\]\.amount`\."):
        promise.result()

    assert isinstance(promise.exception(), TypeError)
    assert bank.limit(5).exception() is not None
    assert bank.later("a").exception() is None


def test_a_future_for_a_result_gives_it_converted(bank: Any) -> None:
    assert bank.open("Ada").put(Entry(1)).future().result(DEADLINE) == Entry(1)
    with pytest.raises(TypeError, match=r"at `\$\[1\]\.amount`\."):
        bank.wrong().future().result(DEADLINE)


def test_the_same_result_is_given_each_time(bank: Any) -> None:
    promise = bank.open("Ada")

    assert promise.result() is promise.result()


def test_without_checking_results_are_left_as_they_come(bank_api: ModuleType) -> None:
    with pair(Bank, api=bank_api.BankApi, check=False) as both:
        main: Any = both.main

        assert main.wrong().result()[1] == {"amount": "two"}
        assert main.open("Ada").put(Entry(1)).result() == {
            "amount": 1,
            "kind": "cash",
            "day": None,
        }


def test_completion_knows_the_methods(bank: Any) -> None:
    assert {"open", "find", "dispose"} <= set(dir(bank))
    names = dir(bank.open("Ada"))
    assert {"owner", "put", "result"} <= set(names)
    assert len(names) == len(set(names))


def test_tab_in_pythons_own_shell_offers_the_methods_and_asks_the_peer_nothing(
    bank_api: ModuleType,
) -> None:
    with pair(Bank, api=bank_api.BankApi) as both:
        shell = rlcompleter.Completer({"bank": both.main})

        offered = [shell.complete("bank.o", number) for number in range(3)]

        assert offered == ["bank.on_broken(", "bank.open(", None]
        assert both.client.stats() == {"imports": 1, "exports": 1}


def test_a_typed_stub_names_its_api(bank: Any) -> None:
    place = "of pair://this-process"
    assert repr(bank) == f"<RpcStub of BankApi: main object {place}>"
    assert repr(bank.open("Ada")).startswith("<RpcPromise of AccountApi: open(), import 1 of ")


def test_what_the_api_does_not_know_is_untyped(bank: Any) -> None:
    assert type(bank.something) is RpcPromise
    assert bank.anything({"a": [1]}).a[0].result() == 1


class AccountLike(Protocol):
    @property
    def owner(self) -> TypedPromise[str]: ...

    def put(self, entry: Entry, /) -> TypedPromise[Entry]: ...


class BankLike(Protocol):
    def open(self, owner: str, /) -> TypedPromise[AccountLike]: ...

    def find(self, owner: str, /) -> TypedPromise[AccountLike | None]: ...

    def later(self, text: str, /) -> RpcPromise[int]: ...


def test_protocols_written_by_hand_are_apis_too() -> None:
    with pair(Bank, api=BankLike) as both:
        assert both.main.open("Ada").result().owner.result() == "Ada"
        found = both.main.find("Ada").result()
        assert found is not None
        assert found.put(Entry(1)).result() == Entry(1)
        assert both.main.find("Nobody").result() is None
        with pytest.raises(TypeError, match="Expected `int`, got `str`"):
            both.main.later("a").result()


def test_an_api_is_a_class() -> None:
    with pair(Bank, api=lambda: 1) as both, pytest.raises(TypeError, match="is a class"):
        both.main.bit_length()


@pytest.mark.parametrize(
    ("value", "annotation", "sentence"),
    [
        (1, AccountLike, r"Expected `AccountLike`, got `int` - at `\$`"),
        ([1], list[AccountLike], r"Expected `AccountLike`, got `int` - at `\$\[0\]`"),
        (1, list[AccountLike], "Expected `list`, got `int`"),
        ({"a": [1]}, dict[str, list[AccountLike]], r"at `\$\['a'\]\[0\]`"),
        ([1, 2], tuple[AccountLike], "Expected `tuple`, got `list`"),
        ("x", AccountLike | int, r"Expected `int`, got `str`"),
        (1, AccountLike | None, r"Expected `None`|Expected `null`, got `int`"),
        ([{"amount": "x"}], tuple[Entry, ...], r"at `\$\[0\]\.amount`"),
    ],
)
def test_a_mismatch_tells_where_it_is(value: Any, annotation: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        converted(value, annotation, lambda stub, api: stub)


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (undefined, None, None),
        (undefined, int | None, None),
        (3, float, 3.0),
        (["a", 1], tuple[str, int], ("a", 1)),
        (b"x", bytes, b"x"),
        ("cash", Kind, Kind.CASH),
        ({"a": undefined}, Any, {"a": undefined}),
        ([], list[AccountLike], []),
    ],
)
def test_a_result_becomes_what_is_annotated(value: Any, annotation: Any, result: Any) -> None:
    assert converted(value, annotation, lambda stub, api: stub) == result
