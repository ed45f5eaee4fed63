"""A log that anyone can make us write to is not flooded, and tells of what was left out."""

import logging
from collections.abc import Iterator

import pytest

from capnweb_sync.floods import MAX_LINES, WINDOW, FloodFilter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Lines(logging.Handler):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def floods(clock: Clock) -> FloodFilter:
    return FloodFilter(clock)


@pytest.fixture
def logger(floods: FloodFilter) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.floods")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addFilter(floods)
    yield logger
    logger.removeFilter(floods)


@pytest.fixture
def lines(logger: logging.Logger) -> Iterator[list[str]]:
    handler = Lines()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def refuse(logger: logging.Logger, *clients: int) -> None:
    for client in clients:
        logger.info("The client %s has gone", client)


def fail(logger: logging.Logger, error: Exception) -> None:
    try:
        if isinstance(error, ValueError):
            raise error
        raise error
    except Exception:
        logger.exception("A call failed")


def test_the_same_line_is_written_ten_times_a_minute(
    logger: logging.Logger, lines: list[str], clock: Clock
) -> None:
    refuse(logger, *range(100))
    assert lines == [f"The client {client} has gone" for client in range(MAX_LINES)]

    clock.now += WINDOW
    refuse(logger, 100)

    assert lines[MAX_LINES:] == [
        "… 90 more of these in the last minute: The client %s has gone",
        "The client 100 has gone",
    ]


def test_other_lines_are_written_meanwhile_and_bring_the_count(
    logger: logging.Logger, lines: list[str], clock: Clock
) -> None:
    refuse(logger, *range(20))
    logger.warning("something else")
    assert lines[MAX_LINES:] == ["something else"]

    clock.now += WINDOW
    logger.warning("something else again")

    assert lines[MAX_LINES + 1].startswith("… 10 more of these")
    assert lines[MAX_LINES + 2] == "something else again"


def test_the_count_can_be_asked_for(
    logger: logging.Logger, lines: list[str], clock: Clock, floods: FloodFilter
) -> None:
    refuse(logger, *range(322))
    floods.flush()
    assert len(lines) == MAX_LINES

    clock.now += WINDOW
    floods.flush()
    floods.flush()

    assert [line[:7] for line in lines[MAX_LINES:]] == ["… 312 m"]


def test_who_is_not_flooding_is_never_counted(
    logger: logging.Logger, lines: list[str], clock: Clock, floods: FloodFilter
) -> None:
    for _ in range(5):
        refuse(logger, *range(MAX_LINES))
        clock.now += WINDOW
    floods.flush()

    assert len(lines) == 5 * MAX_LINES


def test_one_failure_does_not_hide_another(logger: logging.Logger, lines: list[str]) -> None:
    for _ in range(20):
        fail(logger, ValueError("one"))
        fail(logger, ValueError("another text, which may be the client's"))
    assert len(lines) == MAX_LINES

    fail(logger, KeyError("of another kind"))

    assert len(lines) == MAX_LINES + 1


def test_a_handler_can_have_the_filter(
    logger: logging.Logger, floods: FloodFilter, clock: Clock
) -> None:
    logger.removeFilter(floods)
    handler = Lines()
    handler.addFilter(floods)
    logger.addHandler(handler)

    refuse(logger, *range(20))
    clock.now += WINDOW
    floods.flush()
    logger.removeHandler(handler)

    assert [line[:6] for line in handler.lines[MAX_LINES:]] == ["… 10 m"]


def test_a_source_has_its_lines_and_is_named_with_its_count(clock: Clock) -> None:
    floods = FloodFilter(clock, most=2, source=lambda record: record.args[0])  # type: ignore[index]
    logger, handler = logging.getLogger("tests.floods.sources"), Lines()
    logger.propagate = False
    logger.addFilter(floods)
    logger.addHandler(handler)

    for client in ("a", "b", "a", "a", None, "a", None, None):
        logger.warning("Asked by %s", client)
    clock.now += WINDOW
    floods.flush()

    asked = ("a", "b", "a", None, None, None)
    assert handler.lines == [
        *(f"Asked by {client}" for client in asked),
        "… 2 more of these in the last minute, of a: Asked by %s",
    ]
