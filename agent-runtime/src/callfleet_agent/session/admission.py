"""May one more call come in? An ordered chain of small checks, each with its reason.

It is asked before anything is allocated for the call, so that refusing costs next to nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """Why a call is refused: the label of a metric, so a bounded set."""

    NOT_READY = "not-ready"
    DRAINING = "draining"
    FULL = "full"
    NO_WORKER = "no-worker"
    NO_CODEC = "no-codec"
    NO_PORT = "no-port"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Admission:
    """What is looked at when a call asks to come in."""

    started: bool
    draining: bool
    calls: int
    capacity: int
    ready_workers: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused call: SIP status and, in seconds, when it may be tried again here."""

    reason: Refusal
    status: int
    retry_after_s: int


_CHECKS: Final[tuple[tuple[Refusal, int, Callable[[Admission], bool]], ...]] = (
    (Refusal.NOT_READY, 5, lambda a: not a.started),
    (Refusal.DRAINING, 60, lambda a: a.draining),
    (Refusal.FULL, 10, lambda a: a.calls >= a.capacity),
    (Refusal.NO_WORKER, 5, lambda a: a.ready_workers == 0),
)


def admit(admission: Admission) -> Refused | None:
    """None if the call may come in, else the first reason against it (503 with Retry-After)."""
    for reason, retry_after_s, applies in _CHECKS:
        if applies(admission):
            return Refused(reason, 503, retry_after_s)
    return None
