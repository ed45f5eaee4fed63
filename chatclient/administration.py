"""What an admin can do, to everyone and everywhere: the server's `Admin`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from capnweb_sync import ReadableStream, RemoteError, SessionClosed

from . import answers
from .answers import RoomInfo
from .errors import BadAnswer, chat_error
from .events import Receipt, number_of, string_of
from .moderation import Powers


class Acquaintance(NamedTuple):
    """Somebody whom the server knows.

    Attributes:
        name: as it is shown.
        role: `member`, `moderator` or `admin`; None of a guest.
        online: whether the person is.
        rooms: in how many rooms.
    """

    name: str
    role: str | None
    online: bool
    rooms: int


class Stay(NamedTuple):
    """Somebody in the chat, once for each place of an account.

    Attributes:
        name: as it is shown.
        account: whether it is one of an account.
        connected: False while it waits for its client.
    """

    name: str
    account: bool
    connected: bool


class Admin(Powers):
    """What an admin can do. Bans, and the list of them, are those from everywhere."""

    def people(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[Acquaintance]:
        """Everyone known.

        Args:
            after: the name after which they are.
            limit: how many at most.
            timeout: seconds; None means the client's.

        Returns:
            The people, by name.

        Raises:
            ChatError: `Forbidden` …
        """
        return self._list("people", acquaintance_of, after, limit, timeout)

    def connections(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[Stay]:
        """Everyone who is there, once for each place of an account.

        Args:
            after: the name after which they are.
            limit: how many at most, but that all of one name come together.
            timeout: seconds; None means the client's.

        Returns:
            The stays, by name.

        Raises:
            ChatError: `Forbidden` …
        """
        return self._list("connections", stay_of, after, limit, timeout)

    def rooms(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[RoomInfo]:
        """All rooms but conversations.

        Args:
            after: the name after which they are.
            limit: how many at most.
            timeout: seconds; None means the client's.

        Returns:
            The rooms, by name.

        Raises:
            ChatError: `Forbidden` …
        """
        return self._list("rooms", RoomInfo.of, after, limit, timeout)

    def disconnect(self, name: str, reason: str = "", timeout: float | None = None) -> int:
        """End all connections of somebody, who may come again.

        Args:
            name: whose.
            reason: why; whoever it is learns it.
            timeout: seconds; None means the client's.

        Returns:
            How many connections and places ended.

        Raises:
            ChatError: `Forbidden`, `BadRequest` …
        """
        return number_of(self._ask("disconnect", timeout, name, reason))

    def ban(
        self,
        *,
        name: str | None = None,
        address: str | None = None,
        seconds: float | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> int:
        """Let somebody in no more, from anywhere; or no guests from an address.

        Args:
            name: whom.
            address: or from where.
            seconds: for how long; None: for good.
            reason: why; whoever it is learns it.
            timeout: seconds; None means the client's.

        Returns:
            The sanction's id.

        Raises:
            ChatError: `Forbidden`, `BadRequest` …
        """
        who = {"name": name, "address": address}
        given = {key: value for key, value in who.items() if value is not None}
        return number_of(self._ask("ban", timeout, given, seconds, reason))

    def revoke(self, name: str, timeout: float | None = None) -> int:
        """Have no token of an account be good any more that was signed until now.

        Args:
            name: the account's.
            timeout: seconds; None means the client's.

        Returns:
            How many of its places ended.

        Raises:
            ChatError: `Forbidden`, `BadRequest` …
        """
        return number_of(self._ask("revoke", timeout, name))

    def announce(self, text: str, timeout: float | None = None) -> Receipt:
        """Tell everyone who has logged in: an event of the room `*`. It is not said again when the
        connection is lost meanwhile.

        Args:
            text: what.
            timeout: seconds; None means the client's.

        Returns:
            A receipt: the event's id and time.

        Raises:
            ChatError: its `may_have_been_stored` says whether it may have been told; `Forbidden` …
        """
        return answers.receipt(self._ask("announce", timeout, text, once=True))

    def close_room(self, name: str, timeout: float | None = None) -> None:
        """End a public or private room, for everybody.

        Args:
            name: the room's.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `Forbidden`: the lobby; `NoSuchRoom` …
        """
        self._ask("closeRoom", timeout, name)

    def export(self, room: str, timeout: float | None = None) -> Iterator[str]:
        """All that happened in a room, as it stands.

        Args:
            room: the name of a public or private one.
            timeout: seconds until it begins; None means the client's.

        Returns:
            Texts that together are lines of JSON, an event each.

        Raises:
            ChatError: `Forbidden`, `NoSuchRoom` …
            BadAnswer: it is no stream of texts.
        """
        stream = self._ask("export", timeout, room)
        if not isinstance(stream, ReadableStream):
            raise BadAnswer("The server's answer to export is no stream.")
        return texts_of(stream)

    def erase(self, name: str, timeout: float | None = None) -> None:
        """Erase what an account has said, its reactions, and the account; its tokens are good no
        more. What breaks off goes on when it is asked for again.

        Args:
            name: the account's.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `Forbidden`, `BadRequest`: there is none …
        """
        self._ask("erase", timeout, name)

    def statistics(self, timeout: float | None = None) -> dict[str, int]:
        """How much there is.

        Args:
            timeout: seconds; None means the client's.

        Returns:
            Numbers: of `accounts`, `online`, `places`, `rooms`, `messages`, `events`, `sanctions`.

        Raises:
            ChatError: `Forbidden` …
        """
        found = answers.fields(self._ask("statistics", timeout))
        return {name: number_of(number) for name, number in found.items()}


def acquaintance_of(value: Any) -> Acquaintance:
    """Somebody as the server has it. Raises BadAnswer."""
    one = answers.fields(value)
    return Acquaintance(
        string_of(one.get("name")),
        string_of(one.get("role")) or None,
        one.get("online") is True,
        number_of(one.get("rooms")),
    )


def stay_of(value: Any) -> Stay:
    """A stay as the server has it. Raises BadAnswer."""
    one = answers.fields(value)
    return Stay(
        string_of(one.get("name")), one.get("account") is True, one.get("connected") is True
    )


def texts_of(stream: ReadableStream) -> Iterator[str]:
    """What a stream of texts brings. Raises ChatError."""
    try:
        with stream:
            for text in stream:
                if not isinstance(text, str):
                    raise BadAnswer("The server exports something else than texts.")
                yield text
    except (RemoteError, SessionClosed) as error:
        raise chat_error(error) from error
