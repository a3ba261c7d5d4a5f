"""Where conversations over streams are recorded, and what they go on with.

A conversation that was cut off, with its pod or for want of a stream, is gone on with by whoever
asks for its session again: in a new session, as a caller's next call is by telephone.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from callfleet_agent.app.call_book import CallBook, NoBook
from callfleet_agent.app.call_story import Story
from callfleet_agent.app.remembered import earlier_of
from callfleet_agent.context.conversation import ConversationContext
from callfleet_agent.context.errors import ContextNotFoundError
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.link import Earlier
from callfleet_agent.services.errors import SessionElsewhereError
from callfleet_agent.session.commands import SessionCommands, StartSession
from callfleet_agent.session.continuing import EarlierCall, Unfit, unfit
from callfleet_agent.session.errors import SessionEndedError
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import CallSession
from callfleet_agent.storage.errors import StorageError

SETTLE_S: Final = 1.0
MOST_CUT_OFFS: Final = 8  # of one conversation
_OVER: Final = frozenset({Unfit.ENDED, Unfit.LONG_AGO})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """The session that a conversation is recorded as, and what it goes on with."""

    session: CallSession
    earlier: Earlier | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """The stores, where there are some."""

    commands: SessionCommands
    sessions: SessionQueries
    contexts: ContextQueries
    now: Callable[[], datetime]


def no_pools() -> Mapping[str, Any]:
    """For those whose chains nobody asks about."""
    return {}


class StoredRecords:
    """Sessions of streams, through a journal. `pod`: this process, as its sessions name it;
    `pools`: the pools of each stage as they are now, which may read a file."""

    def __init__(
        self,
        book: CallBook | NoBook,
        kept: Kept | None = None,
        *,
        pod: str = "",
        pools: Callable[[], Mapping[str, Any]] = no_pools,
    ) -> None:
        self._book = book
        self._kept = kept
        self._pod = pod
        self._pools = pools

    def story(self, session_id: UUID, owner: str) -> Story:
        """What a conversation tells of itself."""
        return self._book.story(session_id, owner)

    async def settled(self) -> None:
        """Wait a moment until what was told is there for others."""
        await self._book.settled(SETTLE_S)

    async def begun(self, session: CallSession) -> Beginning:
        """Record the beginning at once, if that is possible: the journal brings it again. A session
        of this id that was cut off is gone on with under another one, always the same.

        Raises:
            SessionExistsError: the id is another call's.
            SessionEndedError: it has come to its end, or was cut off too long ago.
            SessionElsewhereError: another replica has it, as far as can be told.
        """
        pools = await asyncio.to_thread(self._pools)
        offered = replace(session, avc_instance=self._pod, ai_provider_config=pools)
        earlier: Earlier | None = None
        if self._kept is None:
            return Beginning(offered)
        try:
            for _ in range(MOST_CUT_OFFS):
                _, is_new = await self._kept.commands.begin(_start(offered))
                if is_new:
                    return Beginning(offered, earlier)
                earlier = await self._left(self._kept, offered.session_id)
                offered = _going_on(offered)
        except StorageError:
            _log.warning("a session is recorded later")
            return Beginning(offered, earlier)
        raise SessionEndedError

    async def _left(self, kept: Kept, session_id: UUID) -> Earlier | None:
        """What is left of a session that is no conversation of this process."""
        await self.settled()  # a process of this pod that was killed may have owed its end
        session = await kept.sessions.by_id(session_id)
        context = await _context(kept.contexts, session_id)
        intent = "" if context is None else context.current_intent
        reason = unfit(
            EarlierCall(
                session=session,
                told_at=session.call_start_time if context is None else context.last_updated,
                now=kept.now(),
                wanted=intent,
                vouched=True,  # its client is known by its certificate
            )
        )
        if reason in _OVER:
            raise SessionEndedError
        is_ours = bool(self._pod) and session.avc_instance == self._pod
        if reason is Unfit.GOES_ON and not is_ours:
            raise SessionElsewhereError
        _log.info("a conversation that was cut off is gone on with")
        return earlier_of(intent, context.customer_data) if context and intent else None


def unnamed(session_id: UUID) -> str:
    """The Call-ID of a session that has none."""
    return f"{session_id}@stream"


def _going_on(cut_off: CallSession) -> CallSession:
    session_id, call_id = uuid5(cut_off.session_id, "goes on"), cut_off.sip_call_id
    is_unnamed = call_id == unnamed(cut_off.session_id)
    return replace(
        cut_off, session_id=session_id, sip_call_id=unnamed(session_id) if is_unnamed else call_id
    )


async def _context(contexts: ContextQueries, session_id: UUID) -> ConversationContext | None:
    try:
        return await contexts.of_session(session_id, history_limit=1)
    except ContextNotFoundError:
        return None


def _start(session: CallSession) -> StartSession:
    return StartSession(
        sip_call_id=session.sip_call_id,
        session_id=session.session_id,
        caller_phone=session.caller_phone,
        call_start_time=session.call_start_time,
        ai_provider_config=session.ai_provider_config,
        avc_instance=session.avc_instance,
    )
