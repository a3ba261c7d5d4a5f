"""What a context that a worker handed over says, as the context store keeps it.

Secrets are in no context (digits are blanked before they come into a dialog's history), and whether
the caller has proved who they are is left out: that belongs to the banking service alone.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callfleet_agent.context import ContextError, opened
from callfleet_agent.dialog import SnapshotError, Utterance
from callfleet_agent.dialog.snapshot import excerpt
from callfleet_agent.link import Earlier

TRUSTED: Final = "caller_trusted"
_NUMBER: Final = "customer_number"
_FAILED: Final = "failed_attempts"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The lines of a conversation, what is wanted, and facts; a fact of None is forgotten."""

    lines: tuple[Utterance, ...] = field(default=(), repr=False)
    intent: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)


def remembered(context: bytes, after: int = 0) -> Remembered | None:
    """What it says, without the lines up to number `after`; None when it cannot be read."""
    try:
        told = excerpt(opened(context).dialog, after)
    except (ContextError, SnapshotError) as error:
        _log.warning("a context cannot be recorded", extra={"reason": str(error)})
        return None
    return Remembered(
        told.lines,
        told.intent,
        {
            "state": told.state.value,
            "outcome": told.outcome.value if told.outcome else None,
            "turns": told.turns,
            _NUMBER: told.customer_number,
            _FAILED: told.failed_attempts,
            TRUSTED: told.trusted,
        },
    )


def earlier_of(intent: str, facts: Mapping[str, Any]) -> Earlier:
    """What of a stored context a later call may go on with."""
    number, failed = facts.get(_NUMBER), facts.get(_FAILED)
    return Earlier(
        intent,
        number if isinstance(number, str) else None,
        int(failed) if isinstance(failed, int | float) else 0,
    )
