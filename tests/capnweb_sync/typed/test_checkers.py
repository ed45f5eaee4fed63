"""What type checkers make of a typed API: right programs pass, and what is wrong is found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import REPOSITORY

RIGHT = """
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from bank_api import AccountApi, AccountApiPromise, BankApi
from typing_extensions import assert_type

from capnweb_sync import (
    ClientSession, ReadableStream, RpcPromise, RpcStub, RpcTarget, TypedPromise, batch, connect,
)
from capnweb_sync.testing import pair
from tests.capnweb_sync.typed.bank import Bank, Entry, Kind, Limit

session = connect("ws://", api=BankApi)
assert_type(session, ClientSession[BankApi])
bank = session.main
assert_type(bank, BankApi)
assert_type(bank.open("Ada"), AccountApiPromise)
assert_type(bank.open("Ada").owner.result(), str)
assert_type(bank.open(bank.open("Ada").owner).result(), AccountApi)
assert_type(bank.open("Ada").put(Entry(1)).result(), Entry)
assert_type(bank.open("Ada").entries().result(), list[Entry])
assert_type(bank.open("Ada").entries(Kind.CASH).result(3), list[Entry])
assert_type(bank.open("Ada").result().done(3).result(), int)
assert_type(bank.open("Ada")["done"](3).result(), int)
assert_type(bank.open("Ada")["result"](1, 2, 3).result(), int)
assert_type(bank.open("Ada").dup(), AccountApi)
assert_type(bank.open("Ada").entries().future(), Future[list[Entry]])
assert_type(bank.open("Ada").future(), Future[AccountApi])
take_back: Callable[[], None] = bank.on_broken(print)
with bank.open("Ada") as promise, promise.result() as account:
    assert_type(account, AccountApi)
    bank.open("Grace").move(account)
    bank.open("Grace").move(promise)
assert_type(bank.find("Ada").result(), AccountApi | None)
assert_type(bank.all().result(), list[AccountApi])
assert_type(bank.by_name().result(), dict[str, tuple[AccountApi, int]])
assert_type(bank.later("a").result(), str)
assert_type(bank.limit(Limit(1)).result(), Limit)
assert_type(bank.numbers(3).result(), ReadableStream)
bank.total(iter([1]))
bank.total(bank.numbers(3).result())
bank.total(bank.numbers(3))
assert_type(bank.mood("good").result(), None)
assert_type(bank.version().result(), str)
bank.anything(lambda: 1).whatever[0].result()

def later(n: int) -> Future[int]:
    return Future()

bank.every(lambda n: n + 1, 3)
bank.every(later)

class Mine(RpcTarget):
    def onEntry(self, entry: Entry, account: AccountApi) -> None:
        assert_type(account.owner.result(), str)
    def mayGo(self) -> bool:
        return True

bank.listen(Mine())

untyped = connect("ws://")
assert_type(untyped, ClientSession[RpcStub])
untyped.main.anything().at[0].all.result().is_there()

def use(session: ClientSession, promise: RpcPromise) -> RpcPromise[int]:
    return session.main.number()

class AccountLike(Protocol):
    @property
    def owner(self) -> TypedPromise[str]: ...

class BankLike(Protocol):
    def open(self, owner: str, /) -> TypedPromise[AccountLike]: ...

by_hand = connect("ws://", api=BankLike, check=False)
assert_type(by_hand.main.open("Ada").result().owner.result(), str)

with batch("http://", api=BankApi) as in_batch:
    assert_type(in_batch.open("Ada").owner.result(), str)
with pair(Bank, api=BankApi) as both:
    assert_type(both.main.open("Ada").owner.result(), str)
"""

WRONG = """
from bank_api import BankApi

from capnweb_sync import RpcTarget, connect
from tests.capnweb_sync.typed.bank import Entry

