"""What `capnweb stubs` writes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from capnweb_sync import RpcPromise, RpcTarget
from capnweb_sync.shell import main
from capnweb_sync.shell.api_module import write_module
from capnweb_sync.shell.spelling import StubsError
from tests.capnweb_sync.typed.bank import Bank


class Clock(RpcTarget):
    def every(self, callback: Callable[[int], int]) -> None: ...


class Ears(Protocol):
    def hear(self, text: str) -> bool: ...


class Speaker(RpcTarget):
    def listen(self, ears: Ears) -> None: ...


class Keyed(RpcTarget):
    def call(self, *, name: str) -> None: ...


class Hidden(RpcTarget):
    def call(self, thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Tags(RpcTarget):
    def all(self) -> list[set[str]]:
        return []


class Awaited(RpcTarget):
    async def call(self) -> int:
        return 1


class Mapper(RpcTarget):
    """Its names are those of a stub."""

    def map(self, function: Callable[..., RpcPromise[int]]) -> list[int]:
        return []

    @property
    def dispose(self) -> str:
        return ""


class Plain: ...


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            Clock,
            r"Clock\.every: .* Annotate it as Callable\[\[int\], RpcPromise\[int\]\]\.",
        ),
        (Speaker, r"Ears\.hear: .* Annotate it as RpcPromise\[bool\]\."),
        (Keyed, r"Keyed\.call: a peer can't pass name"),
        (Awaited, r"Awaited\.call: nothing awaits it"),
        (Tags, r"Tags\.all: a set can't be sent\. Return a list\."),
        (Hidden, r"Hidden\.call: an annotation can't be resolved .*Nowhere"),
        (Plain, "Plain is not derived from RpcTarget"),
    ],
)
def test_what_cannot_be_typed_is_refused_with_a_sentence(target: type, sentence: str) -> None:
    with pytest.raises(StubsError, match=sentence):
        write_module([target], "")


def test_a_class_within_a_function_cannot_be_imported() -> None:
    class Local:
        pass

    class Server(RpcTarget):
        def local(self) -> Any: ...

    Server.local.__annotations__["return"] = Local

    with pytest.raises(StubsError, match=r"Server\.local: .*Local is defined within a function"):
        write_module([Server], "")


def test_what_callers_cannot_pass_is_not_imported_either() -> None:
    class Server(RpcTarget):
        def call(self, name: str, *, clock: Path = Path()) -> None: ...

    Server.call.__annotations__ = {"name": str, "clock": Path, "return": None}

    module = write_module([Server], "")

    assert "def call(self, name: str | TypedPromise[str], /) -> TypedPromise[None]" in module
    assert "import Path" not in module


def test_names_that_a_stub_has_itself_are_reached_with_brackets() -> None:
    module = write_module([Mapper], "")

    assert "def map(" not in module
    assert module.count('Literal["map"]) -> Callable[[Callable[..., int | Future[int]]]') == 2
    assert module.count('Literal["dispose"]) -> TypedPromise[str]') == 2


def test_the_command_writes_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_small_server.py").write_text(
        "from capnweb_sync import RpcTarget\n"
        "class Api(RpcTarget):\n"
        "    def double(self, number: int) -> int:\n"
        '        """Twice as much."""\n'
        "        return number * 2\n"
    )
    monkeypatch.chdir(tmp_path)

    assert main(["stubs", "a_small_server:Api"]) == 0

    assert capsys.readouterr().out == (
        '"""What a server offers, for those who call it. Written by'
        ' `capnweb stubs a_small_server:Api`."""\n'
        "\n"
        "from __future__ import annotations\n"
        "\n"
        "from capnweb_sync import TypedPromise, TypedStub\n"
        "\n"
        "\n"
        "class _Api:\n"
        "    def double(self, number: int | TypedPromise[int], /) -> TypedPromise[int]:\n"
        '        """Twice as much."""\n'
        "        raise NotImplementedError\n"
        "\n"
        "\n"
        "class Api(_Api, TypedStub):\n"
        '    """Api, held."""\n'
        "\n"
        "\n"
        "class ApiPromise(_Api, TypedPromise[Api]):\n"
        '    """Api, under way."""\n'
    )


def test_the_command_writes_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bank_api.py"

    assert main(["stubs", "--output", str(file), f"{Bank.__module__}:Bank"]) == 0

    command = f"capnweb stubs {Bank.__module__}:Bank"
    assert file.read_text(encoding="utf-8") == write_module([Bank], command)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:Api", "no_such_module:Api is not found: No module named"),
        (f"{Bank.__module__}:Bonk", "is not found: module"),
        (f"{__name__}:Clock", "capnweb: stubs: Clock.every: "),
        ("json:dumps", "json:dumps is not a class"),
    ],
)
def test_the_command_says_what_is_wrong(
    name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stubs", name]) == 1

    assert sentence in capsys.readouterr().err


def test_a_class_is_named_with_its_module(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["stubs", "Bank"])

    assert end.value.code == 2
    assert "a class is named MODULE:CLASS" in capsys.readouterr().err
