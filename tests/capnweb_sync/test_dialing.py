"""TCP to names with several addresses, some of which lead nowhere."""

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from capnweb_sync import connect
from capnweb_sync.client.dialing import Address, alternating, race
from tests.capnweb_sync.frame_peer import FramePeer
from tests.processes import DEADLINE, free_port

#: The number of no family of addresses.
NO_FAMILY = 255


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address that answers nothing, as one without a route does: its queue is full."""
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            assert filler.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
        yield (socket.AF_INET, listener.getsockname())


@pytest.fixture
def good() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield (socket.AF_INET, listener.getsockname())


def in_time() -> float:
    return time.monotonic() + DEADLINE


def test_behind_an_address_that_is_silent_the_next_one_is_tried(
    silent: Address, good: Address
) -> None:
    with race([silent, silent, good], in_time()) as sock:
        assert sock.getpeername() == good[1]


def test_behind_an_address_that_refuses_the_next_one_is_tried_at_once(good: Address) -> None:
    refusing = [(socket.AF_INET, ("127.0.0.1", free_port())) for _ in range(20)]
    before = time.monotonic()

    with race([*refusing, good], in_time()) as sock:
        assert sock.getpeername() == good[1]

    assert time.monotonic() - before < 2


def test_behind_an_address_of_a_family_that_is_not_here_the_next_one_is_tried(
    good: Address,
) -> None:
    with race([(NO_FAMILY, ("127.0.0.1", 1)), good], in_time()) as sock:
        assert sock.getpeername() == good[1]


def test_where_all_refuse_the_reason_is_told() -> None:
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        race([(socket.AF_INET, ("127.0.0.1", free_port()))], in_time())


def test_where_all_are_silent_it_ends_in_time(silent: Address) -> None:
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        race([silent, silent], before + 0.4)
    assert 0.4 <= time.monotonic() - before < 3


def test_the_families_take_turns() -> None:
    six = [(6, number) for number in range(3)]
    four = [(4, number) for number in range(2)]
    assert alternating([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]


def test_a_session_begins_at_the_address_that_answers(
    silent: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name has two addresses, and the first is silent."""
    with FramePeer() as peer:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (silent[1], ("127.0.0.1", peer.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        accepting = threading.Thread(target=peer.accept)
        accepting.start()
        session = connect(f"ws://chat.example:{peer.port}/rpc", close_timeout=0.1)
        accepting.join()
        session.close()
