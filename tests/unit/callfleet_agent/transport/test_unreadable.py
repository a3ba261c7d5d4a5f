"""Of SIP that cannot be read one line a minute is logged, which tells nothing of what was in it."""

import logging

import pytest

from callfleet_agent.transport.unreadable import SELDOM_S, UnreadableLog

MESSAGE = "SIP that cannot be read was dropped without an answer"


@pytest.fixture
def log() -> UnreadableLog:
    return UnreadableLog()


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """Message and fields of each line."""
    fields = [vars(record) for record in caplog.records]
    return [(each["message"], each["messages"], each["transport"]) for each in fields]


def test_nothing_is_said_where_everything_is_answered(
    log: UnreadableLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.tell(0, "UDP", 1.0)
    log.tell(0, "UDP", 1000.0)
    assert told(caplog) == []


def test_the_first_is_told_at_once(log: UnreadableLog, caplog: pytest.LogCaptureFixture) -> None:
    log.tell(1, "TCP", 1.0)
    assert told(caplog) == [(MESSAGE, 1, "TCP")]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_those_that_follow_are_told_together(
    log: UnreadableLog, caplog: pytest.LogCaptureFixture
) -> None:
    for count in range(1, 500):
        log.tell(count, "UDP", 4.0 + count / 10)
    log.tell(500, "UDP", 5.0 + SELDOM_S)
    log.tell(500, "UDP", 10 * SELDOM_S)
    log.tell(502, "TCP", 10 * SELDOM_S)
    assert told(caplog) == [(MESSAGE, 1, "UDP"), (MESSAGE, 499, "UDP"), (MESSAGE, 2, "TCP")]
