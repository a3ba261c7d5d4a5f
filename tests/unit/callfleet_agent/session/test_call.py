"""A call goes from its offer to its end, and its conversation from worker to worker."""

from uuid import UUID

import pytest

from callfleet_agent.session import (
    Call,
    CallEvent,
    CallState,
    CallStateError,
    EndedBy,
    VoiceEvent,
    VoiceState,
)
from callfleet_agent.session.call import CALL_TRANSITIONS, VOICE_TRANSITIONS


def offered() -> Call[str]:
    return Call(uuid=UUID(int=7), offered_at=10.0)


def after(*events: CallEvent) -> Call[str]:
    call = offered()
    for at, event in enumerate(events, start=11):
        call = call.on(event, at=float(at))
    return call


@pytest.mark.parametrize(
    ("events", "state", "ended_by"),
    [
        ((), CallState.OFFERED, EndedBy.NOBODY),
        ((CallEvent.REFUSED,), CallState.ENDED, EndedBy.REFUSED),
        ((CallEvent.CANCELLED,), CallState.ENDED, EndedBy.CANCELLED),
        ((CallEvent.ANSWERED,), CallState.ANSWERED, EndedBy.NOBODY),
        ((CallEvent.ANSWERED, CallEvent.FAILED), CallState.ENDED, EndedBy.FAILED),
        ((CallEvent.ANSWERED, CallEvent.LEFT), CallState.ENDED, EndedBy.CALLER),
        ((CallEvent.ANSWERED, CallEvent.CONFIRMED), CallState.TALKING, EndedBy.NOBODY),
        (
            (CallEvent.ANSWERED, CallEvent.CONFIRMED, CallEvent.LEFT),
            CallState.ENDED,
            EndedBy.CALLER,
        ),
        (
            (CallEvent.ANSWERED, CallEvent.CONFIRMED, CallEvent.HANGUP),
            CallState.ENDING,
            EndedBy.AGENT,
        ),
        (
            (CallEvent.ANSWERED, CallEvent.CONFIRMED, CallEvent.HANGUP, CallEvent.CLOSED),
            CallState.ENDED,
            EndedBy.AGENT,
        ),
        (
            (CallEvent.ANSWERED, CallEvent.HANGUP, CallEvent.CONFIRMED, CallEvent.FAILED),
            CallState.ENDED,
            EndedBy.AGENT,
        ),
    ],
)
def test_the_dialog_goes_through_its_states(
    events: tuple[CallEvent, ...], state: CallState, ended_by: EndedBy
) -> None:
    call = after(*events)
    assert (call.state, call.ended_by) == (state, ended_by)
    assert call.is_over is (state is CallState.ENDED)


def test_both_ends_hang_up_at_once_and_the_first_one_is_named() -> None:
    call = after(CallEvent.ANSWERED, CallEvent.CONFIRMED, CallEvent.HANGUP, CallEvent.LEFT)
    assert (call.state, call.ended_by) == (CallState.ENDED, EndedBy.AGENT)


@pytest.mark.parametrize("event", list(CallEvent))
def test_an_ended_call_takes_no_event(event: CallEvent) -> None:
    call = after(CallEvent.REFUSED)
    assert not call.knows(event)
    with pytest.raises(CallStateError, match=rf"ended cannot take the event {event}"):
        call.on(event, at=20.0)


def test_every_state_can_end() -> None:
    for state in CallState:
        outgoing = {after for (before, _), after in CALL_TRANSITIONS.items() if before is state}
        assert state is CallState.ENDED or CallState.ENDED in outgoing


def test_the_time_talked_counts_from_the_answer() -> None:
    assert after(CallEvent.ANSWERED, CallEvent.CONFIRMED, CallEvent.LEFT).talked_s() == 2.0
    assert after(CallEvent.REFUSED).talked_s() == 0.0
    assert after(CallEvent.ANSWERED).talked_s() == 0.0


def test_a_lost_worker_is_replaced_and_the_context_stays() -> None:
    call = offered().on_voice(VoiceEvent.TAKEN).with_context(b"turn 1")
    lost = call.on_voice(VoiceEvent.WORKER_LOST)
    again = lost.on_voice(VoiceEvent.WORKER_LOST).on_voice(VoiceEvent.TAKEN)
    assert (lost.voice, lost.context) == (VoiceState.LOST, b"turn 1")
    assert (again.voice, again.context) == (VoiceState.HELD, b"turn 1")
    assert (call.owner_epoch, again.owner_epoch, again.workers_lost) == (1, 2, 1)


def test_a_conversation_that_is_over_is_not_taken_again() -> None:
    over = offered().on_voice(VoiceEvent.FINISHED)
    assert over.voice is VoiceState.OVER
    with pytest.raises(CallStateError):
        over.on_voice(VoiceEvent.TAKEN)


def test_every_conversation_can_finish() -> None:
    for state in VoiceState:
        assert state is VoiceState.OVER or (state, VoiceEvent.FINISHED) in VOICE_TRANSITIONS


def test_the_dialog_is_carried_and_the_context_is_not_shown() -> None:
    call = offered().with_dialog("dialog").with_context(b"4271")
    assert call.dialog == "dialog"
    assert "4271" not in repr(call)
