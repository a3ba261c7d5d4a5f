"""Numbers that wrap: sequence numbers of 16 bits, timestamps of 32 (RFC 1982, RFC 3550 A.1)."""

from __future__ import annotations

SEQUENCE = 1 << 16
TIMESTAMP = 1 << 32


def sequence_delta(newer: int, older: int) -> int:
    """How far `newer` is ahead of `older`, -32768 to 32767."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_delta(newer: int, older: int) -> int:
    """How far `newer` is ahead of `older`, -2**31 to 2**31 - 1."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def next_sequence(sequence: int, step: int = 1) -> int:
    return (sequence + step) % SEQUENCE


def next_timestamp(timestamp: int, step: int) -> int:
    return (timestamp + step) % TIMESTAMP
