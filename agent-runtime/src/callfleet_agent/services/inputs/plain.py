"""A protobuf message as plain data: only the fields that are set, times as times.

Lists and structures that are longer than any request may have are refused before they are taken
apart: four megabytes of empty items would hold up everybody else for seconds.
"""

import math
from collections.abc import Sized
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from callfleet_agent.context.conversation import MAX_FACTS_BYTES

MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 1000
_MAX_ENCODED: Final = 4 * MAX_FACTS_BYTES  # no structure has a fourth of its bytes in JSON


def path_of(location: tuple[int | str, ...]) -> str:
    """As clients read it: `append[3].content`."""
    path = ""
    for part in location:
        if isinstance(part, int) or part.isdigit():
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


class PlainError(ValueError):
    """A value that cannot be said in plain data; `path` leads to it."""

    def __init__(self, path: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def plain(message: Message, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that are set.

    Raises:
        PlainError: a time is out of range, a number is none, a structure is too deep, or one or a
            list is far too long.
    """
    return {field.name: _value(value, (*path, field.name)) for field, value in message.ListFields()}


def _value(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, Message):
        convert = _CONVERSIONS.get(type(value), plain)
        return convert(value, path)
    if hasattr(value, "append"):  # a repeated field
        _is_short(value, path)
        return [_value(item, (*path, str(index))) for index, item in enumerate(value)]
    if isinstance(value, str) and "\0" in value:
        raise PlainError(path, "holds a NUL character")
    return _number(value, path)


def _number(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise PlainError(path, "is no number")
    return value


def _is_short(items: Sized, path: tuple[str, ...]) -> None:
    if len(items) > MAX_ITEMS:
        raise PlainError(path, f"has more than {MAX_ITEMS} items")


def _mask(value: FieldMask, path: tuple[str, ...]) -> list[str]:
    _is_short(value.paths, path)
    return list(value.paths)


def _moment(value: Timestamp, path: tuple[str, ...]) -> datetime:
    try:
        if not 0 <= value.nanos < 1_000_000_000:
            raise PlainError(path, "is out of range")
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=value.seconds, microseconds=value.nanos // 1000
        )
    except OverflowError:
        raise PlainError(path, "is out of range") from None


def _length(value: Duration, path: tuple[str, ...]) -> timedelta:
    try:
        return timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError:
        raise PlainError(path, "is out of range") from None


def _structure(value: Struct, path: tuple[str, ...]) -> dict[str, Any]:
    if value.ByteSize() > _MAX_ENCODED:
        raise PlainError(path, f"is longer than {MAX_FACTS_BYTES} bytes")
    return _struct(value, path, MAX_DEPTH)


def _struct(value: Struct, path: tuple[str, ...], depth: int) -> dict[str, Any]:
    if not depth:
        raise PlainError(path, "is too deep")
    return {
        _value(name, path): _member(member, path, depth - 1)
        for name, member in value.fields.items()
    }


def _member(value: Value, path: tuple[str, ...], depth: int) -> Any:
    kind = value.WhichOneof("kind")
    if kind in {None, "null_value"}:
        return None
    if kind == "struct_value":
        return _struct(value.struct_value, path, depth)
    if kind == "list_value":
        return _list(value.list_value, path, depth)
    return _value(getattr(value, str(kind)), path)


def _list(value: ListValue, path: tuple[str, ...], depth: int) -> list[Any]:
    if not depth:
        raise PlainError(path, "is too deep")
    return [_member(member, path, depth - 1) for member in value.values]


_CONVERSIONS: Final[dict[type[Message], Any]] = {
    Timestamp: _moment,
    Duration: _length,
    FieldMask: _mask,
    Struct: _structure,
}
