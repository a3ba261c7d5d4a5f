"""What callers said and have not confirmed: it is in no store, and in this process for a moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

KEPT_S: Final = 120.0
MOST: Final = 1000


@dataclass(slots=True)
class Unconfirmed:
    """Digits or a date by session, each until it is taken. Another process asks for them again."""

    clock: Callable[[], float] = time.monotonic
    _kept: dict[UUID, tuple[float, str]] = field(default_factory=dict, repr=False)

    def keep(self, session_id: UUID, heard: str | None) -> None:
        """Until the session's next turn; the oldest go when there are many."""
        now = self.clock()
        old = [one for one, (since, _) in self._kept.items() if now - since >= KEPT_S]
        for one in (*old, session_id):
            self._kept.pop(one, None)
        if heard is not None:
            self._kept[session_id] = (now, heard)
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def take(self, session_id: UUID) -> str | None:
        """What waits for the session's yes, if it is here and not too old."""
        since, heard = self._kept.pop(session_id, (float("-inf"), None))
        return heard if self.clock() - since < KEPT_S else None
