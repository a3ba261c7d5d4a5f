"""A session is recorded, whatever becomes of its context."""

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from callfleet_agent.services.inputs.sessions import NewSession, SessionEnd
from callfleet_agent.services.session_manager import SessionManagerService
from callfleet_agent.session.commands import SessionCommands
from callfleet_agent.session.errors import SessionEndedError
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import CallSession
from callfleet_agent.session.store import Step
from callfleet_agent.storage.errors import StoreUnavailableError

SESSION = UUID(int=1)


class OneSession:
    """A store with room for one."""

    def __init__(self) -> None:
        self.held: CallSession | None = None

    async def create(self, session: CallSession) -> tuple[CallSession, bool]:
        is_new = self.held is None
        self.held = self.held or session
        return self.held, is_new

    async def change(self, session_id: UUID, request_id: UUID | None, step: Step) -> CallSession:
        assert self.held is not None
        self.held = step(self.held)
        return self.held


class Memories:
    """Contexts that may be away."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.told: list[str] = []

    async def begin(self, session_id: UUID) -> None:
        self.told.append(f"begin {session_id.int}")
        if self.error:
            raise self.error

    async def lapse(self, session_id: UUID) -> None:
        self.told.append(f"lapse {session_id.int}")
        if self.error:
            raise self.error


def service(memories: Memories) -> SessionManagerService:
    store: Any = OneSession()
    commands = SessionCommands(store, lambda: datetime(2026, 1, 2, tzinfo=UTC), lambda: SESSION)
    return SessionManagerService(commands, SessionQueries(store), memories)


CALL = NewSession(sip_call_id="a@phone")
END = SessionEnd.model_validate({"session_id": str(SESSION)})


async def test_a_context_begins_and_lapses_with_its_session() -> None:
    memories = Memories()
    manager = service(memories)
    await manager.CreateSession(CALL, None)
    await manager.CreateSession(CALL, None)
    await manager.EndSession(END, None)
    await manager.CreateSession(CALL, None)  # told again, late: there is nothing to begin
    assert memories.told == ["begin 1", "begin 1", "lapse 1"]


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), SessionEndedError()])
async def test_a_context_that_cannot_be_had_costs_no_session(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    manager = service(Memories(error))
    with caplog.at_level(logging.WARNING):
        made = await manager.CreateSession(CALL, None)
        ended = await manager.EndSession(END, None)
    assert (made.message, ended.message) == ("recorded", "ended")
    assert [record.message for record in caplog.records] == ["a context is not up to date"] * 2
