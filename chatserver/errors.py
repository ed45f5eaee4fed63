"""The errors of the chat. Each has a code for programs and a sentence that a person can act on.

    ChatError            what a caller did, or what it ran into; travels to the peer as it is
      BadRequest         bad_request     a value that the chat does not accept
        BadType          bad_request     …because it is of the wrong type: a TypeError
      NameTaken          username_taken
      NotJoined          not_joined
        ClaimLost        not_joined      another connection speaks for the name now
      NoSuchRoom         no_such_room    there is none, or none that the caller may see
      NoSuchMessage      no_such_message likewise
      Unauthorized       unauthorized    the caller is not who it would have to be
      Forbidden          forbidden       the caller sees it and may not do that
        Sanctioned       forbidden       …because somebody decided so, and says why
          Banned         forbidden       …that it is not let in, for a time or for good
      TooLarge           too_large
      TooMany            too_many
      RateLimited        rate_limited    with `retryAfter`, in seconds
      Unavailable        unavailable     may have been stored; the same call again is safe

`StartError` and `SettingError` are for the operator: what keeps the server from starting.
"""

import math
from typing import ClassVar

from capnweb_sync import RpcError, RpcTypeError


class ChatError(RpcError):
    """An error that its caller is to see."""

    CODE: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message, code=self.CODE)


class BadRequest(ChatError):
    """The caller sent a value that the chat does not accept."""

    CODE = "bad_request"


class BadType(BadRequest, RpcTypeError):
    """The caller sent a value of the wrong type."""


class NameTaken(ChatError):
    """The name is online, and the caller did not show its secret. A name that waits for someone who
    lost the connection is free in `retry_after` seconds, unless that one comes back."""

    CODE = "username_taken"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.properties["retryAfter"] = math.ceil(retry_after * 1000) / 1000


class NotJoined(ChatError):
    """The caller's connection does not hold the name."""

    CODE = "not_joined"


class ClaimLost(NotJoined):
    """The claim was given up, ran out or was taken over by another connection."""


class NoSuchRoom(ChatError):
    """What was named is not there, or not to be seen by the caller: nobody can tell which."""

    CODE = "no_such_room"


class NoSuchMessage(ChatError):
    """The id is that of no message of the room that the caller may read."""

    CODE = "no_such_message"


class Unauthorized(ChatError):
    """The caller has not shown that it is who it would have to be."""

    CODE = "unauthorized"


class Forbidden(ChatError):
    """The caller sees what it is about, and may not do that with it."""

    CODE = "forbidden"


class Sanctioned(Forbidden):
    """The caller may not for a time, or for good; the sentence has the words of who decided it,
    which are for the caller alone: what a log has of an error, its `repr`, is without them."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Banned(Sanctioned):
    """The caller was sent away; the sentence says until when, and why."""


class TooLarge(ChatError):
    """A text is longer than the chat carries."""

    CODE = "too_large"


class TooMany(ChatError):
    """One more than one connection may have."""

    CODE = "too_many"


class RateLimited(ChatError):
    """It was done more often than is allowed. There is room again in `retry_after` seconds."""

    CODE = "rate_limited"

    def __init__(
        self, retry_after: float, what: str = "This is more often than the server allows"
    ) -> None:
        #: Rounded up: who comes then is not too early.
        self.retry_after = math.ceil(retry_after * 1000) / 1000
        super().__init__(f"{what}; try again in {self.retry_after:.1f} s.")
        self.properties["retryAfter"] = self.retry_after


class Unavailable(ChatError):
    """The store did not answer in time or failed. What was asked for may have been stored."""

    CODE = "unavailable"


class StartError(Exception):
    """The server cannot start; the message is one sentence that says what to do about it."""


class SettingError(StartError):
    """…because a setting does not fit."""
