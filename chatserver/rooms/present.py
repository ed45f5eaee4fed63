"""Who is here, in this process: the members of its connections, and their ends.

The store decides; here it is carried out. A connection's end, however it comes, is turned into what
the membership table says: its names become free or wait. What the store could not be told is told
again until it is.
"""

import logging
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

import gevent

from capnweb_sync.close_codes import ACCOUNT_CAME, SENT_AWAY, TAKEN_OVER, TOKEN_OVER, CloseCode
from chatserver.errors import ClaimLost, Unavailable
from chatserver.logs import people_logger, tell
from chatserver.rooms.feed import Feed
from chatserver.rooms.member import Member
from chatserver.rooms.token_ends import TokenEnds
from chatserver.rooms.unanswered import Unanswered
from chatserver.store.interface import Store
from chatserver.store.values import Lost, Why

logger = logging.getLogger("chatserver")

VERDICT_SECONDS: Final = 1.0
"""How long a refused append waits for the tail to tell who has the name now. A client that was
taken over must not come back by itself, so the two must not be mixed up."""

ENDS: Final[dict[Why, tuple[int, str]]] = {
    "taken_over": (TAKEN_OVER, "has joined from elsewhere"),
    "account_came": (ACCOUNT_CAME, "is an account's name"),
    "revoked": (TOKEN_OVER, "has to show another token"),
    "sent_away": (SENT_AWAY, "was sent away"),
}
"""How a connection is closed whose claim was lost, and what is said of the name."""


class Present:
    """The members of this process.

    Attributes:
        feed: tells them what the log says.
        unanswered: what the store is asked until it has answered.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.feed = Feed(store, self._lost, self._reset)
        self.unanswered = Unanswered()
        self._token_ends = TokenEnds()
        self._members: dict[str, Member] = {}
        """By holder."""
        self._claiming: dict[str, Lost | None] = {}
        """By holder: whose claims are not answered, and what the tail has said of them already."""

    def __len__(self) -> int:
        return len(self._members)

    def claiming(self, holder: str, claim: "Future[Any]") -> None:
        """The store was asked for a name, and may be overtaken with its answer by the tail, which
        says that the claim is lost again. To be called after all that is done with the answer was
        put down."""
        self._claiming[holder] = None

        def answered(_: "Future[Any]") -> None:
            lost = self._claiming.pop(holder)
            if lost is not None:
                self._lost(lost)

        claim.add_done_callback(answered)

    def enter(self, member: Member) -> None:
        """The store has given a name to `member`."""
        client, key = member.client, member.claim.key
        old = client.members.get(key)
        if old is not None:
            # Taken over from the same connection, which lives on.
            self._forget(old)
        self._members[member.claim.holder] = client.members[key] = member
        if client.over:
            self.part(member)

    def _forget(self, member: Member) -> None:
        """The stay is over on this side: nothing more is delivered. Idempotent."""
        self._members.pop(member.claim.holder, None)
        if member.client.members.get(member.claim.key) is member:
            del member.client.members[member.claim.key]
        self.feed.remove(member)
        if member.callback is None:
            return
        try:
            member.callback.dispose()
        except Exception:
            # There is more to end than this.
            logger.exception("The callback of %s cannot be given up.", member.name)

    def part(self, member: Member) -> None:
        """The member's connection is closed: its name becomes free, or waits."""
        on_purpose = member.client.connection.closed_on_purpose
        end = self._store.release if on_purpose else self._store.suspend
        self._forget(member)
        self.unanswered.ask(partial(end, member.claim))

    def left(self, member: Member, released: "Future[None]") -> None:
        """The store was asked to free the member's name."""
        if not isinstance(released.exception(), Unavailable):
            self._forget(member)
            tell_of(member, "Left")
        elif member.client.over:
            self.part(member)
        else:
            # The caller may try again.
            member.client.members.setdefault(member.claim.key, member)

    def end_tokens(self) -> None:
        """End the stays of those whose tokens are over."""
        for member in self._token_ends.over(self._members.values()):
            self.unanswered.ask(partial(self._store.release, member.claim))
            self._dismiss(member.claim.holder, TOKEN_OVER, "has to show the next token")

    # --- what the log and the store tell

    def _lost(self, lost: Lost) -> None:
        """A member has lost its claim: another connection, perhaps of another worker, has taken it
        over, or it was decided so."""
        if lost.holder in self._claiming:
            self._claiming[lost.holder] = lost
            return
        member = self._members.get(lost.holder)
        deciding = member and member.client.joining.get(member.claim.key)
        if deciding:
            # It may be its own connection that goes on, with an answer that the tail has overtaken.
            deciding.add_done_callback(lambda _: self._lost(lost))
        else:
            code, why = ENDS[lost.why]
            self._dismiss(lost.holder, code, why, lost.text)

    def close_if_lost(self, member: Member, future: "Future[Any]") -> None:
        """The store does not know the claim any more. If another connection has it now, the tail is
        about to say so; if it lapsed while this worker was cut off, the client is to join again."""
        if isinstance(future.exception(), ClaimLost):
            what = (member.claim.holder, CloseCode.SERVICE_RESTART, "has to join again")
            gevent.spawn_later(VERDICT_SECONDS, self._dismiss, *what)

    def _dismiss(self, holder: str, code: int, why: str, text: str = "") -> None:
        """The membership ends, if it is here, and its client is told so by its connection's end;
        with `text`, if there is one, instead of what is said of the name."""
        member = self._members.get(holder)
        if member is not None:
            self._forget(member)
            member.client.dismissed += (member.name,)
            member.send_away(code, f"{text}." if text else f"{member.name} {why}.")

    def _reset(self) -> None:
        for member in list(self._members.values()):
            member.send_away(CloseCode.SERVICE_RESTART, "The log began anew; join again.")


def tell_of(member: Member, what: str) -> None:
    """Log what becomes of a person."""
    tell(people_logger, logging.INFO, what, person=member.name, connection=member.client.number)


def tell_use(member: Member, what: str, **fields: Any) -> None:
    """Log what somebody does to others, or looks at: `fields` say to whom, and where."""
    tell(people_logger, logging.INFO, what, by=member.name, **fields)
