"""What moderators and admins do on one worker is in force on the other when they are answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from capnweb_sync import RemoteError, SessionClosed
from chatserver.people.token_terms import Role
from chatserver.tokens import issue
from tests.chatserver.guests import SECRET, Guest, refusal
from tests.faults.deployment import GunicornDeployment
from tests.processes import Processes, wait_until
from tests.redis_server import DurableRedis
from tests.workers.placement import only

SENT_AWAY = 4004


def test_whoever_is_sanctioned_on_one_worker_is_so_on_the_other(
    processes: Processes, redis: DurableRedis, full: bool
) -> None:
    deployment = GunicornDeployment(processes, redis.url, 2, secret=SECRET)
    here, there = deployment.workers()
    boss = come_to(deployment, here, "Boss", "admin")
    ann = come_to(deployment, there, "Ann")

    mute_and_say(boss, ann, 1000 if full else 50)
    ban_beside_logins(deployment, boss.person.administer())
    revoke_beside_renewals(boss.person.administer(), ann)

    for guest in (boss, ann):
        guest.close()


def come_to(deployment: GunicornDeployment, worker: int, name: str, role: Role = "member") -> Guest:
    """Somebody who has logged in at this worker."""
    with only(deployment, worker):
        guest = Guest(deployment.url, None, token=issue(name, SECRET, role=role))
        assert guest.me["name"] == name
    return guest


def mute_and_say(boss: Guest, ann: Guest, times: int) -> None:
    """Each time that she is muted over there, the next thing that she says here is refused; what
    was under way is either said or refused."""
    seat = ann.enter("tea")
    moderator: Any = boss.person.moderate("tea").result()
    for _ in range(times):
        under_way = seat.say("under way")

        sanction = moderator.mute("Ann", 600, "spam").result()

        assert refusal(seat.say("too late")) == "forbidden"
        under_way.exception()
        moderator.lift(sanction).result()
    seat.say("the end").result()
    ann.wait_for("the end")
    assert "too late" not in [event.get("text") for event in ann.events]


def ban_beside_logins(deployment: GunicornDeployment, admin: Any) -> None:
    """Of ten who log in as one, wherever they come out, none is in once the ban is answered."""
    token = issue("Eve", SECRET)
    eves = [Guest(deployment.url, None, token=token) for _ in range(5)]
    assert eves[0].me["name"] == "Eve"
    with ThreadPoolExecutor(5) as pool:
        late = [pool.submit(Guest, deployment.url, None, token=token) for _ in range(5)]
        sanction = admin.ban({"name": "Eve"}, None, "enough").result()
    eves += [future.result() for future in late]

    assert {how_it_ended(eve) for eve in eves} <= {"forbidden", SENT_AWAY}
    assert "Eve" not in [place["name"] for place in admin.connections().result()]
    admin.lift(sanction).result()


def how_it_ended(guest: Guest) -> str | int | None:
    """The code of the error with which a login was refused, or with which the connection ends."""
    try:
        guest.person.me.result()
        wait_until(lambda: guest.session.closed, message="the connection is ended")
        guest.person.me.result()
    except RemoteError as error:
        return error.code
    except SessionClosed as closed:
        return closed.close_code
    finally:
        guest.close()
    raise AssertionError("Somebody is in.")


def revoke_beside_renewals(admin: Any, ann: Guest) -> None:
    """What she renews meanwhile keeps her in no longer."""
    token = issue("Ann", SECRET)
    renewals = [ann.person.renew(token) for _ in range(10)]

    admin.revoke("Ann").result()

    for renewal in renewals:
        renewal.exception()
    wait_until(lambda: ann.session.closed, message="Ann is out")
    assert "Ann" not in [place["name"] for place in admin.connections().result()]
