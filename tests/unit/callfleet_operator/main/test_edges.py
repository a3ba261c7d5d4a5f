"""Logs and HTTP of the operator's process."""

import json
import logging
import sys

import aiohttp

from callfleet_operator.main.http import SAFE_HEADERS, serving
from callfleet_operator.main.logs import JsonFormatter
from callfleet_operator.reconcile.correlation import correlation_id


def test_a_log_line_has_the_platforms_fields_and_its_own() -> None:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "INFO", "msg": "a pod was told", "pod": "p-1", "calls": 3}
    )
    token = correlation_id.set("c-1")
    line = json.loads(JsonFormatter().format(record))
    correlation_id.reset(token)
    assert line["timestamp"].endswith("+00:00")
    assert (line["level"], line["message"]) == ("INFO", "a pod was told")
    assert (line["correlation_id"], line["service"]) == ("c-1", "callfleet-operator")
    assert (line["pod"], line["calls"]) == ("p-1", 3)


def test_a_log_line_tells_an_error() -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        record = logging.makeLogRecord({"msg": "m", "exc_info": sys.exc_info()})
    assert "ZeroDivisionError" in json.loads(JsonFormatter().format(record))["error"]


async def test_readiness_names_what_is_missing() -> None:
    missing = ["Pod"]
    async with (
        serving(0, ready=lambda: missing, metrics=lambda: b"x 1\n") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        assert (await session.get("/healthz")).status == 200
        answer = await session.get("/readyz")
        assert answer.status == 503
        assert "Pod" in await answer.text()
        missing.clear()
        assert (await session.get("/readyz")).status == 200
        assert await (await session.get("/metrics")).text() == "x 1\n"
        for path in ("/healthz", "/metrics", "/nothing"):
            assert SAFE_HEADERS.items() <= dict((await session.get(path)).headers).items(), path
