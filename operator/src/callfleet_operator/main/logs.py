"""One JSON object a line on standard error, in the platform's format."""

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import orjson

from callfleet_operator.model.redaction import message_of, redacted, redacted_fields
from callfleet_operator.reconcile.correlation import correlation_id

SERVICE = "callfleet-operator"
_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """timestamp, level, correlation_id, service, message; then the record's own fields."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__()
        pod = environment.get("POD_NAME")
        self._fixed = {"service": SERVICE, "version": version(SERVICE)}
        self._fixed |= {"instance": pod} if pod else {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "correlation_id": correlation_id.get(),
            **self._fixed,
            "message": message_of(record),
            "logger": record.name,
        }
        given = vars(record)
        line |= redacted_fields({name: given[name] for name in given if name not in _KNOWN})
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # kopf tells of every object that it sees, and warns of signals that are ours to handle.
    logging.getLogger("kopf").setLevel(logging.ERROR)
    for noisy in ("asyncio", "aiohttp.access", "kubernetes"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
