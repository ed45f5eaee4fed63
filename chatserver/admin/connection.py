"""Finding the server, and being let in as an admin.

On the machine where the server runs both need nothing: the address is that of its settings, and the
secret with which tokens are signed lies beside its file, or is in CHAT_SECRET.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from capnweb_sync import ConnectError, RemoteError, RpcPromise, SessionClosed, connect
from chatserver.addresses import authority
from chatserver.errors import StartError
from chatserver.invite import secret_of
from chatserver.people.names import OPERATOR
from chatserver.people.tokens import sign
from chatserver.routes import RPC_PATH
from chatserver.settings import Settings

TOKEN_DAYS: Final = 5 / (24 * 60)
"""How long the token is good with which one comes in: five minutes, since connecting and asking
take seconds."""

LONG_DAYS: Final = 0.5
"""The same, where it may take longer: half a day."""

ANSWER_SECONDS: Final = 30.0
"""How long an answer may take that the server gives at once."""

EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # not listened on
"""Where a server is that listens on all addresses."""


def url_of(settings: Settings) -> str:
    """Where the server of these settings speaks Cap'n Web."""
    s = "" if settings.tls_files is None else "s"
    here = authority(EVERYWHERE.get(settings.host, settings.host), settings.port)
    return f"ws{s}://{here}{RPC_PATH}"


def token_of(settings: Settings, days: float) -> str:
    """A token of an admin, signed as the server of these settings signs. Raises StartError."""
    secret, audience = secret_of(settings), settings.token_audience
    return sign(OPERATOR, secret, days=days, role="admin", audience=audience)


class Administration:
    """The `Admin` of a server, and how it is asked."""

    def __init__(self, admin: RpcPromise) -> None:
        self._admin = admin

    def ask(self, method: str, *arguments: Any, seconds: float | None = ANSWER_SECONDS) -> Any:
        """The answer to a call, which is not disposed of. Raises RemoteError, SessionClosed,
        TimeoutError."""
        return getattr(self._admin, method)(*arguments).result(seconds)

    def all(self, method: str, page: int = 500) -> Iterator[dict[str, Any]]:
        """All of a list, which comes in pages. Raises as `ask`."""
        after: Any = None
        while True:
            found = self.ask(method, {"after": after, "limit": page})
            yield from found
            if len(found) < page:
                return
            after = found[-1]["id" if method == "sanctions" else "name"]


@contextmanager
def administer(url: str, token: str) -> Iterator[Administration]:
    """Come in, and go. Raises StartError, also for what goes wrong meanwhile."""
    try:
        with connect(url) as session:
            person = session.main.login(None, {"token": token})
            yield Administration(person.administer())
    except ConnectError as error:
        raise StartError(
            f"{error} Is the server running, and is this its address? --url says another."
        ) from None
    except SessionClosed as error:
        raise StartError(f"The server has closed the connection: {error.reason or error}") from None
    except TimeoutError:
        raise StartError("The server has not answered in time.") from None
    except RemoteError as error:
        raise StartError(sentence_of(error)) from None


def sentence_of(error: RemoteError) -> str:
    """What a server's refusal means to whoever is at its machine."""
    if error.code == "unauthorized":
        return (
            f"{error.message} Run this where the server was started, with its CHAT_SECRET or its"
            " --store, or give --token."
        )
    return error.message
