"""All engines against the model: whatever people do, they are answered, told and shown what it
says."""

from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chatserver.store import open_store
from chatserver.store.interface import Policy
from tests.chatserver.store.conftest import Clock
from tests.chatserver.store.moderated_play import ModeratedPlay
from tests.chatserver.store.play import PRIVATE, ROLES

NAMES: Final = ("Ann", "Bob", "Cid", *ROLES)
PUBLIC: Final = ("lobby", "tea")

people = st.sampled_from(NAMES)
moderators = st.sampled_from((*NAMES, *ROLES, *ROLES))
rooms = st.sampled_from((*PUBLIC, *PRIVATE, "@0", "@1"))
numbers = st.integers(0, 3)

OPERATIONS: Final = st.one_of(
    st.tuples(st.just("login"), people),
    st.tuples(st.just("logout"), people),
    st.tuples(st.just("lose"), people),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait")),
    st.tuples(st.just("enter"), people, rooms),
    st.tuples(st.just("open"), people, st.sampled_from(PRIVATE), st.booleans()),
    st.tuples(st.just("direct"), people, people),
    st.tuples(st.just("create_pass"), people, rooms, st.integers(1, 2)),
    st.tuples(st.just("revoke_passes"), people, rooms),
    st.tuples(st.just("accept"), people, numbers),
    st.tuples(st.just("leave"), people, rooms),
    st.tuples(st.just("hand_on"), people, rooms, people),
    st.tuples(st.just("set_topic"), people, rooms, st.sampled_from(("", "tea"))),
    st.tuples(st.just("close"), people, rooms),
    *[
        st.tuples(st.just("say"), people, rooms, st.sampled_from("xy"), numbers, numbers)
        for _ in range(3)
    ],
    st.tuples(st.just("edit"), people, rooms, numbers, st.sampled_from("zw")),
    st.tuples(st.just("remove"), people, rooms, numbers),
    st.tuples(st.just("react"), people, rooms, numbers, st.booleans()),
    st.tuples(st.just("mark_read"), people, rooms, numbers),
    st.tuples(st.just("strike"), moderators, rooms, numbers),
    st.tuples(st.just("mute"), moderators, rooms, people),
    st.tuples(st.just("kick"), moderators, rooms, people),
    st.tuples(st.just("ban"), moderators, rooms | st.just("*"), people),
    st.tuples(st.just("lift"), moderators, rooms | st.just("*"), numbers),
    st.tuples(st.just("disconnect"), moderators, people),
    st.tuples(st.just("revoke"), moderators, people),
)


BEGINNING: Final = (
    *[("login", who) for who in NAMES],
    ("open", "Ann", "+one", False),
    ("create_pass", "Ann", "+one", 2),
    ("accept", "Bob", 0),
    ("accept", "Cid", 0),
    ("direct", "Bob", "Ann"),
)
"""So that there is something to do from the start."""


@pytest.mark.parametrize("engine", ["memory", "sqlite", "redis"])
def test_the_store_is_as_the_model(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: str,
    full: bool,
) -> None:
    @settings(max_examples=400 if full else 20, deadline=None, phases=(Phase.generate,))
    @given(operations=st.lists(OPERATIONS, min_size=30, max_size=60))
    def holds(operations: list[Any]) -> None:
        clock = Clock()
        if engine == "redis":
            url = request.getfixturevalue("redis_url")
            request.getfixturevalue("redis_client").flushall()
        elif engine == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('model')}/chat.db"
        else:
            url = "memory:"
        play = ModeratedPlay(
            lambda: open_store(url, Policy(), clock), clock, restarts=engine != "memory"
        )
        try:
            for operation in (*BEGINNING, *operations):
                play.do(*operation)
            play.check()
        finally:
            play.store.close()

    holds()
