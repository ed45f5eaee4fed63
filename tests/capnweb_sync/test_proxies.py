"""Proxies that the environment names: gone through, and blamed for what is theirs."""

import threading
from collections.abc import Callable

import pytest

from capnweb_sync import BatchError, ConnectError, batch, connect
from tests.capnweb_sync.frame_peer import FramePeer
from tests.processes import free_port

SERVER = "ws://chat.example:8080/rpc"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies but those of the test."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    # Where urllib remembers them.
    monkeypatch.setattr("urllib.request._opener", None)


def set_proxy(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("http_proxy", address)


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@pytest.mark.parametrize("form", ["http://älice:p%40ss@127.0.0.1:{}/", "127.0.0.1:{}"])
def test_a_session_begins_through_the_tunnel_of_a_proxy(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The peer is the proxy first, and after that the server."""
    requests: list[bytes] = []
    with FramePeer() as peer:
        set_proxy(monkeypatch, form.format(peer.port))

        def serve() -> None:
            peer.accept_tcp()
            requests.append(peer.read_request())
            peer.sock.sendall(b"HTTP/1.1 200 Here you are\r\n\r\n")
            peer.shake_hands()

        serving = in_thread(serve)
        session = connect("ws://[2001:db8::1]/rpc", close_timeout=0.1)
        serving.join()
        session.close()
    assert requests[0].startswith(b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\n")
    assert (b"Proxy-Authorization: Basic w6RsaWNlOnBAc3M=" in requests[0]) == ("@" in form)


def test_a_proxy_that_is_not_there_is_blamed_and_not_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    set_proxy(monkeypatch, f"http://alice:secret@{proxy}")

    with pytest.raises(ConnectError) as raised:
        connect(SERVER)

    assert str(raised.value) == (
        f"Cannot connect to {SERVER}: the proxy http://{proxy} (http_proxy in the environment)"
        " fails: Connection refused."
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 403 Not you\r\n\r\n", "fails: it answered 403 Not you"),
        (b"nonsense\r\n\r\n", "fails: it gives no answer that is HTTP's"),
    ],
)
def test_a_proxy_that_lets_nobody_through_is_blamed(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    with FramePeer() as peer:
        set_proxy(monkeypatch, f"http://127.0.0.1:{peer.port}")
        refusing = in_thread(lambda: peer.refuse(answer))

        with pytest.raises(ConnectError, match=why):
            connect(SERVER)

        refusing.join()


@pytest.mark.parametrize("value", ["socks5://u:secret@h:1", "http://u:secret@h:many", "://"])
def test_a_variable_that_names_no_http_proxy_is_blamed(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    set_proxy(monkeypatch, value)

    with pytest.raises(ConnectError, match="http_proxy in the environment names no") as raised:
        connect(SERVER)

    assert "secret" not in str(raised.value)


def test_where_no_proxy_says_so_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    set_proxy(monkeypatch, "http://proxy.invalid:1")
    monkeypatch.setenv("no_proxy", "example.org,127.0.0.0/8")
    url = f"ws://127.0.0.1:{free_port()}/"

    with pytest.raises(ConnectError, match=f"{url}: Connection refused"):
        connect(url)


def test_a_batch_names_the_proxy_that_it_went_through(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    set_proxy(monkeypatch, f"http://alice:secret@{proxy}")

    with pytest.raises(BatchError) as raised, batch("http://bob:hidden@chat.example/") as api:
        api.echo("hi")

    assert f"by http://chat.example/ through the proxy http://{proxy}: " in str(raised.value)
