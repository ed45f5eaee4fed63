"""Stays: who comes in by this process's connections, what they ask the store for, and their end."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

import gevent

from capnweb_sync import Lookup, RpcStub
from capnweb_sync.futures import complete, pass_on
from chatserver.errors import (
    NotJoined,
    Unavailable,
)
from chatserver.futures import then, wait
from chatserver.loop import Loop
from chatserver.options import JoinOptions
from chatserver.people.address_digests import AddressDigests
from chatserver.people.limits import Bucket, Rate, Table, allows, take
from chatserver.people.tokens import Identity, unauthorized
from chatserver.rooms.arrival import Arrival, Arriving, welcome
from chatserver.rooms.coming import Coming
from chatserver.rooms.member import ClientState, Member, check_here, check_may_speak
from chatserver.rooms.present import Present
from chatserver.store.interface import MAX_TICK_SECONDS, Store
from chatserver.store.refusals import not_seated
from chatserver.store.seats import LOBBY, Seat
from chatserver.store.values import Receipt

NOT_JOINED: Final = "This connection has not joined with that name."

T = TypeVar("T")

NO_DIGESTS: Final = AddressDigests()

MIN_TICK_SECONDS: Final = 0.005
"""Pause between two ticks at least."""

TYPING: Final = Rate(1 / 3, 1)
"""How often it is told that one person is typing."""


class Stays:
    """Those who are here, in this process.

    Attributes:
        feed: tells them what the log says.
        messages: how many were sent here.
    """

    def __init__(self, store: Store, addresses: AddressDigests = NO_DIGESTS) -> None:
        """`addresses` says what the store is told of where guests come from."""
        self._store = store
        self.messages = 0
        self._present = Present(store)
        self._coming = Coming(store, self._present, addresses)
        self.feed = self._present.feed
        self._loops: list[Loop] = []
        self._typing = Table(lambda: Bucket(TYPING))

    @property
    def running(self) -> bool:
        """Whether it was started, and what it lives by goes well."""
        return bool(self._loops) and all(loop.healthy for loop in self._loops)

    @property
    def people(self) -> int:
        """How many names are held by connections of this process."""
        return len(self._present)

    def start(self) -> None:
        """Begin to follow the log and to let time take effect."""
        self._loops = [
            Loop("Telling members what the log says", self.feed.follow),
            Loop("Letting time take effect", self._pass_time),
        ]

    def stop(self) -> None:
        """End what `start` began, and close the store: all that was told to it is stored."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.kill()
        self._store.close()

    # --- coming in

    def join(
        self,
        client: ClientState,
        who: Arriving,
        callback: RpcStub,
        sink: RpcStub,
        options: JoinOptions,
    ) -> "Future[dict[str, Any]]":
        """Come into the lobby. `callback` is ours from now on, see `Member`; it hears what
        callbacks of before know.

        Fails with NameTaken, Banned, Unauthorized, TooMany, Unavailable.
        """
        return self._coming.come_in(client, who, (callback, sink), options, welcome, full=False)

    def log_in(
        self,
        client: ClientState,
        who: Arriving,
        callback: RpcStub | None,
        sink: RpcStub | None,
        options: JoinOptions,
        answer: Callable[[Arrival], T],
    ) -> "Future[T]":
        """Come in, into no room; `callback`, None for who hears nothing, hears all of the rooms in
        which the person is.

        Fails with NameTaken, Banned, Unauthorized, TooMany, Unavailable.
        """
        return self._coming.come_in(client, who, (callback, sink), options, answer, full=True)

    def digest_of(self, host: str) -> str:
        """What the store is told of an address; "": nothing."""
        return self._coming.digest_of(host)

    # --- what they ask for

    def send(
        self, client: ClientState, key: str, text: str, sent_key: str | None
    ) -> "Future[Receipt]":
        """Say `text` in the lobby; waits for a join under way.

        Fails with NotJoined, RateLimited, BadRequest, Unavailable."""

        def append(member: Member) -> "Future[Receipt]":
            if not member.may_enter(LOBBY):
                raise not_seated()  # though another place of the account may be there
            self.messages += 1
            return self.ask(member, lambda store: store.append(member.claim, text, sent_key))

        return self._with_member(client, key, append)

    def leave(self, client: ClientState, key: str) -> "Future[Any]":
        """Free the name; waits for a join under way. Fails with NotJoined, Unavailable."""
        return self._with_member(client, key, self.log_out)

    def log_out(self, member: Member) -> "Future[Any]":
        """Free the name. Fails with NotJoined, Unavailable."""
        check_here(member)
        future = self._store.release(member.claim)
        member.client.members.pop(member.claim.key, None)
        future.add_done_callback(partial(self._present.left, member))
        return then(future, lambda _: {"message": f"Goodbye, {member.name}!"})

    def ask(
        self,
        member: Member,
        operation: Callable[[Store], "Future[T]"],
        *,
        counts: bool = True,
        speaks: bool = True,
    ) -> "Future[T]":
        """What `operation` asks of the store for `member`; `counts` is whether it counts as a
        message, as all does that others hear of, `speaks` whether it is more than looking.

        Fails with NotJoined, Forbidden, RateLimited, and with what the operation fails with.
        """
        check_here(member)
        if speaks:
            check_may_speak(member)
        if counts:
            take(member.client.allowance.messages_of(member.claim.by))
        answered = operation(self._store)
        answered.add_done_callback(partial(self._present.close_if_lost, member))
        return answered

    def seat(
        self, member: Member, operation: Callable[[Store], "Future[Seat]"], *, speaks: bool = True
    ) -> "Future[Seat]":
        """The seat that `operation` gets from the store, once this process has told all up to it:
        what comes above it, the member hears.

        Fails as `ask` does.
        """
        answer: Future[Seat] = Future()

        def seated(future: "Future[Seat]") -> None:
            error = future.exception()
            if error is not None:
                complete(answer, None, error)
            else:
                seat = future.result()
                self.feed.when_told(seat.number, lambda: complete(answer, seat))

        self.ask(member, operation, speaks=speaks).add_done_callback(seated)
        return answer

    def read(
        self, member: Member, read: Callable[[Store], T], *, counts: bool = True
    ) -> "Lookup[T]":
        """What `read`, which may block its greenlet, gives in its turn; `counts` is whether it
        counts as history, as all does of which there is more than one.

        Fails with NotJoined, RateLimited, and with what `read` raises.
        """
        check_here(member)
        if counts:
            take(member.client.allowance.history)
        return member.client.history.ask(partial(read, self._store))

    def whisper(self, member: Member, seat: Seat) -> "Future[None] | None":
        """Tell those in a room that `member` is typing, unless it has said so of any room just now.

        Raises NotJoined, Forbidden; fails with them, too, and with Unavailable.
        """
        check_here(member)
        check_may_speak(member)
        if not member.has(seat):
            raise not_seated()
        if allows(self._typing.of(member.claim.by)):
            return self.ask(member, lambda store: store.typing(member.claim, seat), counts=False)
        return None

    def renew(self, member: Member, following: Identity) -> "Future[None]":
        """Go on with the next token of the same account, for the same rooms; what it says counts
        from when that is stored.

        Fails with NotJoined, Unauthorized, Unavailable.
        """
        present = member.identity
        if present is None or (following.subject, following.rooms) != (
            present.subject,
            present.rooms,
        ):
            raise unauthorized()

        def renewed(_: None) -> None:
            member.identity = following

        asked = self.ask(
            member,
            lambda store: store.renew(member.claim, following.issued, following.role),
            counts=False,
        )
        return then(asked, renewed)

    def closed(self, client: ClientState) -> None:
        """The connection is closed."""
        client.over = True
        for member in list(client.members.values()):
            self._present.part(member)

    # --- members

    def _with_member(
        self, client: ClientState, key: str, action: Callable[[Member], "Future[Any]"]
    ) -> "Future[Any]":
        """`action` on who has joined with this name, once no join of it is under way."""
        deciding = client.joining.get(key)
        if deciding is not None:
            answer: Future[Any] = Future()

            def go_on(_: "Future[None]") -> None:
                try:
                    pass_on(self._with_member(client, key, action), answer)
                except Exception as error:
                    complete(answer, None, error)

            deciding.add_done_callback(go_on)
            return answer
        member = client.members.get(key)
        if member is None:
            raise NotJoined(NOT_JOINED)
        return action(member)

    # --- time passes

    def _pass_time(self) -> None:
        """Let time take effect once, and wait until it is to do so again."""
        try:
            seconds = wait(self._store.tick())
        except Unavailable:
            seconds = MAX_TICK_SECONDS
        else:
            self._present.unanswered.ask_again()
        self._present.end_tokens()
        gevent.sleep(max(MIN_TICK_SECONDS, seconds))
