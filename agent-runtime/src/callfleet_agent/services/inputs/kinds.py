"""The kinds of values that requests are made of. What is wrong is said in constant words."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_STRUCT_BYTES: Final = 16 * 1024
MAX_TEXT_BYTES: Final = 8 * 1024
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(minutes=5)  # clocks differ
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def wrong(reason: str, field: str = "") -> PydanticCustomError:
    """An error with these words; a check of a whole request names the field."""
    return PydanticCustomError("wrong", "{reason}", {"reason": reason, "field": field})


def _uuid(value: object) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise wrong("must be a UUID")
    return UUID(value)


def _moment(value: datetime) -> datetime:
    if value < _EARLIEST:
        raise wrong("is too far in the past")
    if value > datetime.now(UTC) + _AHEAD:
        raise wrong("is in the future")
    return value


def bytes_at_most(limit: int) -> Callable[[str], str]:
    """A check that a text has at most so many bytes in UTF-8."""

    def check(value: str) -> str:
        if len(value.encode()) > limit:
            raise wrong(f"is longer than {limit} bytes")
        return value

    return check


def matching(pattern: str, reason: str) -> Callable[[str], str]:
    """A check that a text is of this form."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise wrong(reason)
        return value

    return check


def one_of(known: dict[int, Any], reason: str) -> Callable[[object], Any]:
    """A protobuf enum's or number's meaning; what is not known is refused."""

    def check(value: object) -> Any:
        if not isinstance(value, int) or value not in known:
            raise wrong(reason)
        return known[value]

    return check


def structure_at_most(limit: int) -> Callable[[object], dict[str, Any]]:
    """A check that a structure has at most so many bytes in JSON."""

    def check(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong("must be a structure")
        if len(orjson.dumps(value)) > limit:
            raise wrong(f"is longer than {limit} bytes")
        return value

    return check


Uuid = Annotated[UUID, BeforeValidator(_uuid)]
Moment = Annotated[datetime, AfterValidator(_moment)]
Phone = Annotated[
    str,
    AfterValidator(matching(r"\+?[0-9]{2,19}", "must be a number in E.164, at most 20 characters")),
]
CallId = Annotated[
    str, AfterValidator(matching(r"[!-~]{1,255}", "must be 1 to 255 printable characters"))
]
CustomerId = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z0-9_.-]{1,100}", "must be 1 to 100 letters, digits, '_', '.' or '-'")
    ),
]
Name = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z0-9_.+/:-]{1,253}", "must be 1 to 253 letters, digits or any of _.+/:-")
    ),
]
Language = Annotated[
    str, AfterValidator(matching(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}", "must be a BCP 47 tag"))
]
Text = Annotated[str, Field(min_length=1), AfterValidator(bytes_at_most(MAX_TEXT_BYTES))]
Structure = Annotated[dict[str, Any], BeforeValidator(structure_at_most(MAX_STRUCT_BYTES))]


class Input(BaseModel):
    """A request. A field that is absent, or that has protobuf's zero, has the model's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    correlation_id: Uuid | None = None
