"""What is written down of every banking operation, for those who must answer for it later.

Two entries belong to an operation: that it was asked for, before anything is sent, and what came of
it. The first without the second means that the process ended in between. No entry holds a name, a
number, a credential or an answer of the bank: the customer is a fingerprint.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class Phase(StrEnum):
    """Which of an operation's two entries it is."""

    ASKED = "ASKED"
    ENDED = "ENDED"


class Operation(StrEnum):
    """What was asked for; the rest are the kinds of transactions."""

    AUTHENTICATION = "AUTHENTICATION"
    CARD_DELIVERY = "CARD_DELIVERY"


@dataclass(frozen=True, slots=True)
class Occasion:
    """Who asks, as the edge knows it, and under which correlation id."""

    actor: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry. `outcome` is empty while it is asked for; then a verdict, "done", or the code of
    the error."""

    at: datetime
    phase: Phase
    operation: str
    outcome: str
    request_id: UUID | None
    session_id: UUID | None
    occasion: Occasion
    customer_id: str = field(repr=False)


class AuditLog(Protocol):
    """Where entries go, for good."""

    async def append(self, entry: AuditEntry) -> None:
        """The entry is kept when this returns.

        Raises:
            AuditUnavailableError: it is not; what was asked for must not be done.
        """
        ...
