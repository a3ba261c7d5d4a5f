"""Decisions about what instances hold: when to reload, which states to set, what is confirmed.

Pure.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from callfleet_operator.ports.proxy import SeenState

from .rows import Held, Key, MemoryRow, WantedMemory, pod_of

Memory = Mapping[Key, MemoryRow]


@dataclass(frozen=True, slots=True)
class Ours:
    """Which destinations are ours to make right: all of our sets but those of `foreign` rows."""

    sets: Collection[int]
    foreign: Collection[Key] = frozenset()

    def __contains__(self, key: Key) -> bool:
        return key[0] in self.sets and key not in self.foreign


def needs_reload(wanted: Mapping[Key, WantedMemory], memory: Memory, ours: Ours) -> bool:
    """The instance lacks a row of ours, has one too many, or holds another weight or pod."""
    held = {key: row.mark for key, row in memory.items() if key in ours}
    return {key: row.mark for key, row in wanted.items()} != held


def commands(
    wanted: Mapping[Key, WantedMemory], before: Memory, after: Memory, ours: Ours
) -> list[tuple[Key, Held]]:
    """Which states to set, drains first, after `before` became `after` (equal without a reload)."""
    found = []
    for key, row in after.items():
        old = before.get(key)
        if key in wanted:
            held = _ours(wanted[key], old, row)
        elif key in ours:
            held = None  # a failed reload left it
        else:
            held = _foreign(old, row)
        if held is not None and held is not row.held:
            found.append((key, held))
    return sorted(found, key=lambda command: (command[1] is not Held.DRAINED, command))


def _ours(wanted: WantedMemory, old: MemoryRow | None, row: MemoryRow) -> Held | None:
    if not wanted.takes_calls:
        return Held.DRAINED
    if row.held is Held.DRAINED or (old is not None and old.held is Held.DRAINED):
        return Held.WAITING  # back from a drain: active when its next probe is answered
    if old is None:
        return None  # as the table said, which the probes go on from
    if pod_of(old.mark) != pod_of(row.mark):
        return Held.WAITING  # a new pod at an old address proves itself
    return old.held  # a reload may have forgotten it


def _foreign(old: MemoryRow | None, row: MemoryRow) -> Held | None:
    """Our reload must not put back into service what its owner took out of it."""
    if old is not None and row.held is Held.ACTIVE and old.held is not Held.ACTIVE:
        return old.held
    return None


def wrong(wanted: Mapping[Key, WantedMemory], memory: Memory, ours: Ours) -> bool:
    """The instance does not hold what is wanted; waiting for a probe is not wrong."""
    if needs_reload(wanted, memory, ours):
        return True
    return any((memory[key].held is Held.DRAINED) is row.takes_calls for key, row in wanted.items())


def combined(seen: Iterable[SeenState]) -> SeenState:
    """What all instances together say of a destination; no instance says nothing."""
    states = set(seen)
    if not states or SeenState.UNKNOWN in states:
        return SeenState.UNKNOWN
    if len(states) == 1:
        return states.pop()
    return SeenState.INACTIVE if all(state.out for state in states) else SeenState.PROBING
