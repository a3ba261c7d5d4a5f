"""The record of a connector's calls: told to a journal on the disk, delivered to the services.

The call's path only tells. A task delivers, in order; what a killed process owed is delivered by
the next one in the pod, and its calls are ended as interrupted.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from callfleet_agent.app.call_record import JournalRecorder
from callfleet_agent.app.call_story import CallStory, NoStory, Story
from callfleet_agent.app.earlier_calls import EarlierCalls
from callfleet_agent.app.journal_key import journal_key
from callfleet_agent.app.live_calls import LiveCalls
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.journal import (
    Deliverer,
    DeliverySettings,
    Journal,
    JournalError,
    JournalSettings,
    Sink,
)
from callfleet_agent.services.client import CONTEXT_STORE, SESSION_MANAGER, ServiceClient
from callfleet_agent.services.record_sink import GrpcSink
from callfleet_agent.session.record import SessionStatus
from callfleet_agent.session.recorder import CallRecorder
from callfleet_agent.time_limit import at_most

_log = logging.getLogger(__name__)


class CallBook:
    """What is kept of calls, and what was kept of earlier ones."""

    def __init__(
        self,
        journal: Journal,
        recorder: CallRecorder,
        live: LiveCalls,
        deliverer: Deliverer,
        earlier: EarlierCalls | None = None,
    ) -> None:
        self.earlier = earlier
        self.journal = journal
        self._recorder = recorder
        self._live = live
        self._deliverer = deliverer

    def story(self, session_id: UUID, owner: str = "") -> Story:
        """A new call's; `owner` is whose it is, where that is not this process's identity."""
        return CallStory(session_id, self._recorder_of(owner), self._live, owner=owner)

    def end_what_was_left(self) -> None:
        """End the calls of a process that was killed."""
        left = list(self._live.left())
        for session_id, at, owner in left:
            recorder = self._recorder_of(owner)
            recorder.call_ended(session_id, SessionStatus.INTERRUPTED, at)
            self._live.is_over(session_id)
        if left:
            _log.warning("calls of a killed process are ended", extra={"calls": len(left)})

    def _recorder_of(self, owner: str) -> CallRecorder:
        return JournalRecorder(self.journal, owner=owner) if owner else self._recorder

    async def settled(self, limit_s: float) -> None:
        """Wait until nothing is owed, no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with at_most(limit_s):
                await self._deliverer.drained()

    async def delivered(self, limit_s: float) -> int:
        """The same at the end of the process; how much is owed then."""
        await self.settled(limit_s)
        if len(self.journal):
            _log.warning("records are owed at the end", extra={"records": len(self.journal)})
        return len(self.journal)


class NoBook:
    """Nothing is kept: a laptop's."""

    earlier: EarlierCalls | None = None

    def story(self, _: UUID, _owner: str = "", /) -> Story:
        """Of nobody."""
        return NoStory()

    async def settled(self, _: float, /) -> None:
        """Nothing is owed."""

    async def delivered(self, _: float, /) -> int:
        """Nothing is owed."""
        return 0


@asynccontextmanager
async def call_book(
    settings: AgentSettings, metrics: AgentMetrics, holds: Callable[[UUID], bool]
) -> AsyncIterator[CallBook | NoBook]:
    """The book of an agent's calls, open within the block."""
    services, tls = settings.services, settings.listen.tls_folder
    if not services.session_manager or tls is None:
        yield NoBook()
        return
    async with AsyncExitStack() as stack:
        sessions = ServiceClient(services.session_manager, SESSION_MANAGER, tls)
        stack.push_async_callback(sessions.close)
        sessions.connect()
        contexts: ServiceClient | None = None
        earlier: EarlierCalls | None = None
        if services.context_store:
            contexts = ServiceClient(services.context_store, CONTEXT_STORE, tls)
            stack.push_async_callback(contexts.close)
            contexts.connect()
            earlier = EarlierCalls(
                sessions, contexts, holds=holds, told=metrics.looked_for_earlier,
                limit_s=services.earlier_call_s,
            )  # fmt: skip
        sink = GrpcSink(sessions, contexts)
        book = await stack.enter_async_context(
            opened(services.journal, sink, turns=contexts is not None, earlier=earlier)
        )
        metrics.watch(book.journal)
        yield book


@asynccontextmanager
async def opened(
    folder: Path | None,
    sink: Sink,
    *,
    turns: bool = True,
    earlier: EarlierCalls | None = None,
    settings: DeliverySettings | None = None,
) -> AsyncIterator[CallBook]:
    """A book on the journal in this folder; what is owed is delivered within the block."""
    with contextlib.ExitStack() as stack:
        journal, folder = _journal(folder, stack)
        live = LiveCalls(folder / "live")
        deliverer = Deliverer(journal, sink, settings)
        book = CallBook(journal, JournalRecorder(journal, turns=turns), live, deliverer, earlier)
        book.end_what_was_left()
        delivering = asyncio.create_task(deliverer.run())
        try:
            yield book
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            journal.close()


def _journal(folder: Path | None, stack: contextlib.ExitStack) -> tuple[Journal, Path]:
    """The journal, in a folder that ends with the process where there is no better one."""
    if folder is not None:
        try:
            key = journal_key(folder)
            return Journal(JournalSettings(folder=folder, key=key)), folder
        except JournalError as error:
            _log.error(
                "the journal is kept until the end of the process only",
                extra={"reason": str(error)},
            )
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="callfleet-journal-")))
    return Journal(JournalSettings(folder=folder, key=journal_key(folder, folder))), folder
