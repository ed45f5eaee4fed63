"""`capnweb call`: what it prints, where, and how it ends."""

import base64
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from capnweb_sync.shell import main
from tests.capnweb_sync.frame_peer import FramePeer
from tests.conftest import StartProcess
from tests.processes import DEADLINE, REPOSITORY, Process, Processes, free_port

COMMAND = [sys.executable, "-m", "capnweb_sync", "call"]

Captured = pytest.CaptureFixture[bytes]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with Processes() as processes:
        server = Process([sys.executable, "-m", "tests.capnweb_sync.shell.calls_server"])
        processes.add(server)
        yield server.wait_for_line("^ready (.*)")[1]


@pytest.fixture
def url(address: str) -> str:
    return f"ws://{address}/"


def call(captured: Captured, *arguments: str) -> tuple[int, str, str]:
    """The exit status, standard output and standard error of `capnweb call ARGUMENTS`."""
    status = main(["call", *arguments])
    out, err = captured.readouterr()
    return status, out.decode(), err.decode()


def usage_error(captured: Captured, *arguments: str) -> str:
    """What the last line says of something that was typed wrongly."""
    with pytest.raises(SystemExit) as end:
        main(["call", *arguments])
    assert end.value.code == 2
    out, err = captured.readouterr()
    assert out == b""
    return err.decode().splitlines()[-1]


def test_a_result_is_a_line_of_json(url: str, capsysbinary: Captured) -> None:
    arguments = ["1", '"1"', "Hello you!", '{"a":null}', "-5"]

    status, out, err = call(capsysbinary, url, "echo", *arguments)

    assert (status, out, err) == (0, '[1,"1","Hello you!",{"a":null},-5]\n', "")


def test_options_may_stand_anywhere_and_two_dashes_end_them(
    url: str, capsysbinary: Captured
) -> None:
    _, out, _ = call(capsysbinary, url, "echo", "a", "--timeout", "9", "b", "--", "--stay")

    assert out == '["a","b","--stay"]\n'


def test_a_method_may_be_a_path(url: str, capsysbinary: Captured) -> None:
    assert call(capsysbinary, url, "rooms.1.history", "3") == (0, "[0,1,2]\n", "")


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize(
    ("path", "value"), [("about", '{"name":"rooms"}\n'), ("about.name", '"rooms"\n')]
)
def test_a_property_is_read(
    scheme: str, path: str, value: str, address: str, capsysbinary: Captured
) -> None:
    assert call(capsysbinary, f"{scheme}://{address}/", path) == (0, value, "")


def test_a_property_is_asked_for_together_with_the_call(url: str, capsysbinary: Captured) -> None:
    _, _, err = call(capsysbinary, "--wire", url, "about")

    assert [line for line in err.splitlines() if "release" not in line][:4] == [
        '> ["push",["pipeline",0,["about"],[]]]',
        '> ["push",["pipeline",0,["about"]]]',
        '> ["pull",2]',
        '> ["pull",1]',
    ]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("fail", "sold_out: There is nothing left."),
        ("room", "TypeError: 'room' is not a function."),
        ("nothing", "TypeError: 'nothing' is not a function."),
    ],
)
def test_where_there_is_no_value_either_the_calls_failure_is_told(
    path: str, error: str, url: str, capsysbinary: Captured
) -> None:
    assert call(capsysbinary, url, path) == (1, "", f"capnweb: {error}\n")


def test_a_batch_brings_what_a_callback_was_called_with(
    address: str, capsysbinary: Captured
) -> None:
    _, out, _ = call(capsysbinary, f"http://{address}/", "each", "2", "@")

    assert out.splitlines() == ['[0,"of",2]', '[1,"of",2]', "2"]


def test_calls_of_a_callback_are_lines_before_the_result(url: str, capsysbinary: Captured) -> None:
    _, out, _ = call(capsysbinary, url, "each", "3", "@")

    assert out.splitlines() == ['[0,"of",3]', '[1,"of",3]', '[2,"of",3]', "3"]


def test_a_callback_may_stand_within_json(url: str, capsysbinary: Captured) -> None:
    _, out, _ = call(capsysbinary, url, "tell", '{"onMessage": @}')

    assert out.splitlines() == ['[{"text":"Hi!"}]', "null"]


def test_an_error_goes_to_standard_error_with_its_code(url: str, capsysbinary: Captured) -> None:
    status, out, err = call(capsysbinary, url, "buy", "tea")

    assert (status, out) == (1, "")
    assert err == "capnweb: sold_out: There is no tea left.\n"


def test_nothing_that_a_server_says_moves_the_cursor(url: str, capsysbinary: Captured) -> None:
    _, _, err = call(capsysbinary, "--wire", url, "buy", "tea\x1b[2J\x9b1m\u202e\nand")

    assert err.endswith(
        "capnweb: sold_out: There is no tea\\u001b[2J\\u009b1m\\u202e\\u000aand left.\n"
    )
    assert not {"\x1b", "\x9b", "\u202e"} & set(err)


def test_an_error_without_a_code_tells_its_class(url: str, capsysbinary: Captured) -> None:
    status, _, err = call(capsysbinary, url, "nothing")

    assert status == 1
    assert err.startswith("capnweb: TypeError: ")


def test_where_nobody_listens_that_is_the_error(capsysbinary: Captured) -> None:
    status, _, err = call(capsysbinary, f"ws://127.0.0.1:{free_port()}/", "echo")

    assert status == 1
    assert err.startswith("capnweb: connect_failed: Cannot connect to ")


def test_an_answer_may_take_no_longer_than_the_timeout(url: str, capsysbinary: Captured) -> None:
    status, _, err = call(capsysbinary, "--timeout", "0.1", url, "never")

    assert (status, err) == (1, "capnweb: timeout: There was no answer within 0.1 s.\n")


