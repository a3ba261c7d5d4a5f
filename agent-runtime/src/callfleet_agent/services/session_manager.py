"""SessionManagerService on commands and queries. Requests come validated from the edge."""

from typing import Any, Final

from callfleet.v1 import session_pb2
from callfleet_agent.services.answers import session_message, session_response
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.sessions import (
    NewSession,
    SessionChange,
    SessionEnd,
    SessionKey,
)
from callfleet_agent.session.commands import (
    ChangeSession,
    FinishSession,
    SessionCommands,
    StartSession,
)
from callfleet_agent.session.queries import SessionQueries

NAME: Final = "callfleet.v1.SessionManagerService"
READERS: Final = {
    f"/{NAME}/CreateSession": reader_of(NewSession),
    f"/{NAME}/UpdateSession": reader_of(SessionChange),
    f"/{NAME}/GetSession": reader_of(SessionKey),
    f"/{NAME}/EndSession": reader_of(SessionEnd),
}


class SessionManagerService:
    """The four RPCs."""

    def __init__(self, commands: SessionCommands, queries: SessionQueries) -> None:
        self._commands = commands
        self._queries = queries

    async def CreateSession(self, given: NewSession, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """Record a call."""
        session = await self._commands.start(
            StartSession(
                sip_call_id=given.sip_call_id,
                session_id=given.session_id,
                caller_phone=given.caller_phone,
                call_start_time=given.call_start_time,
                ai_provider_config=given.ai_provider_config,
                avc_instance=given.avc_instance,
                voice_agent=given.voice_agent,
            )
        )
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
            )
        )
        return session_response(session, "changed")

    async def GetSession(self, given: SessionKey, _: Any) -> session_pb2.CallSession:  # noqa: N802
        """Read a session."""
        if given.session_id is not None:
            return session_message(await self._queries.by_id(given.session_id))
        return session_message(await self._queries.by_sip_call_id(given.sip_call_id))

    async def EndSession(self, given: SessionEnd, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """End a session."""
        session = await self._commands.finish(
            FinishSession(
                session_id=given.session_id,
                status=given.reason,
                call_end_time=given.call_end_time,
            )
        )
        return session_response(session, "ended")
