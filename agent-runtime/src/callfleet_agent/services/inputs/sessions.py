"""Requests of the session manager."""

from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from callfleet_agent.services.inputs.kinds import (
    CallId,
    Input,
    Moment,
    Name,
    Phone,
    Structure,
    Uuid,
    one_of,
    wrong,
)
from callfleet_agent.session.continuing import LONGEST_WITHIN, WITHIN
from callfleet_agent.session.record import SessionStatus

STATUSES = {
    1: SessionStatus.ACTIVE,
    2: SessionStatus.COMPLETED,
    3: SessionStatus.FAILED,
    4: SessionStatus.INTERRUPTED,
}
_REASONS = {
    0: SessionStatus.COMPLETED,
    1: SessionStatus.COMPLETED,
    2: SessionStatus.FAILED,
    3: SessionStatus.INTERRUPTED,
}


def _recent(value: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= value <= LONGEST_WITHIN:
        raise wrong("must be 1 second to 30 minutes")
    return value


CHANGEABLE = frozenset({"status", "ai_provider_config", "avc_instance"})
Status = Annotated[SessionStatus, BeforeValidator(one_of(STATUSES, "is no known status"))]


class SessionFields(Input):
    """What a CallSession may say."""

    session_id: Uuid | None = None
    caller_phone: Phone = ""
    call_start_time: Moment | None = None
    call_end_time: Moment | None = None
    sip_call_id: CallId = ""
    status: Status = SessionStatus.ACTIVE
    ai_provider_config: Structure = Field(default_factory=dict)
    avc_instance: Name = ""
    voice_agent: Name = ""
    created_at: Moment | None = None
    updated_at: Moment | None = None
    version: int = Field(default=0, ge=0, le=2**53)


class NewSession(SessionFields):
    """CreateSession: an ACTIVE session."""

    sip_call_id: CallId

    @model_validator(mode="before")
    @classmethod
    def _is_new(cls, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("status", 1) != 1 or "call_end_time" in data:
            raise wrong("must be ACTIVE for a new session, without an end", "status")
        return data


class SessionChange(Input):
    """UpdateSession: fields that the mask names."""

    class Target(SessionFields):
        """The session, which must be named."""

        session_id: Uuid

    session: Target
    update_mask: list[str] = Field(min_length=1, max_length=8)
    request_id: Uuid | None = None
    expected_version: int = Field(default=0, ge=0, le=2**53)

    @model_validator(mode="after")
    def _mask_is_known(self) -> Self:
        if not CHANGEABLE.issuperset(self.update_mask):
            raise wrong("names a field that cannot be changed", "update_mask")
        return self


class SessionKey(Input):
    """GetSession: by one of two names."""

    session_id: Uuid | None = None
    sip_call_id: CallId = ""

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.session_id is None and not self.sip_call_id:
            raise wrong("session_id or sip_call_id is required", "key")
        return self


class InterruptedQuestion(Input):
    """FindInterrupted: by one of two names."""

    caller_phone: Phone = ""
    sip_call_id: CallId = ""
    session_id: Uuid | None = None
    within: Annotated[timedelta, AfterValidator(_recent)] = WITHIN

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if bool(self.caller_phone) is bool(self.sip_call_id):
            raise wrong("one of caller_phone and sip_call_id is required", "caller_phone")
        return self


class SessionEnd(Input):
    """EndSession."""

    session_id: Uuid
    reason: Annotated[SessionStatus, BeforeValidator(one_of(_REASONS, "is no known reason"))] = (
        SessionStatus.COMPLETED
    )
    call_end_time: Moment | None = None
