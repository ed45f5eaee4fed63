"""The form of a line, for people and for programs."""

import json
import logging
import sys

import pytest

from chatserver.logs.form import MAX_LINE, JsonFormatter, LineFormatter, tell


@pytest.fixture
def record(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """A line about somebody who chose a name to break it."""
    tell(
        logging.getLogger("chatserver.people"),
        logging.WARNING,
        "Joined",
        person="Eve\n2026 ERROR \x1b[2J\u202e",
        connection=7,
        names=["a", "b"],
        back=True,
        nothing=None,
        empty="",
        said='a "word"',
    )
    return caplog.records[0]


def test_a_line_says_when_how_bad_where_and_what_about(record: logging.LogRecord) -> None:
    time, level, process, logger, rest = LineFormatter().format(record).split(" ", 4)

    assert time[10:11] == "T"
    assert time[-6] in "+-"
    assert (level, process, logger) == ("WARNING", str(record.process), "chatserver.people:")
    assert rest == (
        r'Joined person="Eve\\n2026 ERROR \\x1b[2J\\u202e" connection=7 names=a,b back=true'
        r' empty="" said="a \"word\""'
    )


def test_in_json_it_is_an_object_of_the_same_names(record: logging.LogRecord) -> None:
    line = JsonFormatter().format(record)

    assert line.isprintable()
    said = json.loads(line)
    assert said["message"] == "Joined"
    assert said["person"] == "Eve\n2026 ERROR \x1b[2J\u202e"
    assert said["names"] == ["a", "b"]
    assert "nothing" not in said


def test_a_traceback_stands_indented_below_its_line() -> None:
    try:
        raise ValueError("x\ny" * MAX_LINE)
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "A bug", None, sys.exc_info())

    first, *rest = LineFormatter().format(record).splitlines()

    assert first.endswith("A bug")
    assert all(line.startswith("  ") for line in rest)
    assert rest[-1] == "  y"
    assert sum(map(len, rest)) < 2 * MAX_LINE
    assert len(JsonFormatter().format(record)) < 2 * MAX_LINE
