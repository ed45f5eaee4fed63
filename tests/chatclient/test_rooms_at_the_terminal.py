"""Rooms, messages and what is queued, as somebody at a terminal has them; no screen."""

from collections.abc import Callable, Iterator

import pytest

from chatclient import ChatClient, Room
from chatclient.showing import Wishes
from tests.chatclient.typist import Typist
from tests.processes import Processes, ServerProcess, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One server for all of this file; each test has names and rooms of its own."""
    with Processes() as processes:
        server = ServerProcess("--store", "memory:")
        processes.add(server)
        yield server


Sit = Callable[..., Typist]


@pytest.fixture
def sit(server: ServerProcess) -> Iterator[Sit]:
    """Somebody sits down at a terminal."""
    sitting = []

    def sit(
        name: str | None, *, room: str | None = None, history: int = 20, **of: object
    ) -> Typist:
        typist = Typist(**of)  # type: ignore[arg-type]
        typist.start(server.url, name, room=room, history=history)
        sitting.append(typist)
        return typist

    yield sit
    for typist in sitting:
        with typist:
            pass


def test_the_prompt_names_the_room(sit: Sit) -> None:
    ann = sit("Ann 1")
    assert ann.program.prompt() == "> "
    ann.types("/enter garden1")
    ann.sees("* You are in garden1.")
    assert ann.program.prompt() == "garden1> "
    ann.types("/room")
    wait_until(lambda: ann.program.prompt() == "> ")


def test_what_is_said_behind_enter_is_said_there(sit: Sit, server: ServerProcess) -> None:
    ann = sit("Ann 2")
    ann.types("/enter garden2", "hello roses")
    ann.sees("* You are in garden2.", "[Ann 2]: hello roses")
    with ChatClient(server.url, "Eve 2") as eve:
        said = [event.text for event in eve.enter("garden2").history()]
    assert said == ["hello roses"]


def test_what_is_said_for_a_room_that_cannot_be_entered_is_said_nowhere(sit: Sit) -> None:
    ann = sit("Ann 3")
    ann.types("/enter + no such room", "a secret")
    ann.sees("Not said: a secret — You are not in + no such room.")
    assert ann.program.prompt() == "> "
    assert not any(line.endswith("]: a secret") for line in ann.lines)


def test_messages_of_other_rooms_are_counted_and_shown_when_one_goes_there(sit: Sit) -> None:
    ann, bob = sit("Ann 4"), sit("Bob 4")
    ann.types("/enter garden4")
    ann.sees("* You are in garden4.")
    ann.types("/room lobby")
    bob.types("/enter garden4", "one", "two, Ann 4!")
    wait_until(lambda: ann.program.bottom() == "2 garden4 2!")
    assert "[Bob 4]: one" not in ann.lines
    ann.program.turn_to(2)
    ann.sees("* You are in garden4.", "—— 2 new ——", "[Bob 4]: one", "[Bob 4]: two, Ann 4!")
    assert ann.program.bottom() == ""


def test_with_all_on_other_rooms_are_shown_with_their_names(sit: Sit) -> None:
    ann, bob = sit("Ann 5"), sit("Bob 5")
    ann.types("/all on", "/enter garden5")
    ann.sees("* You are in garden5.")
    ann.types("/room")
    bob.types("/enter garden5", "hello")
    ann.sees("(garden5) [Bob 5]: hello")
    ann.types("/room")
    wait_until(lambda: ann.program.prompt() == "garden5> ")
    assert "[Bob 5]: hello" not in ann.lines


def test_a_conversation_of_two(sit: Sit) -> None:
    ann, bob = sit("Ann 6", wishes=Wishes(bell=True)), sit("Bob 6")
    ann.types("hi")
    bob.sees("[Ann 6]: hi")
    bob.types("/msg Ann 6 psst")
    wait_until(lambda: ann.program.bottom() == "2 @Bob 6 1!")
    assert ann.bells == 1
    ann.types("/room bob 6", "yes?")
    ann.sees("* You are in @Bob 6.", "[Bob 6]: psst", "[Ann 6]: yes?")
    wait_until(lambda: "@Ann 6 1!" in bob.program.bottom())
    bob.types("/msg @Ann 6")
    bob.sees("* You are in @Ann 6.", "—— 1 new ——", "[Ann 6]: yes?")


def test_a_private_room_is_opened_and_entered_by_a_pass(sit: Sit) -> None:
    ann, bob = sit("Ann 7"), sit("Bob 7")
    ann.types("/open Plans", "/topic for spring", "/invite Bob 7")
    ann.sees("* You are in +Plans.", "* Bob 7 is invited.")
    wait_until(lambda: "@Ann 7 1!" in bob.program.bottom())
    bob.types("/msg Ann 7")
    wait_until(lambda: any("Come to Plans: /accept " in line for line in bob.lines))
    (line,) = [line for line in bob.lines if "/accept" in line]
    bob.types(line[line.index("/accept") :].replace("\n", "").replace("    ", ""))
    bob.sees("* You are in +Plans: for spring")
    ann.sees("* Bob 7 joined Plans")
    ann.types("/people")
    ann.sees("2 here: Ann 7 (owner), Bob 7")
    bob.types("/leave")
    bob.sees("* You are in @Ann 7.")


def test_messages_are_changed_answered_removed_and_reacted_to(sit: Sit) -> None:
    ann, bob = sit("Ann 8", room="garden8"), sit("Bob 8", room="garden8")
    ann.types("Who likes rosse?")
    bob.sees("[Ann 8]: Who likes rosse?")
    ann.sees("[Ann 8]: Who likes rosse?")
    ann.types("/edit Who likes roses?")
    bob.sees("* Ann 8 changed a message: Who likes roses?")
    bob.types("/reply I do.", "/react +1", "/me dances")
    ann.sees("    > Ann 8: Who likes roses?", "[Bob 8]: I do.")
    ann.sees('* "Who likes roses?": 👍 1')
    ann.sees("** Bob 8 dances")
    bob.sees("** Bob 8 dances")
    bob.types("/remove")
    ann.sees("* Bob 8 removed a message")
    ann.types("/edit")
    wait_until(lambda: bool(ann.given_back))
    assert ann.given_back[0].endswith(" Who likes roses?")
    ann.types("/history")
    ann.sees("[Ann 8]: Who likes roses? (edited) 👍 1")


def test_the_rooms_that_there_are(sit: Sit) -> None:
    ann = sit("Ann 9", room="garden9")
    ann.types("/rooms")
    ann.sees("* garden9, 1 person")


def test_keys_go_through_the_rooms(sit: Sit) -> None:
    ann = sit("Ann 10")
    ann.types("/enter garden10a", "/enter garden10b")
    ann.sees("* You are in garden10b.")
    prompts = []
    for _ in range(3):
        ann.program.turn(1)
        prompts.append(ann.program.prompt())
    assert prompts == ["> ", "garden10a> ", "garden10b> "]
    ann.program.turn(-1)
    assert ann.program.prompt() == "garden10a> "


def test_whoever_is_thrown_out_is_back_in_the_lobby(sit: Sit, server: ServerProcess) -> None:
    with ChatClient(server.url, "Eve 11") as eve:
        room: Room = eve.open("Plans")
        ann = sit("Ann 11")
        ann.types(f"/accept {room.create_pass()}")
        ann.sees("* You are in +Plans.")
        room.close()
        ann.sees("* You are in +Plans.", "* You are in lobby.")
        assert ann.program.prompt() == "> "


def test_who_is_blocked_is_said_after_each_change_and_alone(sit: Sit) -> None:
    ann, ben = sit("Ann 40"), sit("Ben 40")
    ann.types("/block")
    ann.sees("You block nobody.")
    ann.types("/block @Ben 40", "/block nobody here")
    ann.sees("You block Ben 40.", "You block Ben 40, nobody here.")
    ben.types("/msg Ann 40 psst")
    ben.sees(
        "There is no such room, or none that you may see.",
        "Not said: /msg Ann 40 psst — You are not in @Ann 40.",
    )
    ann.types("/unblock Ben 40")
    ann.sees("You block nobody here.")
