"""Randomness as an argument: what `random.Random` offers and this code uses."""

from __future__ import annotations

from typing import Protocol


class Randomness(Protocol):
    """Satisfied by `random.Random`; a seeded one makes everything repeatable."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""
        ...

    def randrange(self, stop: int, /) -> int:
        """An integer from 0 to below `stop`."""
        ...

    def random(self) -> float:
        """A number from 0 to below 1."""
        ...