bank = connect("ws://", api=BankApi).main
bank.opne("Ada")  # a typo
bank.open("Ada").ownr.result()  # a typo behind a promise
bank.open("Ada").result().ownr  # a typo behind a result
bank.open()  # an argument is missing
bank.open(1)  # an argument is of a wrong type
bank.open(owner="Ada")  # by name
bank.open("Ada", "Grace")  # one too many
bank.open("Ada").owner + "x"  # a promise is not its value
bank.open("Ada").done(3)  # the promise's own
bank.open("Ada")["done"]("x")  # an argument behind brackets
bank.open("Ada")["owner"]  # brackets are for hidden names only
bank.mood("awful")  # not one of the literals
bank.limit(Entry(1))  # another class
bank.open("Ada").entries("cash")  # not the enumeration
bank.every(lambda: 1)  # a callback without its parameter
bank.every(lambda n: "x")  # a callback that returns something else
bank.open("Ada").move("Grace")  # text where an account is wanted
wrong: int = bank.open("Ada").owner.result()  # a result of another type
bank.all().result()[0].nothing  # a typo within a list
bank.find("Ada").result().owner  # there may be none


class Half(RpcTarget):
    def onEntry(self, entry: Entry, account: object) -> None: ...


bank.listen(Half())  # a method is missing
"""


def errors_by_mypy(folder: Path, *programs: str) -> tuple[set[str], str]:
    """The places (`file:line`) that mypy --strict complains of, and what it says."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", ""),
            *("--python-version", "3.10", "--follow-imports", "silent"),
            *("--cache-dir", str(REPOSITORY / ".mypy_cache" / "of_tests")),
            *programs,
        ],
        cwd=folder,
        env={"MYPYPATH": f"{folder}:{REPOSITORY}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    said = finished.stdout + finished.stderr
    found = (line.split(":") for line in said.splitlines() if ": error: " in line)
    return {f"{parts[0]}:{parts[1]}" for parts in found}, said


def errors_by_pyright(folder: Path, *programs: str) -> tuple[set[str], str]:
    """The same of pyright, as strict as it can be."""
    command = Path(__file__).parent / "node_modules" / ".bin" / "pyright"
    if not command.exists():
        pytest.skip("pyright is not installed: NOTHING WAS CHECKED WITH IT")
    config = folder / "pyrightconfig.json"
    config.write_text(
        json.dumps(
            {
                "include": programs,
                "typeCheckingMode": "strict",
                "pythonVersion": "3.10",
                "extraPaths": [str(REPOSITORY)],
            }
        ),
        encoding="utf-8",
    )
    finished = subprocess.run(
        [command, "--project", config, "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [
        f"{Path(error['file']).name}:{error['range']['start']['line'] + 1}"
        for error in json.loads(finished.stdout)["generalDiagnostics"]
    ]
    return set(found), finished.stdout + finished.stderr


@pytest.fixture(scope="module", params=[errors_by_mypy, errors_by_pyright])
def checked(request: pytest.FixtureRequest, bank_api_file: Path) -> tuple[set[str], str]:
    folder = bank_api_file.parent
    (folder / "right.py").write_text(RIGHT, encoding="utf-8")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    found: tuple[set[str], str] = request.param(folder, "bank_api.py", "right.py", "wrong.py")
    return found


def test_what_was_written_and_what_uses_it_rightly_passes(checked: tuple[set[str], str]) -> None:
    found, said = checked

    assert {place for place in found if not place.startswith("wrong.py")} == set(), said
    assert found


@pytest.mark.parametrize(
    ("line", "program"),
    [
        pytest.param(number, line, id=line.partition("  # ")[2])
        for number, line in enumerate(WRONG.splitlines(), start=1)
        if "  # " in line
    ],
)
def test_what_is_wrong_is_found(line: int, program: str, checked: tuple[set[str], str]) -> None:
    found, said = checked

    assert f"wrong.py:{line}" in found, f"{program}\n{said}"
