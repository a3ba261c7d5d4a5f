"""One call: a small value that says where it stands, and that can be written down.

Two tables, because two things happen side by side: the SIP dialog goes from an offer to its end,
and the conversation has a worker, or lost it and waits for another. The dialog itself (Call-ID,
tags, route set and so on) is a value of the SIP package and is carried here without being looked
into, so that whoever takes the call up elsewhere finds everything in one place, together with the
epoch of its owner.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Generic, Self, TypeVar
from uuid import UUID

from callfleet_agent.session.errors import CallStateError

Dialog = TypeVar("Dialog")


class CallState(StrEnum):
    """Where the SIP dialog stands."""

    OFFERED = "offered"  # INVITE taken in, nothing final answered
    ANSWERED = "answered"  # 200 sent, its ACK not seen
    TALKING = "talking"  # ACK seen
    ENDING = "ending"  # BYE sent, its answer not seen
    ENDED = "ended"


class CallEvent(StrEnum):
    """What moves the SIP dialog."""

    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    HANGUP = "hangup"  # we send BYE
    LEFT = "left"  # the caller's BYE
    CLOSED = "closed"  # BYE answered, or given up on
    FAILED = "failed"  # no ACK, transport gone


CALL_TRANSITIONS: Final = MappingProxyType(
    {
        (CallState.OFFERED, CallEvent.ANSWERED): CallState.ANSWERED,
        (CallState.OFFERED, CallEvent.REFUSED): CallState.ENDED,
        (CallState.OFFERED, CallEvent.CANCELLED): CallState.ENDED,
        (CallState.OFFERED, CallEvent.FAILED): CallState.ENDED,
        (CallState.ANSWERED, CallEvent.CONFIRMED): CallState.TALKING,
        (CallState.ANSWERED, CallEvent.LEFT): CallState.ENDED,
        (CallState.ANSWERED, CallEvent.HANGUP): CallState.ENDING,
        (CallState.ANSWERED, CallEvent.FAILED): CallState.ENDED,
        (CallState.TALKING, CallEvent.LEFT): CallState.ENDED,
        (CallState.TALKING, CallEvent.HANGUP): CallState.ENDING,
        (CallState.TALKING, CallEvent.FAILED): CallState.ENDED,
        (CallState.ENDING, CallEvent.CONFIRMED): CallState.ENDING,
        (CallState.ENDING, CallEvent.LEFT): CallState.ENDED,
        (CallState.ENDING, CallEvent.CLOSED): CallState.ENDED,
        (CallState.ENDING, CallEvent.FAILED): CallState.ENDED,
    }
)


class VoiceState(StrEnum):
    """Whether somebody holds the conversation."""

    WAITING = "waiting"  # no worker yet
    HELD = "held"
    LOST = "lost"  # the worker died: comfort noise until another one takes it
    OVER = "over"


class VoiceEvent(StrEnum):
    """What moves the conversation between workers."""

    TAKEN = "taken"
    WORKER_LOST = "worker-lost"
    FINISHED = "finished"


VOICE_TRANSITIONS: Final = MappingProxyType(
    {
        (VoiceState.WAITING, VoiceEvent.TAKEN): VoiceState.HELD,
        (VoiceState.WAITING, VoiceEvent.WORKER_LOST): VoiceState.LOST,
        (VoiceState.WAITING, VoiceEvent.FINISHED): VoiceState.OVER,
        (VoiceState.HELD, VoiceEvent.WORKER_LOST): VoiceState.LOST,
        (VoiceState.HELD, VoiceEvent.FINISHED): VoiceState.OVER,
        (VoiceState.LOST, VoiceEvent.TAKEN): VoiceState.HELD,
        (VoiceState.LOST, VoiceEvent.WORKER_LOST): VoiceState.LOST,
        (VoiceState.LOST, VoiceEvent.FINISHED): VoiceState.OVER,
    }
)


class EndedBy(StrEnum):
    """Who ended a call, for the call detail record: a bounded set."""

    NOBODY = "nobody"
    CALLER = "caller"
    AGENT = "agent"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"


_ENDED_BY: Final = MappingProxyType(
    {
        CallEvent.REFUSED: EndedBy.REFUSED,
        CallEvent.CANCELLED: EndedBy.CANCELLED,
        CallEvent.LEFT: EndedBy.CALLER,
        CallEvent.HANGUP: EndedBy.AGENT,
        CallEvent.FAILED: EndedBy.FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Call(Generic[Dialog]):
    """A call at one moment. `at` of every method is seconds on the caller's monotonic clock."""

    uuid: UUID
    offered_at: float
    owner_epoch: int = 0
    dialog: Dialog | None = None
    state: CallState = CallState.OFFERED
    voice: VoiceState = VoiceState.WAITING
    context: bytes = field(default=b"", repr=False)
    workers_lost: int = 0
    answered_at: float | None = None
    ended_at: float | None = None
    ended_by: EndedBy = EndedBy.NOBODY

    def on(self, event: CallEvent, *, at: float) -> Self:
        """The call after `event`.

        Raises:
            CallStateError: the call's state does not know the event.
        """
        state = CALL_TRANSITIONS.get((self.state, event))
        if state is None:
            raise CallStateError(self.state, event)
        first_cause = self.ended_by is EndedBy.NOBODY
        return replace(
            self,
            state=state,
            answered_at=at if event is CallEvent.ANSWERED else self.answered_at,
            ended_at=at if state is CallState.ENDED else None,
            ended_by=_ENDED_BY.get(event, self.ended_by) if first_cause else self.ended_by,
        )

    def knows(self, event: CallEvent) -> bool:
        """Whether `on(event)` would be accepted: what the network may repeat is asked first."""
        return (self.state, event) in CALL_TRANSITIONS

    def on_voice(self, event: VoiceEvent) -> Self:
        """The call after `event` of its conversation; a new holder means a new owner's epoch.

        Raises:
            CallStateError: the conversation's state does not know the event.
        """
        voice = VOICE_TRANSITIONS.get((self.voice, event))
        if voice is None:
            raise CallStateError(self.voice, event)
        return replace(
            self,
            voice=voice,
            owner_epoch=self.owner_epoch + (event is VoiceEvent.TAKEN),
            workers_lost=self.workers_lost
            + (event is VoiceEvent.WORKER_LOST and self.voice is VoiceState.HELD),
        )

    def with_context(self, context: bytes) -> Self:
        """The call with the context that a worker handed over after a turn."""
        return replace(self, context=context)

    def on_another_line(self, *, at: float) -> Self:
        """The call as it begins again on another line, its conversation where it is."""
        return replace(
            self, offered_at=at, state=CallState.OFFERED, voice=VoiceState.WAITING, dialog=None
        )

    def with_conversation(self, other: Self) -> Self:
        """The call with the conversation's side of `other`, which followed only that side."""
        return replace(
            self,
            voice=other.voice,
            owner_epoch=other.owner_epoch,
            workers_lost=other.workers_lost,
            context=other.context,
        )

    def with_dialog(self, dialog: Dialog) -> Self:
        """The call with its dialog as it is now."""
        return replace(self, dialog=dialog)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to the dialog."""
        return self.state is CallState.ENDED

    def talked_s(self) -> float:
        """Seconds from the answer to the end, 0 for a call that was never answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return self.ended_at - self.answered_at
