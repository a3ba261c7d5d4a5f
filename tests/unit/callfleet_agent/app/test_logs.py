"""Log lines have the platform's format."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from callfleet_agent.app import logs
from callfleet_agent.services.correlation import is_about


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_the_fields_that_collectors_read(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("callfleet-connector", "info", fixed={"instance": "pod-1"}, stream=stream)
    with logs.correlated("0b9c7a4e"):
        logging.getLogger("callfleet").info("a call was refused", extra={"reason": "full"})
    logging.getLogger("callfleet").debug("not at this level")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("+00:00")
    assert line.pop("version")[0].isdigit()
    assert line == {
        "level": "INFO",
        "correlation_id": "0b9c7a4e",
        "service": "callfleet-connector",
        "instance": "pod-1",
        "message": "a call was refused",
        "logger": "callfleet",
        "reason": "full",
    }


async def test_a_line_about_a_session_says_which(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("x", "INFO", stream=stream)

    async def work(session_id: str) -> None:
        is_about(session_id)
        await asyncio.sleep(0)
        await asyncio.create_task(speak())

    async def speak() -> None:
        logging.getLogger("callfleet").info("it was done")

    await asyncio.gather(work("a"), work("b"))
    await speak()
    assert [line.get("session_id") for line in lines(stream)] == ["a", "b", None]


def test_an_exception_stays_on_its_line(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("x", "INFO", stream=stream)
    try:
        int("wrong")
    except ValueError:
        logging.getLogger().exception("it failed")
    (line,) = lines(stream)
    assert "ValueError: invalid literal" in line["error"]
    assert line["correlation_id"] == ""


def test_a_person_reads_a_short_line(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("x", "INFO", plain=True, stream=stream)
    logging.getLogger().warning("a worker died", extra={"worker": 3})
    assert stream.getvalue().rstrip().endswith("warning a worker died worker=3")


def test_plain_lines_show_exceptions(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("x", "INFO", plain=True, stream=stream)
    try:
        int("wrong")
    except ValueError:
        logging.getLogger().exception("it failed")
    assert "ValueError: invalid literal" in stream.getvalue()


def test_the_pod_is_named_where_there_is_one() -> None:
    assert logs.instance({"POD_NAME": "card-line-1"}) == {"instance": "card-line-1"}
    assert logs.instance({}) == {}


@pytest.mark.parametrize("plain", [True, False])
def test_what_is_private_is_taken_out_of_every_part_of_a_line(
    root_logger: logging.Logger, plain: bool
) -> None:
    stream = io.StringIO()
    logs.configure("x", "INFO", plain=plain, stream=stream)
    secrets = ("+1-555-012-3987", "4111 1111 1111 1111", "29.02.1980", "eyJhbGciOi.eyJzdWIi.c2ln")
    try:
        int(secrets[0])
    except ValueError:
        logging.getLogger().exception("%s", secrets[1], extra={"dob": "x9", "note": secrets[2]})
    logging.getLogger().info("a token %s", secrets[3], extra={"inner": {"list": list(secrets)}})
    assert not any(secret in stream.getvalue() for secret in (*secrets, "x9"))
    assert stream.getvalue().count("[number]") >= 3
