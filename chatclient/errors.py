"""What can go wrong with a chat, as one hierarchy. Each has a `code` and a sentence for a person.

    ChatError
      BadRequest      bad_request      a name or a text that the chat does not accept
      UsernameTaken   username_taken   somebody else has the name
      NotJoined       not_joined       the name is no longer ours, or we are not in that room
      NoSuchRoom      no_such_room     no room, person or pass of that name, or none for us
      Forbidden       forbidden        we see it, and may not do that
      TooLarge        too_large        the text is too long
      TooMany         too_many         more than the server allows
      RateLimited     rate_limited     more often than the server allows
      Unauthorized    unauthorized     the server does not let us in
      Unavailable     unavailable      no answer in time
      BadAnswer       bad_answer       the server's answer is none of a chat's
      Unreachable     unreachable      there is no connection to be had
      ConnectionLost  connection_lost  the connection ended, and the client does not come back
        TakenOver     taken_over       …because the name is used on another connection now
        SentAway      sent_away        …because an admin has disconnected or banned us
      ChatClosed      closed           the chat was closed on this side

An error of another code, one that only a newer server knows, is a plain `ChatError`.
"""

from __future__ import annotations

from typing import Final

from capnweb_sync import ConnectError, RemoteError, SessionClosed
from capnweb_sync.close_codes import ACCOUNT_CAME, SENT_AWAY, TAKEN_OVER, TOKEN_OVER


class ChatError(Exception):
    """Something went wrong with a chat.

    Args:
        message: a sentence for a person.
        may_have_been_stored: for errors of `send`: whether the message may be in the chat all the
            same. Where it is False, it is not, and never will be.
    """

    code: str = "error"

    def __init__(self, message: str, *, may_have_been_stored: bool = False) -> None:
        super().__init__(message)
        self.may_have_been_stored = may_have_been_stored


class BadRequest(ChatError):
    """The server does not accept the name or the text."""

    code = "bad_request"


class UsernameTaken(ChatError):
    """Somebody else has the name."""

    code = "username_taken"


class NotJoined(ChatError):
    """The name is not, or no longer, ours."""

    code = "not_joined"


class NoSuchRoom(ChatError):
    """There is no such room, person or pass, or none that we may see."""

    code = "no_such_room"


class Forbidden(ChatError):
    """We see it, and may not do that with it."""

    code = "forbidden"


class TooLarge(ChatError):
    """The text is too long."""

    code = "too_large"


class TooMany(ChatError):
    """It is more than the server allows."""

    code = "too_many"


class RateLimited(ChatError):
    """It is more often than the server allows. There is room again in `retry_after` seconds, as far
    as the server has said."""

    code = "rate_limited"
    retry_after: float = 1.0


class Unauthorized(ChatError):
    """The server does not let us in."""

    code = "unauthorized"


class Unavailable(ChatError):
    """There was no answer in time."""

    code = "unavailable"


class BadAnswer(ChatError):
    """The server answered what no chat server does; the message names what is wrong or missing."""

    code = "bad_answer"


class Unreachable(ChatError):
    """There is no connection to be had.

    Args:
        message: why, a sentence.
        status: the HTTP status if the server refused it.
    """

    code = "unreachable"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLost(ChatError):
    """The connection ended for good.

    Args:
        message: how, a sentence.
        close_code: the WebSocket close code (RFC 6455, section 7.4), if there was one.
    """

    code = "connection_lost"

    def __init__(self, message: str, close_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code


class TakenOver(ConnectionLost):
    """The name is used on another connection now."""

    code = "taken_over"


class SentAway(ConnectionLost):
    """An admin has disconnected or banned us; the message says why."""

    code = "sent_away"


class ChatClosed(ChatError):
    """The chat was closed on this side."""

    code = "closed"


REMOTE: Final[dict[str, type[ChatError]]] = {
    cls.code: cls
    for cls in (
        BadRequest,
        UsernameTaken,
        NotJoined,
        NoSuchRoom,
        Forbidden,
        TooLarge,
        TooMany,
        RateLimited,
        Unauthorized,
        Unavailable,
    )
}
"""The errors that the server answers with, by their codes."""


def chat_error(error: Exception) -> ChatError:
    """The error of this package for one of the RPC layer or of connecting."""
    if isinstance(error, RemoteError):
        code = error.code or ChatError.code
        if code in REMOTE:
            known = REMOTE[code](error.message)
            seconds = error.properties.get("retryAfter")
            if isinstance(known, RateLimited) and isinstance(seconds, (int, float)):
                known.retry_after = max(0.0, float(seconds))
            return known
        unknown = ChatError(error.message)
        unknown.code = code
        return unknown
    if isinstance(error, SessionClosed):
        if error.close_code == TAKEN_OVER:
            return TakenOver(error.reason or "The name is used elsewhere now.", TAKEN_OVER)
        if error.close_code == TOKEN_OVER:
            return Unauthorized(error.reason or "The token is over; come in with the next one.")
        if error.close_code == ACCOUNT_CAME:
            return UsernameTaken(error.reason or "The name belongs to an account, which has come.")
        if error.close_code == SENT_AWAY:
            return SentAway(error.reason or "An admin has ended this connection.", SENT_AWAY)
        reason = error.reason or f"It was closed with the code {error.close_code}."
        return ConnectionLost(f"The connection is lost: {reason}", error.close_code)
    if isinstance(error, ConnectError):
        return Unreachable(str(error), getattr(error, "status", None))
    if isinstance(error, ChatError):
        return error
    return Unavailable(str(error))
