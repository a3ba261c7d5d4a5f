"""Time, as an argument."""

from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that never jumps, for deciding; one that people read, for writing down."""

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...

    def wall(self) -> float:
        """Unix time in seconds."""
        ...

    async def sleep(self, seconds: float) -> None: ...
