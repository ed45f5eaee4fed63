"""The table of scenarios, printed at the end: who called whom, and what came of it.

A plugin and no part of conftest.py, since the process that prints may run no test itself.
"""

from collections.abc import Generator

import pytest

#: The property by which a report says what it is of.
CELL = "cell of the table of scenarios"

CLIENTS = {
    "test_our_client": "ours",
    "test_our_batch": "ours",
    "test_reference_client": "npm",
    "test_reference_batch": "npm",
}

SERVERS = {"our_server": "ours", "our_server_in_threads": "threads", "reference_server": "npm"}

COLUMNS = tuple(f"{client} → {server}" for client in ("ours", "npm") for server in SERVERS.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        parameters = item.callspec.params
        client = CLIENTS.get(item.originalname)
        if client and (call.when == "call" or not report.passed):
            column = f"{client} → {SERVERS[str(parameters['server'])]}"
            report.user_properties.append((CELL, [str(parameters["scenario"]), column]))
    return report


class Table:
    """Collects the outcomes as they are reported."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, cell in report.user_properties:
            if name == CELL and isinstance(cell, list):
                scenario, column = cell
                self._outcomes[scenario, column] = report.outcome

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._outcomes:
            return
        terminalreporter.section("client → server, through one table of scenarios")
        scenarios = dict.fromkeys(scenario for scenario, _ in self._outcomes)
        width = max(map(len, scenarios))
        terminalreporter.line(f"{'':{width}}  " + "  ".join(COLUMNS))
        for scenario in scenarios:
            cells = [self._outcomes.get((scenario, column), "-") for column in COLUMNS]
            line = "  ".join(
                f"{cell:{len(column)}}" for cell, column in zip(cells, COLUMNS, strict=True)
            )
            terminalreporter.line(f"{scenario:{width}}  {line.rstrip()}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table())
