"""The record of calls through the journal: what is told is kept at once and delivered later."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from callfleet.v1 import context_pb2, session_pb2
from callfleet_agent.context.conversation import Exchange
from callfleet_agent.journal import Journal, Weight
from callfleet_agent.services.answers import (
    STATUS_NUMBERS,
    exchange_message,
    moment,
    structure,
)
from callfleet_agent.services.record_sink import RecordKind
from callfleet_agent.session.record import CallSession, SessionStatus

_LINE: Final = b"\n"
_REASONS: Final[dict[SessionStatus, Any]] = {
    SessionStatus.COMPLETED: session_pb2.EndSessionRequest.REASON_COMPLETED,
    SessionStatus.FAILED: session_pb2.EndSessionRequest.REASON_FAILED,
    SessionStatus.INTERRUPTED: session_pb2.EndSessionRequest.REASON_INTERRUPTED,
}


class JournalRecorder:
    """CallRecorder on a journal; without `turns` there is nobody to deliver them to. With an
    `owner` each record begins with a line that says whose it is (`owned` reads it)."""

    def __init__(self, journal: Journal, *, turns: bool = True, owner: str = "") -> None:
        self._journal = journal
        self._turns = turns
        self._owner = owner

    def call_started(self, session: CallSession) -> None:
        """A call was answered."""
        request = session_pb2.CallSession(
            session_id=str(session.session_id),
            caller_phone=session.caller_phone,
            call_start_time=moment(session.call_start_time),
            sip_call_id=session.sip_call_id,
            status=STATUS_NUMBERS[session.status],
            ai_provider_config=structure(session.ai_provider_config),
            avc_instance=session.avc_instance,
            voice_agent=session.voice_agent,
        )
        self._append(
            Weight.ESSENTIAL, RecordKind.CALL_STARTED, session.session_id, session.session_id,
            request,
        )  # fmt: skip

    def turn_ended(self, session_id: UUID, record_id: UUID, turn: Mapping[str, Any]) -> None:
        """A turn is over. `turn`: `exchanges`, `intent` and `facts`; each may be absent."""
        if not self._turns:
            return
        exchanges: tuple[Exchange, ...] = turn.get("exchanges", ())
        request = context_pb2.ContextUpdateRequest(
            session_id=str(session_id),
            append=[exchange_message(exchange) for exchange in exchanges],
            current_intent=turn.get("intent"),
            customer_data=structure(turn.get("facts", {})),
            request_id=str(record_id),
        )
        self._append(Weight.DETAIL, RecordKind.TURN_ENDED, session_id, record_id, request)

    def call_ended(self, session_id: UUID, status: SessionStatus, at: datetime) -> None:
        """A call is over."""
        request = session_pb2.EndSessionRequest(
            session_id=str(session_id), reason=_REASONS[status], call_end_time=moment(at)
        )
        self._append(Weight.ESSENTIAL, RecordKind.CALL_ENDED, session_id, session_id, request)

    def _append(
        self, weight: Weight, kind: RecordKind, session_id: UUID, record_id: UUID, request: Any
    ) -> None:
        data = request.SerializeToString()
        if self._owner:
            data = self._owner.encode() + _LINE + data
        self._journal.append(weight, kind, session_id, record_id, data)


def owned(payload: bytes) -> tuple[str, bytes]:
    """Whose a record is, and the record."""
    owner, _, data = payload.partition(_LINE)
    return owner.decode(), data
