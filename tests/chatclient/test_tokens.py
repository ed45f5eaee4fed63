"""Coming in by a token, in the library and in the terminal."""

import sys
from collections.abc import Iterator

import pytest

from capnweb_sync import SessionClosed
from capnweb_sync.close_codes import TOKEN_OVER
from chatclient import ChatClient, Unauthorized
from chatclient.errors import chat_error
from chatclient.reconnect import comes_back
from chatclient.statuses import REFUSED
from chatserver.tokens import issue
from tests.conftest import StartProcess
from tests.processes import Processes, ServerProcess
from tests.proxy.proxy import Proxy

SECRET = "a secret of the tests, 32 bytes long"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One that lets in only who has a token."""
    with Processes() as processes:
        yield processes.add(ServerProcess("--guests", "no", env={"CHAT_SECRET": SECRET}))


def test_who_has_a_token_comes_in_and_comes_back_with_the_next_one(server: ServerProcess) -> None:
    first, following = issue("Ann", SECRET), issue("Ann", SECRET, days=60)
    with Proxy(server.address) as proxy, ChatClient(proxy.url, token=first) as ann:
        assert ann.username == "Ann"
        assert ann.users() == ["Ann"]
        ann.renew(following)
        with pytest.raises(Unauthorized):
            ann.renew(issue("Bob", SECRET))

        proxy.cut_all()

        assert ann.send("I am back").id
        assert first not in repr(vars(ann._link)), "the token that was renewed is forgotten"


@pytest.mark.parametrize("given", [{}, {"username": "Ann", "token": "x.y.z"}])
def test_a_chat_needs_either_a_name_or_a_token(
    server: ServerProcess, given: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="a name or a token"):
        ChatClient(server.url, given.get("username"), token=given.get("token"))


@pytest.mark.parametrize("given", [{"username": "Ann"}, {"token": "x.y.z"}])
def test_who_is_not_let_in_is_told_so(server: ServerProcess, given: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        ChatClient(server.url, given.get("username"), token=given.get("token"))


def test_who_has_a_token_that_is_over_does_not_come_back_with_it() -> None:
    error = SessionClosed("closed", close_code=TOKEN_OVER)

    assert isinstance(chat_error(error), Unauthorized)
    assert not comes_back(error)


def test_the_terminal_takes_its_token_from_the_environment(
    server: ServerProcess, start_process: StartProcess
) -> None:
    command = (sys.executable, "-m", "chatclient", "--url", server.url)
    cleo = start_process(*command, env={"CHAT_TOKEN": issue("Cleo", SECRET)})

    cleo.wait_for_line("Joined chat as Cleo")
    guest = start_process(*command, "--username", "Guest")

    assert guest.wait() == REFUSED
    assert "token" in guest.output
