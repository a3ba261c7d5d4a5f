"""Records as protobuf messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from callfleet.v1 import context_pb2, session_pb2
from callfleet_agent.context.conversation import ConversationContext, Exchange
from callfleet_agent.services.inputs.contexts import SPEAKERS
from callfleet_agent.services.inputs.sessions import STATUSES
from callfleet_agent.session.record import CallSession

STATUS_NUMBERS: Final[dict[Any, Any]] = {status: number for number, status in STATUSES.items()}
_ROLES: Final[dict[Any, Any]] = {speaker: number for number, speaker in SPEAKERS.items()}


def moment(at: datetime | None) -> Timestamp | None:
    """A time; None stays absent."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def structure(data: Mapping[str, Any]) -> Struct:
    """Plain data as a Struct."""
    return ParseDict(dict(data), Struct())


def session_message(session: CallSession) -> session_pb2.CallSession:
    """A session in full."""
    return session_pb2.CallSession(
        session_id=str(session.session_id),
        caller_phone=session.caller_phone,
        call_start_time=moment(session.call_start_time),
        call_end_time=moment(session.call_end_time),
        sip_call_id=session.sip_call_id,
        status=STATUS_NUMBERS[session.status],
        ai_provider_config=structure(session.ai_provider_config),
        created_at=moment(session.created_at),
        updated_at=moment(session.updated_at),
        avc_instance=session.avc_instance,
        voice_agent=session.voice_agent,
        version=session.version,
    )


def session_response(session: CallSession, message: str) -> session_pb2.SessionResponse:
    """A session's state, with a sentence for a developer."""
    return session_pb2.SessionResponse(
        session_id=str(session.session_id),
        status=STATUS_NUMBERS[session.status],
        message=message,
        version=session.version,
    )


def context_message(context: ConversationContext) -> context_pb2.ConversationContext:
    """A context in full."""
    return context_pb2.ConversationContext(
        context_id=str(context.context_id),
        session_id=str(context.session_id),
        conversation_history=[exchange_message(exchange) for exchange in context.history],
        current_intent=context.current_intent,
        customer_data=structure(context.customer_data),
        last_updated=moment(context.last_updated),
        expires_at=moment(context.expires_at),
        version=context.version,
    )


def exchange_message(exchange: Exchange) -> context_pb2.ConversationMessage:
    """One exchange."""
    return context_pb2.ConversationMessage(
        role=_ROLES[exchange.speaker],
        content=exchange.content,
        timestamp=moment(exchange.at),
        turn=exchange.turn,
        interrupted=exchange.interrupted,
    )
