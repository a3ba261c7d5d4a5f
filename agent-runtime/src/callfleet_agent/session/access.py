"""Whose a session is, and who may see it: it belongs to the identity that made it.

What belongs to a session (its context, its banking transactions) is seen and changed by whoever
may see the session. To everybody else it is not there: a refusal would tell that it exists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may read and change. `owner`: whose is what they make."""

    owner: str
    everything: bool = False

    def covers(self, owner: str) -> bool:
        """Whether what belongs to `owner` may be seen; what belongs to nobody, by few."""
        return self.everything or (owner == self.owner and owner != "")


EVERYTHING: Final = Access("", everything=True)
WhoAsks = Callable[[], Access]


def upkeep() -> Access:
    """The access of the platform's own work, which nobody asks for."""
    return EVERYTHING
