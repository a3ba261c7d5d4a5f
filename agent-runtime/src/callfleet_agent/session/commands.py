"""What changes sessions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from callfleet_agent.session.errors import SessionChangedError, SessionExistsError
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.session.store import SessionWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSession:
    """A call was answered. Without an id, one is made; without a time, it is now."""

    sip_call_id: str
    session_id: UUID | None = None
    caller_phone: str = field(default="", repr=False)
    call_start_time: datetime | None = None
    ai_provider_config: Mapping[str, Any] = field(default_factory=dict)
    avc_instance: str = ""
    voice_agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSession:
    """New values of a session; None leaves a field. `expected_version`: the one that the change was
    made from; 0 does not check."""

    session_id: UUID
    request_id: UUID | None = None
    status: SessionStatus | None = None
    ai_provider_config: Mapping[str, Any] | None = None
    avc_instance: str | None = None
    expected_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishSession:
    """A call is over."""

    session_id: UUID
    status: SessionStatus = SessionStatus.COMPLETED
    call_end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionCommands:
    """The commands on one store."""

    store: SessionWriter
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def start(self, command: StartSession) -> CallSession:
        """Record a call; the same id and Call-ID again change nothing.

        Raises:
            SessionExistsError: the id is another call's, or another's call.
        """
        recorded, _ = await self.begin(command)
        return recorded

    async def begin(self, command: StartSession) -> tuple[CallSession, bool]:
        """The same; with it whether the session is new."""
        offered = CallSession(
            session_id=command.session_id or self.new_id(),
            sip_call_id=command.sip_call_id,
            caller_phone=command.caller_phone,
            call_start_time=command.call_start_time or self.now(),
            ai_provider_config=command.ai_provider_config,
            avc_instance=command.avc_instance,
            voice_agent=command.voice_agent,
        )
        recorded, is_new = await self.store.create(offered)
        if not is_new and recorded.sip_call_id != offered.sip_call_id:
            raise SessionExistsError
        return recorded, is_new

    async def change(self, command: ChangeSession) -> CallSession:
        """Change fields; once for each request id.

        Raises:
            SessionChangedError: another change came first.
        """

        def step(session: CallSession) -> CallSession:
            if command.expected_version not in {0, session.version}:
                raise SessionChangedError(command.expected_version, session.version)
            return session.changed(
                at=self.now(),
                status=command.status,
                ai_provider_config=command.ai_provider_config,
                avc_instance=command.avc_instance,
            )

        return await self.store.change(command.session_id, command.request_id, step)

    async def finish(self, command: FinishSession) -> CallSession:
        """End it; one that has ended stays as it is."""
        at = command.call_end_time or self.now()
        return await self.store.change(
            command.session_id, None, lambda session: session.ended(command.status, at)
        )
