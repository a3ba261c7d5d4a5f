"""A conversation that was not understood is held once more.

Both who speak here, the agent's decoder and the ear of the softphone, hear by chance: what they
hear depends on noise and on how the sound falls into their frames. How often they hear right is
measured by bench/nomatch.py; a test marked `spoken` is about what is done with what was heard. So,
like a caller who was not understood, it calls again, once, and is named at the end of the session;
but not where the mark says `again=False`, nor when a secret was found in the first call, since what
should never be must not be once either.
"""

from typing import Final

import pytest
from _pytest.runner import runtestprotocol

import private

AGAIN: Final = "called again"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a spoken test, and again when it failed; what is around it is no part of the talk."""
    mark = item.get_closest_marker("spoken")
    if mark is None or not mark.kwargs.get("again", True):
        return None
    told = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**told)
    found = len(private.FOUND)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    failed = [report for report in reports if report.failed]
    unheard = failed and all(report.when == "call" for report in failed)
    if unheard and len(private.FOUND) == found:
        item.user_properties.append((AGAIN, reason(failed[0])))
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(**told)
    return True


def reason(report: pytest.TestReport) -> str:
    """The line that failed, and the first line of why."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return "no reason was given"
    return f"line {crash.lineno}: {crash.message.splitlines()[0] if crash.message else ''}"


class SecondCalls:
    """Names the conversations that were held twice."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, why in report.user_properties:
            if name == AGAIN:
                self._held[report.nodeid] = str(why)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._held:
            terminalreporter.section("spoken tests that called a second time")
            for nodeid, why in sorted(self._held.items()):
                terminalreporter.write_line(f"{nodeid}: {why}")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondCalls())
