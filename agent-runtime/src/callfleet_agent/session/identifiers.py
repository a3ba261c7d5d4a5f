"""Identifiers that carry their time: UUID version 7 (RFC 9562, section 5.7).

The stores partition by session id, so that a month of calls can be dropped at once; an id of
another version is kept as well, but beside the months.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_RANDOM_BITS: Final = 74
_VERSION: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
_LARGEST_MS: Final = (1 << 48) - 1


def uuid7(unix_ms: int, randomness: int) -> UUID:
    """The UUID of this millisecond. `randomness`: at least 74 random bits, more are left away."""
    if not 0 <= unix_ms <= _LARGEST_MS:
        raise ValueError("a time outside of what a UUID can say")
    bits = randomness & ((1 << _RANDOM_BITS) - 1)
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return UUID(int=unix_ms << 80 | _VERSION | high << 64 | _VARIANT | low)


def first_of(moment: datetime) -> UUID:
    """The smallest UUID that is not before this moment."""
    return UUID(int=int(moment.astimezone(UTC).timestamp() * 1000) << 80)
