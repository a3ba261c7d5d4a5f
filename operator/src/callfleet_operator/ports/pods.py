"""The pods as the core sees them: a wanted state each, and their last report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class PodState(StrEnum):
    """What a pod is told to be, and what it says that it is."""

    SERVING = "Serving"
    DRAINING = "Draining"


@dataclass(frozen=True, slots=True)
class PodTarget:
    """One pod, where it is reached, and what it is to be."""

    uid: str
    namespace: str
    name: str
    agent: str
    address: str
    state: PodState
    row_confirmed_inactive: bool = False


@dataclass(frozen=True, slots=True)
class Slo:
    """Counters of a pod since it started (see fleet.proto)."""

    calls_offered: int = 0
    calls_answered: int = 0
    calls_refused: int = 0
    calls_failed: int = 0
    provider_errors: int = 0
    turns: int = 0
    workers_lost: int = 0
    response_counts: tuple[int, ...] = ()
    response_limits_ms: tuple[int, ...] = ()
    started_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class PodFigures:
    """The last report of a pod, kept when it cannot be heard: `heard` says whether it is now.

    `answered`: the pod has answered what was last asked of it. Without that, `state` may be what
    was asked before.
    """

    uid: str
    state: PodState
    calls: int
    capacity: int
    terminating: bool
    revision: str
    received_at: float
    heard: bool = True
    answered: bool = True
    slo: Slo = field(default_factory=Slo)


class PodLink(Protocol):
    """Streams to pods. Never blocks: it works towards what was last wanted."""

    def want(self, namespace: str, agent: str, targets: Mapping[str, PodTarget]) -> None:
        """Replaces what is wanted of the pods of one agent, by uid; other streams to it are
        closed.
        """
        ...

    def figures(self, uid: str) -> PodFigures | None:
        """The last report of a pod; None when it never reported."""
        ...
