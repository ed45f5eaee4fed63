"""The opening handshake: what is refused, with which plain answer, and what is accepted."""

from typing import Any

import pytest

from capnweb_sync.server import Connections, HandshakeError, UpgradeUnavailable, upgrade
from capnweb_sync.server.handshake import UPGRADE_KEY, Upgrade, accept

from .conftest import Serve
from .serving import KEY, RecordingSession, connect, request

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "test",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": KEY,
}


def environ(**changes: str | None) -> dict[str, Any]:
    return {k: v for k, v in {**ENVIRON, **changes}.items() if v is not None}


def test_the_example_of_the_rfc_is_accepted_with_its_answer() -> None:
    assert accept(environ()) == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"HTTP_UPGRADE": "WebSocket"},
        {"HTTP_UPGRADE": "h2c, websocket"},
        {"HTTP_CONNECTION": "keep-alive, Upgrade"},
        {"HTTP_CONNECTION": "upgrade"},
        {"HTTP_SEC_WEBSOCKET_KEY": f" {KEY} "},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},
    ],
)
def test_other_spellings_of_a_valid_request_are_accepted(changes: dict[str, str]) -> None:
    assert accept(environ(**changes))


def test_no_extension_and_no_subprotocol_is_agreed_on() -> None:
    headers = accept(
        environ(
            HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate",
            HTTP_SEC_WEBSOCKET_PROTOCOL="chat",
        )
    )

    assert {name for name, _ in headers} == {"Upgrade", "Connection", "Sec-WebSocket-Accept"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"HTTP_UPGRADE": None}, "426"),
        ({"HTTP_UPGRADE": "h2c"}, "426"),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, "426"),
        ({"HTTP_SEC_WEBSOCKET_VERSION": None}, "426"),
        ({"REQUEST_METHOD": "POST"}, "400"),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, "400"),
        ({"HTTP_CONNECTION": None}, "400"),
        ({"HTTP_CONNECTION": "keep-alive"}, "400"),
        ({"HTTP_HOST": None}, "400"),
        ({"CONTENT_LENGTH": "5"}, "400"),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, "400"),
        ({"HTTP_SEC_WEBSOCKET_KEY": None}, "400"),
        ({"HTTP_SEC_WEBSOCKET_KEY": ""}, "400"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="}, "400"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "!" + KEY[1:]}, "400"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "é" + KEY[1:]}, "400"),
        ({"HTTP_SEC_WEBSOCKET_KEY": f"{KEY},{KEY}"}, "400"),
    ],
)
def test_a_request_that_is_not_a_handshake_is_refused_with_a_sentence(
    changes: dict[str, str | None], status: str
) -> None:
    with pytest.raises(HandshakeError) as refused:
        accept(environ(**changes))

    assert refused.value.status.startswith(status)
    assert refused.value.sentence.endswith(".")


def test_a_wrong_version_is_answered_with_the_right_one() -> None:
    with pytest.raises(HandshakeError) as refused:
        accept(environ(HTTP_SEC_WEBSOCKET_VERSION="7"))

    assert refused.value.headers == [("Sec-WebSocket-Version", "13")]


def test_a_plain_request_is_answered_with_the_protocol_to_upgrade_to() -> None:
    """RFC 9110, section 15.5.22: a 426 names the protocol in Upgrade."""
    with pytest.raises(HandshakeError) as refused:
        accept(environ(HTTP_UPGRADE=None))

    assert ("Upgrade", "websocket") in refused.value.headers


def test_a_server_that_cannot_do_websocket_says_how_to_start_one_that_can() -> None:
    with pytest.raises(UpgradeUnavailable, match="WebSocketHandler") as unavailable:
        upgrade(environ(), Connections(), RecordingSession)

    assert "gunicorn -k" in unavailable.value.sentence


def test_a_refused_upgrade_takes_no_room() -> None:
    connections = Connections(max_connections=1)

    with pytest.raises(HandshakeError):
        upgrade({**environ(HTTP_HOST=None), UPGRADE_KEY: Upgrade()}, connections, RecordingSession)

    assert not connections.full


def test_an_accepted_upgrade_takes_room_at_once() -> None:
    connections = Connections(max_connections=1)

    upgrade({**environ(), UPGRADE_KEY: Upgrade()}, connections, RecordingSession)

    assert connections.full


@pytest.mark.parametrize(
    ("opening", "status", "sentence"),
    [
        (request(Upgrade=None), 426, "speaks WebSocket"),
        (request(Connection="close"), 400, "Connection"),
        (request(version="HTTP/1.0"), 400, "HTTP/1.1"),
        (request(Sec_WebSocket_Version="8"), 426, "13"),
        (request(Sec_WebSocket_Key="nonsense"), 400, "base64"),
        (request(method="POST", Content_Length="0"), 400, "GET"),
    ],
)
def test_over_the_wire_a_refusal_is_a_plain_answer_of_http(
    serve: Serve, opening: bytes, status: int, sentence: str
) -> None:
    client = connect(serve().port, opening)

    assert client.status == status
    assert sentence in client.body()
    client.socket.close()


def test_over_the_wire_the_101_has_no_length_and_no_body(serve: Serve) -> None:
    server = serve()
    client = connect(server.port)

    assert client.head.startswith("HTTP/1.1 101 Switching Protocols")
    assert "content-length" not in client.head.lower()
    assert "transfer-encoding" not in client.head.lower()
    client.close()
