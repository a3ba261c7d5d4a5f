"""How an answered call ended, in the report's words, and whether that is a proper end.

A call is over when our BYE is sent, whatever is said to it (RFC 3261 section 15.1.1); but an agent
who does not know the call any more, or who does not answer, has not ended it with us.
"""

from dataclasses import dataclass
from typing import Final

from callfleet_agent.sip.events import CallEnded, EndCause

UNANSWERED: Final = "nobody-answered-bye"
AUDIO_DUE_S: Final = 1.0
_REFUSED: Final = "bye-refused"
_PROPER: Final = frozenset({"agent", "local"})


@dataclass(frozen=True, slots=True)
class Ending:
    """Who or what ended a call; `bye_status`: the answer to our BYE, None if none came."""

    by: str
    bye_status: int | None = None

    @property
    def proper(self) -> bool:
        """One side hung up, and the other agreed."""
        return self.by in _PROPER

    def __str__(self) -> str:
        """For a person."""
        if self.by == _REFUSED:
            return f"our BYE was refused with {self.bye_status}"
        return "nobody answered our BYE" if self.by == UNANSWERED else f"ended by {self.by}"


def ending_of(event: CallEnded) -> Ending:
    """What the report says of an ended call."""
    if event.cause is EndCause.REMOTE:
        return Ending("agent")
    if event.cause is not EndCause.LOCAL:
        return Ending(event.cause.value)
    if not event.answered or event.status is None:
        return Ending(UNANSWERED)
    if event.reason is not None:  # we give none: the call hung up by itself, and says why
        return Ending("protocol-error", event.status)
    good = 200 <= event.status < 300
    return Ending("local" if good else _REFUSED, event.status)


def missed_audio(*, expected: bool, packets: int, seconds: float) -> bool:
    """Whether audio of the agent was due, and none came: a call without sound is no call."""
    return expected and packets == 0 and seconds >= AUDIO_DUE_S
