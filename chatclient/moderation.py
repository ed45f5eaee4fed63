"""What somebody can do to others who may moderate a room: the server's `Moderator`.

The server looks with each call whether one still may. What was under way when a connection was lost
is asked again where doing it twice is no more than doing it once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from capnweb_sync import JSDate, RpcPromise, RpcStub

from . import answers
from .calls import Calls
from .events import Receipt, number_of, string_of
from .membership import Membership

T = TypeVar("T")


class Sanction(NamedTuple):
    """A sanction in force.

    Attributes:
        id: for `lift`.
        kind: `mute` or `ban`.
        name: whose it is; None of an address.
        by: the name of who decided.
        reason: why, "" if nobody said.
        time: since when.
        until: until when; None for good.
    """

    id: int
    kind: str
    name: str | None
    by: str
    reason: str
    time: datetime | JSDate | None
    until: datetime | JSDate | None


class Powers:
    """What moderators and admins have in common."""

    def __init__(self, call: Calls, room: str | None = None) -> None:
        """Made by `ChatClient`.

        Args:
            call: makes calls.
            room: the name of the room that it is for; None: everywhere.
        """
        self._call = call
        self._room = room

    def lift(self, sanction: int, timeout: float | None = None) -> None:
        """End a sanction.

        Args:
            sanction: its id.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `BadRequest`: there is none; `Forbidden` …
        """
        self._ask("lift", timeout, sanction)

    def sanctions(
        self, *, after: int = 0, limit: int = 100, timeout: float | None = None
    ) -> list[Sanction]:
        """Those in force.

        Args:
            after: the id above which they are.
            limit: how many at most.
            timeout: seconds; None means the client's.

        Returns:
            The sanctions, by id.

        Raises:
            ChatError: `Forbidden` …
        """
        return self._list("sanctions", sanction_of, after, limit, timeout)

    def _ask(self, method: str, timeout: float | None, *arguments: Any, once: bool = False) -> Any:
        """The answer. `once`: a call whose connection is lost is not made again."""

        def call(here: Membership) -> RpcPromise:
            with self._powers(here) as powers:
                asked: RpcPromise = getattr(powers, method)(*arguments)
                return asked

        return self._call(call, timeout, once=once)

    def _list(
        self,
        method: str,
        read: Callable[[Any], T],
        after: str | int | None,
        limit: int,
        timeout: float | None,
    ) -> list[T]:
        """A part of a list, each of which is what `read` makes of it."""
        found = self._ask(method, timeout, {"after": after, "limit": limit})
        return [read(one) for one in answers.listed(found, method)]

    def _powers(self, here: Membership) -> RpcPromise:
        person = here.somebody
        return person.administer() if self._room is None else person.moderate(self._room)

    def check(self, timeout: float | None = None) -> None:
        """Find out whether one may.

        Args:
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `Forbidden`, `NoSuchRoom` …
        """
        powers: RpcStub = self._call(self._powers, timeout)
        powers.dispose()


class Moderator(Powers):
    """What one can do in a room that one may moderate; names are of accounts, whether there or not,
    and of guests who are there."""

    def remove(self, message: int, reason: str = "", timeout: float | None = None) -> Receipt:
        """Erase what anybody has said.

        Args:
            message: its id.
            reason: why, for everyone in the room.
            timeout: seconds; None means the client's.

        Returns:
            A receipt: the `remove` event's id and time.

        Raises:
            ChatError: `Forbidden`; there is no such message …
        """
        return answers.receipt(self._ask("remove", timeout, message, reason))

    def mute(
        self,
        name: str,
        seconds: float | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> int:
        """Let somebody say nothing here.

        Args:
            name: whom.
            seconds: for how long; None: for good.
            reason: why, for everyone in the room.
            timeout: seconds; None means the client's.

        Returns:
            The sanction's id.

        Raises:
            ChatError: `Forbidden`: also of who may do the same or more; `BadRequest` …
        """
        return number_of(self._ask("mute", timeout, name, seconds, reason))

    def kick(self, name: str, reason: str = "", timeout: float | None = None) -> None:
        """Send somebody out, who may come back.

        Args:
            name: whom.
            reason: why, for everyone in the room.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `BadRequest`: who is not there; `Forbidden` …
        """
        self._ask("kick", timeout, name, reason)

    def ban(
        self,
        name: str,
        seconds: float | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> int:
        """Send somebody out, and do not let in again.

        Args:
            name: whom.
            seconds: for how long; None: for good.
            reason: why, for everyone in the room.
            timeout: seconds; None means the client's.

        Returns:
            The sanction's id.

        Raises:
            ChatError: as `mute`.
        """
        return number_of(self._ask("ban", timeout, name, seconds, reason))


def sanction_of(value: Any) -> Sanction:
    """A sanction as the server has it. Raises BadAnswer."""
    one = answers.fields(value)
    return Sanction(
        number_of(one.get("id")),
        string_of(one.get("kind")),
        string_of(one.get("name")) or None,
        string_of(one.get("by")),
        string_of(one.get("reason")),
        answers.moment(one.get("time")),
        answers.moment(one.get("until")),
    )
