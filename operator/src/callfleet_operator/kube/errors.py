"""Answers of the API server as the errors of the ports."""

from typing import Any

import orjson

from callfleet_operator.ports.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnavailableError,
)

_CLASSES: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}
_MESSAGE_LIMIT = 1000


class ConfigurationError(Exception):
    """The connection to the API server is not described well enough to try it."""


def error_of(status: int, body: bytes | dict[str, Any], retry_after: str = "") -> KubeError:
    """The error for a `Status` object, or for a body that is none."""
    found = body if isinstance(body, dict) else _status(body)
    reason = str(found.get("reason") or "")
    message = str(found.get("message") or "")[:_MESSAGE_LIMIT]
    wait = float(retry_after) if retry_after.isdigit() else 0.0
    if not wait:
        wait = float((found.get("details") or {}).get("retryAfterSeconds") or 0)
    if reason == "AlreadyExists":
        return AlreadyExistsError(status, reason, message, wait)
    if _names_another(found):
        return ConflictError(409, "Conflict", "another object has the name now", wait)
    return _CLASSES.get(status, UnavailableError)(status, reason or "Unknown", message, wait)


def _names_another(found: dict[str, Any]) -> bool:
    """A patch with the UID of an object that is gone is answered as a change of that field."""
    causes = (found.get("details") or {}).get("causes") or ()
    return any(cause.get("field") == "metadata.uid" for cause in causes)


def _status(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:200].decode(errors="replace")}
    return found if isinstance(found, dict) else {}
