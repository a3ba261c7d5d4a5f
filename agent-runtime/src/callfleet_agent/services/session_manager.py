"""SessionManagerService on commands and queries. Requests come validated from the edge."""

import logging
from collections.abc import Awaitable
from typing import Any, Final, Protocol
from uuid import UUID

from callfleet.v1 import session_pb2
from callfleet_agent.services.actor import acting
from callfleet_agent.services.answers import session_message, session_response
from callfleet_agent.services.errors import InvalidRequestError, Violation
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.sessions import (
    InterruptedQuestion,
    NewSession,
    SessionChange,
    SessionEnd,
    SessionKey,
)
from callfleet_agent.services.ownership import voice_agent_of
from callfleet_agent.session.commands import (
    ChangeSession,
    FinishSession,
    SessionCommands,
    StartSession,
)
from callfleet_agent.session.errors import SessionEndedError
from callfleet_agent.session.queries import Interrupted, SessionQueries
from callfleet_agent.session.store import Caller
from callfleet_agent.storage.errors import StorageError

_log = logging.getLogger(__name__)
NAME: Final = "callfleet.v1.SessionManagerService"
READERS: Final = {
    f"/{NAME}/CreateSession": reader_of(NewSession),
    f"/{NAME}/UpdateSession": reader_of(SessionChange),
    f"/{NAME}/GetSession": reader_of(SessionKey),
    f"/{NAME}/FindInterrupted": reader_of(InterruptedQuestion),
    f"/{NAME}/EndSession": reader_of(SessionEnd),
}


class Memories(Protocol):
    """Where a session's conversation is kept."""

    async def begin(self, session_id: UUID) -> None:
        """Give a session an empty context, unless it has one."""
        ...

    async def lapse(self, session_id: UUID) -> None:
        """The session is over: its context is kept for the usual time at most."""
        ...


class SessionManagerService:
    """The five RPCs."""

    def __init__(
        self, commands: SessionCommands, queries: SessionQueries, memories: Memories
    ) -> None:
        self._commands = commands
        self._queries = queries
        self._memories = memories

    async def CreateSession(self, given: NewSession, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """Record a call, as one of the agent that says so."""
        agent = voice_agent_of(acting())
        if agent is not None and given.voice_agent not in {"", agent}:
            raise InvalidRequestError(Violation("voice_agent", "is not the agent that asks"))
        session = await self._commands.start(
            StartSession(
                sip_call_id=given.sip_call_id,
                session_id=given.session_id,
                caller_phone=given.caller_phone,
                call_start_time=given.call_start_time,
                ai_provider_config=given.ai_provider_config,
                avc_instance=given.avc_instance,
                voice_agent=given.voice_agent or agent or "",
            )
        )
        if not session.is_over:
            await _tried(self._memories.begin(session.session_id))
        return session_response(session, "recorded")

    async def UpdateSession(self, given: SessionChange, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """Change the fields that the mask names."""
        named, target = frozenset(given.update_mask), given.session
        session = await self._commands.change(
            ChangeSession(
                session_id=target.session_id,
                request_id=given.request_id,
                status=target.status if "status" in named else None,
                ai_provider_config=(
                    target.ai_provider_config if "ai_provider_config" in named else None
                ),
                avc_instance=target.avc_instance if "avc_instance" in named else None,
                expected_version=given.expected_version,
            )
        )
        return session_response(session, "changed")

    async def GetSession(self, given: SessionKey, _: Any) -> session_pb2.CallSession:  # noqa: N802
        """Read a session."""
        if given.session_id is not None:
            return session_message(await self._queries.by_id(given.session_id))
        return session_message(await self._queries.by_sip_call_id(given.sip_call_id))

    async def FindInterrupted(  # noqa: N802
        self, given: InterruptedQuestion, _: Any
    ) -> session_pb2.FindInterruptedResponse:
        """The last call of a caller to the agent that asks."""
        found = await self._queries.interrupted(
            Interrupted(
                caller=Caller(phone=given.caller_phone, sip_call_id=given.sip_call_id),
                voice_agent=voice_agent_of(acting()) or "",
                session_id=given.session_id,
                within=given.within,
            )
        )
        return session_pb2.FindInterruptedResponse(
            session=None if found is None else session_message(found)
        )

    async def EndSession(self, given: SessionEnd, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """End a session."""
        session = await self._commands.finish(
            FinishSession(
                session_id=given.session_id,
                status=given.reason,
                call_end_time=given.call_end_time,
            )
        )
        await _tried(self._memories.lapse(session.session_id))
        return session_response(session, "ended")


async def _tried(step: Awaitable[None]) -> None:
    """What the first turn, or the context's own time, does later if it cannot be done now."""
    try:
        await step
    except (StorageError, SessionEndedError) as error:
        _log.warning("a context is not up to date", extra={"error": type(error).__name__})
