"""The programs in JavaScript, as Python objects."""

import json
import subprocess
from types import TracebackType
from typing import Any, TypeVar

from tests.interop.description import Description, in_order, loads
from tests.processes import REPOSITORY

FOLDER = REPOSITORY / "tests" / "interop"

Self = TypeVar("Self", bound="NodeProgram")


class NodeProgram:
    """A program of this folder that answers each line of JSON with one, until its input ends.

    What it writes to standard error goes where this process's does: pytest shows it with a failure.
    """

    def __init__(self, node: str, file: str) -> None:
        """Start `file` with the program `node`."""
        self._file = file
        self._process = subprocess.Popen(
            [node, str(FOLDER / file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"{self._file} has ended, see its standard error"
        answer: dict[str, Any] = loads(line)
        return answer


class Refusal(Exception):
    """The reference threw an error instead of encoding or decoding."""


class Codec(NodeProgram):
    """The reference's `serialize` and `deserialize`."""

    def __init__(self, node: str) -> None:
        super().__init__(node, "codec.mjs")

    def serialize(self, description: Description) -> str:
        """What the reference sends for a value. Raises Refusal."""
        text = self._ask({"serialize": description})["text"]
        assert isinstance(text, str)
        return text

    def deserialize(self, text: str) -> Description:
        """What the reference makes of a text. Raises Refusal."""
        return in_order(self._ask({"deserialize": text})["value"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self.ask(request)
        if "error" in answer:
            raise Refusal(f"{answer['error']['name']}: {answer['error']['message']}")
        return answer