def test_a_stream_is_written_as_it_comes(url: str, capsysbinary: Captured) -> None:
    assert main(["call", url, "chunks"]) == 0

    assert capsysbinary.readouterr().out == b'\0\xff"text"\n{"n":1}\n'


@pytest.mark.parametrize(
    ("scheme", "method", "written"),
    [
        ("ws", "chunks", b'\0\xff"text"\n{"n":1}\n'),
        ("ws", "bytes", b"\0\xff"),
        ("ws", "echo", b"[]\n"),
        ("http", "bytes", b"\0\xff"),
        ("http", "echo", b"[]\n"),
    ],
)
def test_a_result_may_go_to_a_file(
    scheme: str, method: str, written: bytes, address: str, tmp_path: Path, capsysbinary: Captured
) -> None:
    file = tmp_path / "result"

    status, out, err = call(capsysbinary, f"{scheme}://{address}/", method, "--output", str(file))

    assert (status, out, err) == (0, "", "")
    assert file.read_bytes() == written


def test_bytes_are_base64_on_standard_output(url: str, capsysbinary: Captured) -> None:
    _, out, _ = call(capsysbinary, url, "bytes")

    assert base64.b64decode(json.loads(out)) == b"\0\xff"


@pytest.mark.parametrize("how", [["--batch", "ws"], ["http"]])
def test_a_batch_is_one_post(how: list[str], address: str, capsysbinary: Captured) -> None:
    *options, scheme = how

    status, out, err = call(
        capsysbinary, *options, "--wire", f"{scheme}://{address}/", "upper", "hello"
    )

    assert (status, out) == (0, '"HELLO"\n')
    assert err.splitlines()[:3] == [
        '> ["push",["pipeline",0,["upper"],["hello"]]]',
        '> ["pull",1]',
        '< ["resolve",1,"HELLO"]',
    ]


def test_a_batch_that_fails_tells_why(address: str, capsysbinary: Captured) -> None:
    status, _, err = call(capsysbinary, f"http://{address}/", "buy", "tea")

    assert (status, err) == (1, "capnweb: sold_out: There is no tea left.\n")


def test_wire_shows_each_message(url: str, capsysbinary: Captured) -> None:
    _, out, err = call(capsysbinary, "--wire", url, "upper", "hello")

    assert out == '"HELLO"\n'
    assert err.splitlines()[:3] == [
        '> ["push",["pipeline",0,["upper"],["hello"]]]',
        '> ["pull",1]',
        '< ["resolve",1,"HELLO"]',
    ]


def test_headers_go_with_the_request(capsysbinary: Captured) -> None:
    with FramePeer() as peer:
        requests: list[bytes] = []

        def refuse() -> None:
            peer.accept_tcp()
            requests.append(peer.read_request())
            peer.sock.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

        server = threading.Thread(target=refuse)
        server.start()
        status, _, err = call(
            capsysbinary, peer.url, "echo", "--header", "Authorization: Bearer x", "--header", "A:b"
        )
        server.join(DEADLINE)

    assert status == 1
    assert "answered 401" in err
    assert b"\r\nAuthorization: Bearer x\r\n" in requests[0]
    assert b"\r\nA: b\r\n" in requests[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["URL"], "the following arguments are required: METHOD"),
        (["ftp://a/", "echo"], "a URL starts with ws://, wss://, http:// or https://"),
        (["URL", "a..b"], "a method is a name"),
        (["URL", "echo", "--timeout", "0"], "a number of seconds above 0"),
        (["URL", "echo", "--timeout", "soon"], "invalid seconds value"),
        (["URL", "echo", "--header", "nothing"], "a header is 'NAME: VALUE'"),
        (["URL", "echo", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["URL", "echo", "--batch", "--stay"], "--stay needs a connection"),
        (["ws://[/", "echo"], "not a WebSocket URL"),
    ],
)
def test_what_is_typed_wrongly_ends_with_status_2(
    arguments: list[str], sentence: str, url: str, capsysbinary: Captured
) -> None:
    typed = [url if argument == "URL" else argument for argument in arguments]

    assert sentence in usage_error(capsysbinary, *typed)


def test_staying_prints_callbacks_until_ctrl_c(url: str, start_process: StartProcess) -> None:
    process = start_process(*COMMAND, "--stay", url, "later", "@", ready="later")

    process.signal(signal.SIGINT)

    assert process.wait() == 128 + signal.SIGINT
    assert (process.lines, process.error_lines) == (['"now"', '["later"]'], [])


def test_staying_ends_with_the_connection(capsysbinary: Captured) -> None:
    with Processes() as processes:
        server = Process([sys.executable, "-m", "tests.capnweb_sync.shell.calls_server"])
        processes.add(server)
        address = server.wait_for_line("^ready (.*)")[1]
        staying = Process([*COMMAND, "--stay", f"ws://{address}/", "upper", "a"])
        processes.add(staying)
        staying.wait_for_line("A")

        server.kill()

        assert staying.wait() == 1
        assert staying.error_lines[0].startswith("capnweb: closed: ")


@pytest.mark.parametrize("method", [["endless"], ["each", "1000", "@"]])
def test_a_pipe_that_nobody_reads_ends_it_quietly(method: list[str], url: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--stay", url, *method],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()

        assert process.stderr.read() == b""
        assert process.wait(DEADLINE) == 1


def test_it_is_installed_as_capnweb(url: str) -> None:
    command = shutil.which("capnweb", path=str(Path(sys.executable).parent))
    assert command is not None

    finished = subprocess.run(
        [command, "call", url, "upper", "hello"], capture_output=True, check=True, timeout=DEADLINE
    )

    assert finished.stdout == b'"HELLO"\n'
