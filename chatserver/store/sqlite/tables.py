"""What the state consists of, to and from the tables of the database."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from chatserver.store.interface import MAX_TRIM, Policy
from chatserver.store.seats import Sanction
from chatserver.store.state import ChatState
from chatserver.store.state.archive import Archive
from chatserver.store.state.records import (
    AccountRecord,
    Changes,
    Holding,
    Notice,
    Pass,
    RoomRecord,
    SeatRecord,
    Somebody,
)
from chatserver.store.state.room import Room

ACCOUNTS: Final = "SELECT key, name, subject, role, revoked FROM account"

SANCTIONS: Final = f"SELECT {', '.join(Sanction._fields)} FROM sanction"

INSERT_HOLDING: Final = "INSERT OR REPLACE INTO holding VALUES (?,?,?,?,?,?,?,?,?)"

INSERT_ACCOUNT: Final = "INSERT INTO account VALUES (?,?,?,?,?,?)"

INSERT_ERASED: Final = "INSERT OR REPLACE INTO erased VALUES (?,?)"

INSERT_SANCTION: Final = "INSERT INTO sanction VALUES (?,?,?,?,?,?,?,?,?,?,?)"

NOTICES: Final = "SELECT number, type, key, name, room, by FROM notice ORDER BY number"

ROOM: Final = "number, name, kind, title, topic, owner, maker, everything, last_id, said"


# One that began in this very transaction, too: what was said in it is in there already.
ENDED: Final = f"""
    INSERT INTO room ({ROOM}, ended) VALUES (?, '', '', '', '', '', '', 0, 0, 0, 1)
    ON CONFLICT (number) DO UPDATE SET ended = 1"""


def stored_state(connection: sqlite3.Connection, policy: Policy, archive: Archive) -> ChatState:
    """The state that is stored. Raises sqlite3.Error."""

    def one(query: str) -> Any:
        return connection.execute(query).fetchone()[0]

    first_id, last_id = one("SELECT min(id) FROM event"), one("SELECT max(id) FROM event")
    last_id = max(last_id or 0, one("SELECT coalesce(max(last_id), 0) FROM room"))
    return ChatState(
        policy,
        archive,
        first_id=last_id + 1 if first_id is None else first_id,
        last_id=last_id,
        holdings=stored_holdings(connection),
        rooms=stored_rooms(connection),
        last_room=one("SELECT max(number) FROM room"),
        notices=[Notice(*row) for row in connection.execute(NOTICES).fetchall()],
        blocks=connection.execute("SELECT by, key FROM block").fetchall(),
        accounts=[AccountRecord(*row) for row in connection.execute(ACCOUNTS).fetchall()],
        erased=connection.execute("SELECT by, revoked FROM erased").fetchall(),
        sanctions=[Sanction(*row) for row in connection.execute(SANCTIONS).fetchall()],
        last_sanction=one("SELECT last_sanction FROM log"),
    )


def stored_holdings(connection: sqlite3.Connection) -> list[Holding]:
    """The stays, in joining order."""
    query = """
        SELECT number, key, name, by, place, secret, holder, until, address
        FROM holding ORDER BY number"""
    return [
        Holding(number, Somebody(key, name, by, place > 0), place, *rest)
        for number, key, name, by, place, *rest in connection.execute(query).fetchall()
    ]


def stored_rooms(connection: sqlite3.Connection) -> list[Room]:
    """All rooms that have not ended, with all that belongs to them."""
    query = f"SELECT {ROOM} FROM room WHERE NOT ended"
    rooms = {row[0]: Room(RoomRecord(*row)) for row in connection.execute(query).fetchall()}
    for room in rooms.values():
        newest = "SELECT id, number FROM event WHERE room = ? ORDER BY id DESC LIMIT 1"
        row = connection.execute(newest, (room.number,)).fetchone()
        if row is not None:
            room.last_id, room.said = row
    seats = "SELECT room, by, number, name, read FROM seat ORDER BY rowid"
    for number, by, *seat in connection.execute(seats):
        rooms[number].seats[by] = SeatRecord(*seat)
    for row in connection.execute("SELECT digest, room, until_ms, uses FROM pass"):
        rooms[row[1]].passes[row[0]] = Pass(*row)
    for message, number in connection.execute("SELECT id, room FROM reacted ORDER BY id"):
        rooms[number].reacted[message] = None
    return list(rooms.values())


def store_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    """What was changed beside the log, in the transaction under way. Raises sqlite3.Error."""

    def many(statement: str, parameters: Iterable[Any]) -> None:
        connection.executemany(statement, parameters).close()

    many(
        "INSERT OR REPLACE INTO sent VALUES (?,?,?,?)",
        [(s.id, s.digest, s.text_digest, s.time_ms) for s in changes.used_keys.values()],
    )
    many(
        "DELETE FROM holding WHERE key = ? AND place = ?",
        [slot for slot, holding in changes.holdings.items() if holding is None],
    )
    many(
        INSERT_HOLDING,
        [
            (*h.slot, h.number, h.who.name, h.who.by, h.secret, h.holder, h.until, h.address)
            for h in changes.holdings.values()
            if h is not None
        ],
    )
    if changes.accounts or changes.sanctions:
        store_people(connection, changes)
    if changes.rooms:
        # What ends first: its name may be another's by now.
        many(ENDED, [(number,) for number, room in changes.rooms.items() if room is None])
        many(
            f"INSERT OR REPLACE INTO room ({ROOM}) VALUES (?,?,?,?,?,?,?,?,?,?)",
            [room for room in changes.rooms.values() if room is not None],
        )
    many(
        "DELETE FROM seat WHERE room = ? AND by = ?",
        [place for place, seat in changes.seats.items() if seat is None],
    )
    many(
        # In place: the order of rows is that in which they began.
        """INSERT INTO seat (room, by, number, name, read) VALUES (?,?,?,?,?)
            ON CONFLICT (room, by) DO UPDATE
            SET number = excluded.number, name = excluded.name, read = excluded.read""",
        [(*place, *seat) for place, seat in changes.seats.items() if seat is not None],
    )
    if changes.passes or changes.blocks or changes.reacted:
        store_small(connection, changes)
    many(
        "INSERT INTO notice (number, type, key, name, room, by) VALUES (?,?,?,?,?,?)",
        changes.notices,
    )
    many("DELETE FROM notice WHERE number = ?", [(n,) for n in changes.told])


def store_people(connection: sqlite3.Connection, changes: Changes) -> None:
    """Accounts and sanctions."""
    for key, account in changes.accounts.items():
        # Another one may have its name by now.
        connection.execute("DELETE FROM account WHERE key = ?", (key,))
        if account is not None:
            row = (*account, account.who.by)
            connection.execute(INSERT_ACCOUNT, row)
    for by, revoked in changes.erased.items():
        if revoked is None:
            connection.execute("DELETE FROM erased WHERE by = ?", (by,))
        else:
            connection.execute(INSERT_ERASED, (by, revoked))
    for number, sanction in changes.sanctions.items():
        if sanction is None:
            connection.execute("DELETE FROM sanction WHERE number = ?", (number,))
        else:
            connection.execute(INSERT_SANCTION, sanction)
    if changes.sanctions:
        made = "UPDATE log SET last_sanction = max(last_sanction, ?)"
        connection.execute(made, (max(changes.sanctions),))


def store_small(connection: sqlite3.Connection, changes: Changes) -> None:
    """What hardly ever changes: passes, blocks, and reactions that are to be told."""
    for digest, found in changes.passes.items():
        if found is None:
            connection.execute("DELETE FROM pass WHERE digest = ?", (digest,))
        else:
            connection.execute("INSERT OR REPLACE INTO pass VALUES (?,?,?,?)", found)
    for block, on in changes.blocks.items():
        statement = "INSERT OR IGNORE INTO block VALUES (?,?)"
        connection.execute(statement if on else "DELETE FROM block WHERE by = ? AND key = ?", block)
    for message, room in changes.reacted.items():
        if room is None:
            connection.execute("DELETE FROM reacted WHERE id = ?", (message,))
        else:
            connection.execute("INSERT OR IGNORE INTO reacted VALUES (?,?)", (message, room))


def trim(connection: sqlite3.Connection, keep_from: int) -> None:
    """Remove the events before this id. What their rooms must know of them is kept."""
    newest = "SELECT room, max(id), number FROM event WHERE id < ? AND room NOT NULL GROUP BY room"
    for room, last_id, said in connection.execute(newest, (keep_from,)).fetchall():
        change = "UPDATE room SET last_id = ?, said = ? WHERE number = ? AND last_id < ?"
        connection.execute(change, (last_id, said, room, last_id))
    for table in ("event", "reaction", "reacted"):
        connection.execute(f"DELETE FROM {table} WHERE id < ?", (keep_from,))


def ended_rooms(connection: sqlite3.Connection) -> list[int]:
    """Rooms whose events are still to be erased, MAX_TRIM of them at most."""
    query = "SELECT number FROM room WHERE ended LIMIT ?"
    return [number for (number,) in connection.execute(query, (MAX_TRIM,))]


def erase_rooms(connection: sqlite3.Connection, rooms: Iterable[int]) -> None:
    """Erase what was said in rooms that have ended, about MAX_TRIM rows of it at a time: they may
    end as fast as they are made."""
    left = MAX_TRIM
    for room in rooms:
        if left > 0:
            left -= 1 + erase_room(connection, room, left)


def erase_room(connection: sqlite3.Connection, room: int, most: int) -> int:
    """Erase so many events, and the room once nothing is left; the number of events."""
    query = "SELECT id FROM event WHERE room = ? LIMIT ?"
    found = connection.execute(query, (room, most)).fetchall()
    connection.executemany("DELETE FROM event WHERE id = ?", found).close()
    connection.executemany("DELETE FROM reaction WHERE id = ?", found).close()
    if len(found) < most:
        connection.execute("DELETE FROM room WHERE number = ?", (room,))
    return len(found)
