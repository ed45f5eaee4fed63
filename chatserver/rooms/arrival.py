"""Where somebody who comes in, or back, takes up what was told; and what `join` answers."""

from sys import intern
from typing import Any, NamedTuple

from chatserver.options import JoinOptions
from chatserver.people.tokens import Identity
from chatserver.rooms.member import Member
from chatserver.store.seats import LOBBY, Seat
from chatserver.store.values import Joined


class Arriving(NamedTuple):
    """Somebody who wants to come in, with this name, whose key is `key`. Without an `identity` it
    is a guest; one who is `quiet` may only look."""

    key: str
    name: str
    identity: Identity | None = None
    quiet: bool = False


class Arrival(NamedTuple):
    """Somebody has come in, or back.

    What is above `after` is told to it, in each room of `spans` what is above the number there.
    `recovered` is whether nothing that it should hear is missing, `epoch` names the log.
    """

    member: Member
    joined: Joined
    after: int
    recovered: bool
    spans: tuple[Seat, ...]
    epoch: str


def arrival_of(member: Member, joined: Joined, options: JoinOptions, epoch: str) -> Arrival:
    """Where the events of `member` begin; it gets its seats."""
    since, oldest = options.since, joined.first_id - 1
    if since is None:
        after, recovered = joined.last_id, True
    elif options.epoch not in (None, epoch) or since > joined.last_id:
        # Of another log, or of one that has lost its end: those ids say nothing here.
        after, recovered = joined.last_id, False
    else:
        after, recovered = max(since, oldest), since >= oldest
    if not member.full:
        return Arrival(member, joined, after, recovered, (Seat(LOBBY, after),), epoch)
    heard = tuple(seat for seat in joined.seats if member.hears(seat.room))
    member.seats = {intern(seat.room): seat.number for seat in heard}
    if since is not None and after < joined.last_id:
        # What was trimmed is missing of a room only for who was in it then.
        recovered = all(max(since, seat.number) >= oldest for seat in heard)
    return Arrival(member, joined, after, recovered, heard, epoch)


def welcome(arrival: Arrival) -> dict[str, Any]:
    """The answer to a join."""
    joined = arrival.joined
    return {
        "message": f"Welcome to the chat, {joined.name}!",
        "username": joined.name,
        "userCount": joined.online,
        "users": joined.users,
        "lastId": joined.last_id,
        "epoch": arrival.epoch,
        "resume": joined.claim.secret,
        "recovered": arrival.recovered,
    }
