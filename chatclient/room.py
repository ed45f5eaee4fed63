"""A room as a program has it, on whatever connection there is at the moment.

What it does is asked of the server's `Room`, which is got again on each new connection. Calls wait
while the chat is offline, and are made again when their connection is lost under them, as those of
`ChatClient` are.
"""

from __future__ import annotations

import secrets
from typing import Any, Final, Protocol

from capnweb_sync import RpcPromise

from . import answers
from .answers import Occupant, RoomInfo
from .calls import Call, Calls
from .errors import NotJoined
from .events import Event, Receipt
from .membership import Membership

KEY_BYTES: Final = 16
"""Randomness of a message's key: no two messages share one."""


class Seats(Protocol):
    """The rooms in which we are: the chat has them."""

    def inside(self, room: str) -> bool:
        """Whether we are in the room, as far as is known."""

    def left(self, room: str) -> None:
        """We are not, as it turned out."""


class Room:
    """One room in which we are, until `leave`.

    All calls take `timeout`, seconds (None means the client's), and raise `ChatError`: `NotJoined`
    when we are not in the room any more, `Unavailable`, `RateLimited`, `ChatClosed` …

    Attributes:
        name: what the server calls it; `ChatClient.enter(name)` gives it again.
    """

    def __init__(self, call: Calls, name: str, seats: Seats) -> None:
        """Made by `ChatClient`.

        Args:
            call: makes calls.
            name: the room's.
            seats: says whether we are in the room, and is told when we are not any more.
        """
        self._ask_for = call
        self._seats = seats
        self.name = name

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"

    def send(
        self,
        text: str,
        *,
        reply_to: int = 0,
        timeout: float | None = None,
        patient: bool = False,
    ) -> Receipt:
        """Say something; blocks until the server has stored it. It is stored once, however often
        it was sent.

        Args:
            text: the message.
            reply_to: the id of the message that it answers.
            timeout: seconds.
            patient: as `ChatClient.send` has it.

        Returns:
            A receipt: the message's id and time.

        Raises:
            ChatError: its `may_have_been_stored` says whether it is worth saying again.
        """
        options: dict[str, Any] = {"key": secrets.token_hex(KEY_BYTES)}
        if reply_to:
            options["replyTo"] = reply_to

        def say(here: Membership) -> RpcPromise:
            return here.room(self.name).say(text, options)

        return answers.receipt(self._call(say, timeout, stores=True, patient=patient))

    def edit(self, message: int, text: str, timeout: float | None = None) -> Receipt:
        """Change what one has said.

        Args:
            message: its id.
            text: how it reads from now on.
            timeout: seconds.

        Returns:
            A receipt: the `edit` event's id and time.

        Raises:
            ChatError: `Forbidden`: somebody else said it; `BadRequest`: there is no such message.
        """
        return answers.receipt(self._ask("edit", timeout, message, text))

    def remove(self, message: int, timeout: float | None = None) -> Receipt:
        """Erase what one has said.

        Args:
            message: its id.
            timeout: seconds.

        Returns:
            A receipt: the `remove` event's id and time.

        Raises:
            ChatError: as `edit`.
        """
        return answers.receipt(self._ask("remove", timeout, message))

    def react(
        self, message: int, emoji: str, on: bool = True, timeout: float | None = None
    ) -> None:
        """Add a reaction to a message, or take it back.

        Args:
            message: its id.
            emoji: one emoji (UTS 51).
            on: whether it is there from now on.
            timeout: seconds.

        Raises:
            ChatError: `BadRequest`: there is no such message, or it is no emoji; `TooMany`.
        """
        self._ask("react", timeout, message, emoji, on)

    def read(self, message: int, timeout: float | None = None) -> None:
        """Say what was read: what lies above is unread.

        Args:
            message: the id of the newest message that was read.
            timeout: seconds.

        Raises:
            ChatError: `NotJoined` …
        """
        self._ask("read", timeout, message)

    def typing(self, timeout: float | None = None) -> None:
        """Let the others know that something is being typed.

        Args:
            timeout: seconds.

        Raises:
            ChatError: `NotJoined` …
        """
        self._ask("typing", timeout)

    def history(
        self,
        limit: int = 50,
        *,
        before: int | None = None,
        after: int | None = None,
        timeout: float | None = None,
    ) -> list[Event]:
        """Messages as they stand: edited, removed, with their reactions.

        Args:
            limit: how many at most; the server gives 500 and about 1 MiB at once.
            before: an id below which they are.
            after: an id above which they are, the oldest first; None: the newest.
            timeout: seconds.

        Returns:
            The messages, ascending.

        Raises:
            ChatError: `NotJoined` …
        """
        return self._read("history", limit, before, after, timeout)

    def events(
        self,
        limit: int = 50,
        *,
        before: int | None = None,
        after: int | None = None,
        timeout: float | None = None,
    ) -> list[Event]:
        """What has happened, of all types.

        Args:
            limit: how many at most; the server gives 500 and about 1 MiB at once.
            before: an id below which they are.
            after: an id above which they are, the oldest first; None: the newest.
            timeout: seconds.

        Returns:
            The events, ascending.

        Raises:
            ChatError: `NotJoined` …
        """
        return self._read("events", limit, before, after, timeout)

    def people(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[Occupant]:
        """Ask who is in the room.

        Args:
            after: the name after which they are.
            limit: how many at most.
            timeout: seconds.

        Returns:
            The people, by name.

        Raises:
            ChatError: `NotJoined` …
        """
        found = self._ask("people", timeout, {"after": after, "limit": limit})
        return answers.occupants(found)

    def info(self, timeout: float | None = None) -> RoomInfo:
        """Ask what the room is.

        Args:
            timeout: seconds.

        Returns:
            Its name, kind, title, topic, and how much is unread.

        Raises:
            ChatError: `NotJoined` …
        """
        return RoomInfo.of(self._call(lambda here: here.room(self.name).info, timeout))

    def set_topic(self, topic: str, timeout: float | None = None) -> Receipt:
        """Say what a private room is about; for its owner.

        Args:
            topic: "" for nothing.
            timeout: seconds.

        Returns:
            A receipt: the `topic` event's id and time.

        Raises:
            ChatError: `Forbidden` …
        """
        return answers.receipt(self._ask("setTopic", timeout, topic))

    def create_pass(
        self, *, days: float = 7, uses: int | None = None, timeout: float | None = None
    ) -> str:
        """Let others come into a private room; for its owner.

        Args:
            days: for how long it is good.
            uses: how many may come by it; None: any number.
            timeout: seconds.

        Returns:
            The pass, for `ChatClient.accept`; the server cannot say it again.

        Raises:
            ChatError: `Forbidden`, `TooMany` …
        """
        return str(self._ask("createPass", timeout, {"days": days, "uses": uses}))

    def revoke_passes(self, timeout: float | None = None) -> None:
        """Make all passes of the room worthless; for its owner.

        Args:
            timeout: seconds.

        Raises:
            ChatError: `Forbidden` …
        """
        self._ask("revokePasses", timeout)

    def hand_on(self, name: str, timeout: float | None = None) -> None:
        """Make somebody else in a private room its owner; for its owner.

        Args:
            name: whose it is from now on.
            timeout: seconds.

        Raises:
            ChatError: `Forbidden`; `BadRequest`: nobody of that name is in the room.
        """
        self._ask("handOn", timeout, name)

    def leave(self, timeout: float | None = None) -> None:
        """Leave the room: nothing more is heard of it.

        Args:
            timeout: seconds.

        Raises:
            ChatError: `NotJoined`: we are not in it …
        """
        self._ask("leave", timeout)
        self._seats.left(self.name)

    def close(self, timeout: float | None = None) -> None:
        """End a private room, for everybody; for its owner.

        Args:
            timeout: seconds.

        Raises:
            ChatError: `Forbidden` …
        """
        self._ask("close", timeout)
        self._seats.left(self.name)

    def _call(self, call: Call, timeout: float | None, **how: bool) -> Any:
        """The answer, unless we are not in the room any more: then its name would only let us in
        anew. Raises ChatError."""
        if not self._seats.inside(self.name):
            raise NotJoined("You are not in this room any more; enter it again.")
        try:
            return self._ask_for(call, timeout, **how)
        except NotJoined:
            self._seats.left(self.name)
            raise

    def _ask(self, method: str, timeout: float | None, *arguments: Any) -> Any:
        return self._call(lambda here: getattr(here.room(self.name), method)(*arguments), timeout)

    def _read(
        self,
        method: str,
        limit: int,
        before: int | None,
        after: int | None,
        timeout: float | None,
    ) -> list[Event]:
        options = {"limit": limit, "before": before, "after": after}
        return list(answers.history(self._ask(method, timeout, options), after, before))
