"""Who one is in a chat that has rooms, and the ways into them: the server's `Person`."""

from __future__ import annotations

from capnweb_sync import RpcPromise

from . import answers
from .administration import Admin
from .answers import RoomInfo
from .calls import Call, Calls
from .events import string_of
from .inbox import Inbox
from .link import Link
from .membership import Membership
from .moderation import Moderator
from .room import Room


class Person:
    """What one does with rooms, in a `ChatClient`."""

    _link: Link
    _call: Calls
    _inbox: Inbox

    def enter(self, name: str, timeout: float | None = None) -> Room:
        """Come into a room, and hear what happens there: `events` and `messages` give it, too.

        Args:
            name: a public room's, which is made if there is none; or that of any room in which one
                is, as `rooms` gives it.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `NoSuchRoom`, `TooMany`, `BadRequest` …; this server has no rooms.
        """
        return self._came_in(lambda here: here.enter(name), timeout)

    def open(
        self, title: str, topic: str = "", *, history: bool = False, timeout: float | None = None
    ) -> Room:
        """Make a private room, whose owner one is.

        Args:
            title: what people call it.
            topic: what it is about.
            history: whether who comes later may read what was before.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `TooMany`, `BadRequest` …
        """
        options = {"title": title, "topic": topic, **({"history": "all"} if history else {})}
        return self._came_in(lambda here: here.somebody.open(options), timeout)

    def direct(self, name: str, timeout: float | None = None) -> Room:
        """The conversation with somebody, the same whoever of the two asks first.

        Args:
            name: the other one's.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `NoSuchRoom`: nobody of that name is there, or not for us; `TooMany` …
        """
        return self._came_in(lambda here: here.somebody.direct(name), timeout)

    def accept(self, given: str, timeout: float | None = None) -> Room:
        """Come into a private room by a pass.

        Args:
            given: the pass, as `Room.create_pass` made it.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `NoSuchRoom`: it is not good, or not any more; `Forbidden`, `TooMany` …
        """
        return self._came_in(lambda here: here.somebody.accept(given), timeout)

    def rooms(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[RoomInfo]:
        """The rooms that one sees: public ones, and those that one is in.

        Args:
            after: the name after which they are.
            limit: how many at most.
            timeout: seconds; None means the client's.

        Returns:
            The rooms, by name.

        Raises:
            ChatError: `Unavailable` …; this server has no rooms.
        """
        options = {"after": after, "limit": limit}
        found = self._call(lambda here: here.somebody.rooms(options), timeout)
        return [answers.RoomInfo.of(room) for room in answers.listed(found, "rooms")]

    def block(self, name: str, on: bool = True, timeout: float | None = None) -> None:
        """Let somebody ask for no more conversations with us.

        Args:
            name: whose.
            on: whether it is so from now on.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `TooMany` …
        """
        self._call(lambda here: here.somebody.block(name, on), timeout)

    def blocked(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[str]:
        """Whom we block.

        Args:
            after: the name after which they are.
            limit: how many at most.
            timeout: seconds; None means the client's.

        Returns:
            The names, sorted without case.

        Raises:
            ChatError: `Unavailable` …; this server has no rooms.
        """
        options = {"after": after, "limit": limit}
        found = self._call(lambda here: here.somebody.blocked(options), timeout)
        return [string_of(name) for name in answers.listed(found, "blocked people")]

    def renew(self, token: str, timeout: float | None = None) -> None:
        """Stay for as long as this token is good, and come back with it.

        Args:
            token: the next one of the same person, for the same rooms.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `Unauthorized`: it is not good, or one has come in by a name …
        """
        self._call(lambda here: here.somebody.renew(token), timeout)
        self._link.token = token
        me = answers.fields(self._call(lambda here: here.somebody.me, timeout))
        self._link.role = string_of(me.get("role")) or None

    def moderate(self, room: str, timeout: float | None = None) -> Moderator:
        """What one can do to others in a room: for the owner of a private one, and for accounts
        that are moderators or admins.

        Args:
            room: its name.
            timeout: seconds; None means the client's.

        Returns:
            The moderator.

        Raises:
            ChatError: `Forbidden`: one may not; `NoSuchRoom` …
        """
        moderator = Moderator(self._call, room)
        moderator.check(timeout)
        return moderator

    def administer(self, timeout: float | None = None) -> Admin:
        """What an admin can do.

        Args:
            timeout: seconds; None means the client's.

        Returns:
            The admin.

        Raises:
            ChatError: `Forbidden`: one is none …
        """
        admin = Admin(self._call)
        admin.check(timeout)
        return admin

    @property
    def role(self) -> str | None:
        """What one is, as the token says: `member`, `moderator` or `admin`; None of a guest."""
        return self._link.role

    def _room(self, name: str) -> Room:
        return Room(self._call, name, self._inbox)

    def _came_in(self, come: Call, timeout: float | None) -> Room:
        """The room that a call gives; heard from where one came in."""

        def info_of(here: Membership) -> RpcPromise:
            with come(here) as room:
                info = room.info
                info.future()  # asked for while the room is there
                return info

        info = answers.RoomInfo.of(self._call(info_of, timeout))
        self._inbox.enter(info.name, info.since)
        return self._room(info.name)
