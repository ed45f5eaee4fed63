"""`capnweb call URL METHOD [ARGUMENT …]`: one call, its callbacks, its result."""

from __future__ import annotations

import argparse
import queue
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from capnweb_sync import ReadableStream, RemoteError, RpcPromise, RpcStub, batch, connect, undefined

from .arguments import argument, path
from .output import Output, is_bytes
from .wire import ShowWire

if TYPE_CHECKING:
    from capnweb_sync import ClientSession
    from capnweb_sync.client.batch import BatchSession

SCHEMES: Final = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
"""What a URL can begin with, and what it begins with for a batch."""

CONNECT_SECONDS: Final = 10.0
"""How long connecting, or the answer to a batch's request, may take without `--timeout`."""

EPILOG: Final = """\
An ARGUMENT is JSON or, failing that, text. @ stands for a callback, also within
JSON: '{"onMessage": @}'. Each call of it is a line of output, the array of its
arguments. The result is a line of JSON, too; a stream is written as it comes.
"""


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="capnweb call",
        description="Call a method of a Cap'n Web server, or read a property; print the result.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="ws://… or wss://…; http(s)://… is a batch")
    parser.add_argument("method", type=method, metavar="METHOD", help="a name, or a path: a.b")
    parser.add_argument("arguments", nargs="*", default=[], metavar="ARGUMENT", help="see below")
    parser.add_argument(
        "--batch", action="store_true", help="call with one HTTP POST instead of a WebSocket"
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=header,
        metavar="'NAME: VALUE'",
        help="a further header of the request; can be given several times",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where a stream, or bytes, are written to"
    )
    parser.add_argument(
        "--stay",
        action="store_true",
        help="go on printing what callbacks get until Ctrl+C or the end of the connection",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="how long connecting, the answer and each chunk of a stream may take"
        f" (default: {CONNECT_SECONDS:g} for connecting, no end for the others)",
    )
    parser.add_argument("--wire", action="store_true", help="show each message on standard error")
    return parser


def method(text: str) -> list[str | int]:
    """A path; argparse complains otherwise."""
    try:
        return path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def header(text: str) -> tuple[str, str]:
    """A header's name and value; argparse complains otherwise."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"a header is 'NAME: VALUE', not {text!r}")
    return name.strip(), value.strip()


def seconds(text: str) -> float:
    """A time; argparse complains otherwise."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, not {text!r}")
    return value


def call(arguments: Sequence[str]) -> int:
    """Run the command; the exit status. Raises what the call raises."""
    commands = parser()
    options = commands.parse_intermixed_args(arguments)
    scheme, separator, rest = options.url.partition("://")
    if not separator or scheme not in SCHEMES:
        commands.error(f"a URL starts with ws://, wss://, http:// or https://, not {options.url!r}")
    options.in_batch = options.batch or scheme.startswith("http")
    if options.in_batch and options.stay:
        commands.error("--stay needs a connection, which a batch has not")
    options.url = f"{SCHEMES[scheme] if options.in_batch else scheme}://{rest}"
    output = Output(sys.stdout.buffer)
    conversation = Conversation(output, options.output, options.timeout)
    try:
        values = [argument(text, conversation.callback) for text in options.arguments]
        session = open_session(options)
    except ValueError as error:
        commands.error(str(error))
    try:
        with session as opened:
            if isinstance(opened, RpcStub):
                conversation.finish(Question(opened, options.method, values).result())
            else:
                question = Question(opened.main, options.method, values)
                conversation.run(opened.main, question, stay=options.stay)
    finally:
        output.end()
    return 0


def open_session(options: argparse.Namespace) -> ClientSession | BatchSession:
    """What the call is made on."""
    observer = ShowWire() if options.wire else None
    headers = dict(options.header)
    timeout = options.timeout or CONNECT_SECONDS
    if options.in_batch:
        return batch(options.url, headers=headers, timeout=timeout, observer=observer)
    return connect(options.url, headers=headers, timeout=timeout, observer=observer)


class Question:
    """A call of what stands at the end of a path.

    Without arguments it may be meant for a property, which nobody here can tell from a method. So
    its value is asked for together with the call, in the same round trip, and is the answer where
    the call fails. A method is read as a stub, and what is not there as undefined: no answers.
    """

    def __init__(self, main: RpcStub, path: Sequence[str | int], values: Sequence[Any]) -> None:
        target: Any = main
        for part in path:
            target = target[part]
        self.call: RpcPromise = target(*values)
        self._property: RpcPromise | None = None if values else target
        if self._property is not None:
            self._property.done()  # asks for it

    def result(self) -> Any:
        """Wait for the answer. Raises what the call has raised."""
        try:
            return self.call.result()
        except RemoteError:
            if self._property is None or self._property.exception() is not None:
                raise
            value = self._property.result()
            if value is undefined or isinstance(value, RpcStub):
                raise
            return value


class Answer(NamedTuple):
    """The result of the call is here."""

    value: Any


class Conversation:
    """What happens on a connection from the call on: callbacks, the answer, the end.

    Callbacks and the answer are printed where the session's served calls run, one after another,
    so their lines stand in the order in which the server sent them.
    """

    def __init__(self, output: Output, file: Path | None, timeout: float | None) -> None:
        self._output = output
        self._file = file
        self._timeout = timeout
        self._news: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()
        """The answer, and what ends the conversation: for the main thread."""

    def callback(self, *args: Any) -> None:
        """What `@` stands for."""
        try:
            self._output.show(list(args))
        except OSError as error:
            self._news.put(error)

    def run(self, main: RpcStub, question: Question, *, stay: bool) -> None:
        """Wait for the answer; with `stay`, for the end. Raises what the call or the end was."""
        main.on_broken(self._news.put)
        question.call.add_done_callback(lambda _: self._answered(question))
        try:
            news = self._news.get(timeout=self._timeout)
        except queue.Empty:
            raise TimeoutError(f"There was no answer within {self._timeout:g} s.") from None
        if isinstance(news, Answer):
            if self._waits_for_us(news.value):
                self.finish(news.value)
            if not stay:
                return
            news = self._news.get()
        assert isinstance(news, BaseException)
        raise news

    def _answered(self, question: Question) -> None:
        try:
            value = question.result()
            if not self._waits_for_us(value):
                self._output.show(value)
            self._news.put(Answer(value))
        except Exception as error:
            self._news.put(error)

    def _waits_for_us(self, value: Any) -> bool:
        """Whether writing the result takes its time, which callbacks must not wait for."""
        return self._file is not None or isinstance(value, ReadableStream)

    def finish(self, value: Any) -> None:
        """Write the result to where it shall go."""
        if self._file is None:
            self._write(value, self._output)
        else:
            with self._file.open("wb") as file:
                self._write(value, Output(file), raw=True)

    def _write(self, value: Any, output: Output, *, raw: bool = False) -> None:
        if isinstance(value, ReadableStream):
            with value:
                output.write_chunks(self._chunks(value))
        elif raw and is_bytes(value):
            output.write(bytes(value))
        else:
            output.show(value)

    def _chunks(self, stream: ReadableStream) -> Iterator[Any]:
        while True:
            try:
                chunk = stream.read(self._timeout)
            except EOFError:
                return
            yield chunk
