"""The bounded, versioned envelope of a conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

VERSION = 1
MAX_BYTES = 256 * 1024
_MAX_MEAN = 64


class ContextError(Exception):
    """A context cannot be made or read: too large, damaged, or of a later version."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A conversation's state. `channel` is the recogniser's cepstral mean, empty when unknown."""

    flow: str
    dialog: Mapping[str, Any]
    channel: tuple[float, ...] = field(default=())


def sealed(envelope: Envelope) -> bytes:
    """The bytes to hand over; raises ContextError when they would be too many."""
    data = orjson.dumps(
        {
            "version": VERSION,
            "flow": envelope.flow,
            "dialog": envelope.dialog,
            "channel": [round(value, 3) for value in envelope.channel],
        }
    )
    if len(data) > MAX_BYTES:
        raise ContextError(f"a context of {len(data)} bytes is too large")
    return data


def opened(data: bytes) -> Envelope:
    """The envelope in the bytes; raises ContextError."""
    if len(data) > MAX_BYTES:
        raise ContextError(f"a context of {len(data)} bytes is too large")
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ContextError("a context is not JSON") from None
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        raise ContextError("a context of an unknown version")
    flow, dialog, channel = fields.get("flow"), fields.get("dialog"), fields.get("channel")
    if not isinstance(flow, str) or not isinstance(dialog, dict) or not _is_channel(channel):
        raise ContextError("a context is damaged")
    return Envelope(flow, dialog, tuple(float(value) for value in channel or ()))


def _is_channel(value: object) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) <= _MAX_MEAN
        and all(isinstance(item, int | float) for item in value)
    )
