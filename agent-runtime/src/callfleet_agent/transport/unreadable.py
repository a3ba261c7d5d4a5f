"""A log line for SIP that cannot even be refused: seldom, since anybody may send a lot of it."""

import logging
from typing import Final

logger = logging.getLogger(__name__)

SELDOM_S: Final = 60.0


class UnreadableLog:
    """At most one line in a minute. It says how many messages there were since the one before, and
    nothing of what is in them or of who sent them."""

    def __init__(self) -> None:
        self._told = 0
        self._told_at: float | None = None

    def tell(self, count: int, transport: str, now: float) -> None:
        """`count`: how many there have been; `transport`: that of the newest; `now` in seconds."""
        if count == self._told or (self._told_at is not None and now - self._told_at < SELDOM_S):
            return
        logger.warning(
            "SIP that cannot be read was dropped without an answer",
            extra={"messages": count - self._told, "transport": transport},
        )
        self._told, self._told_at = count, now
