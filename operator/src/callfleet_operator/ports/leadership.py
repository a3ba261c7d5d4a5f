"""Who may write, and in which epoch."""

from typing import Protocol


class Leadership(Protocol):
    """The lease as its holder sees it, by the monotonic clock."""

    @property
    def epoch(self) -> int | None:
        """The epoch in which this process leads now; None when it does not, or cannot be sure."""
        ...

    def remaining_s(self) -> float:
        """Seconds for which leadership is certain without another renewal; 0 when it is not."""
        ...
