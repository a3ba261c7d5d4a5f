"""One JSON object a line, in the format that the platform's log collectors read.

`{"timestamp", "level", "correlation_id", "service", "message", ...}` and the record's own fields;
`session_id` where a request has named one. Messages are constant; what varies is in fields, and no
field holds a number, a name or speech.
"""

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson

from callfleet_agent.services.correlation import correlated, current, current_session
from callfleet_operator.model.redaction import message_of, redacted, redacted_fields

if TYPE_CHECKING:
    import loguru

__all__ = [
    "JsonFormatter",
    "PlainFormatter",
    "configure",
    "correlated",
    "instance",
    "quieten_loguru",
]
_VERSION: Final = version("callfleet-agent")
_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName", "color_message",
}  # fmt: skip


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, service: str, fixed: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._fixed = {"service": service, "version": _VERSION, **(fixed or {})}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "correlation_id": current(),
            **self._fixed,
            "message": message_of(record),
            "logger": record.name,
        }
        if current_session():
            line["session_id"] = current_session()
        line |= _own_fields(record)
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _own_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the record says beside its message, without what is private."""
    given = vars(record)
    return redacted_fields({name: given[name] for name in given if name not in _OF_EVERY_RECORD})


def quieten_loguru() -> None:
    """Pipecat logs with loguru, and what it logs may be speech: only that it complains is kept."""
    from loguru import logger

    def forward(message: "loguru.Message") -> None:
        record = message.record
        logging.getLogger("pipecat").log(
            record["level"].no,
            "Pipecat complains",
            extra={"where": f"{record['name']}:{record['line']}"},
        )

    logger.remove()
    logger.add(forward, level="WARNING", format="")


def instance(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The fields that say which pod writes, where there is one."""
    name = environment.get("POD_NAME")
    return {"instance": name} if name else {}


class PlainFormatter(logging.Formatter):
    """A short line for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        fields = " ".join(f"{name}={value}" for name, value in _own_fields(record).items())
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        message = message_of(record)
        line = f"{at} {record.levelname.lower():7} {message} {fields}".rstrip()
        if not record.exc_info:
            return line
        return f"{line}\n{redacted(self.formatException(record.exc_info))}"


def configure(
    service: str,
    level: str,
    *,
    plain: bool = False,
    fixed: Mapping[str, str] | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send every log line of the process to `stream` (standard error).

    Raises:
        ValueError: the level is unknown.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(PlainFormatter() if plain else JsonFormatter(service, fixed))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiohttp.access", "grpc"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))
