"""Values of the dispatcher: what a table says of a destination and what an instance holds of it.

Pure. `Stored` and `Held` are this package's words; a dialect translates them.
"""

from dataclasses import dataclass
from enum import StrEnum

Key = tuple[int, str]
"""A destination: set id and URI."""


class Stored(StrEnum):
    """What the table tells a proxy that starts or reloads."""

    NEW = "new"  # takes no call until a probe was answered
    ACTIVE = "active"  # takes calls at once, and is probed
    DRAINED = "drained"  # takes no new call, is not probed


class Held(StrEnum):
    """What one instance holds in memory."""

    ACTIVE = "active"
    WAITING = "waiting"  # takes no call until a probe is answered
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the dispatcher table that say how a destination takes part."""

    state: int
    weight: str
    attrs: str


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One destination in one instance. `mark` is what a reload brings: weight and pod."""

    held: Held
    mark: str


@dataclass(frozen=True, slots=True)
class WantedMemory:
    """What every instance should hold of one destination."""

    takes_calls: bool
    mark: str


def pod_mark(pod_uid: str) -> str:
    """The attribute that makes a returning address with a new pod a different row."""
    return f"pod={pod_uid}"


def pod_of(mark: str) -> str:
    """The pod in a mark, empty when it has none."""
    parts = (part for part in mark.split(";") if part.startswith("pod="))
    return next(parts, "pod=").removeprefix("pod=")
