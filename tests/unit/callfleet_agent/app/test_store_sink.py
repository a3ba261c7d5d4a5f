"""Records that are delivered within the process: what the services' own code says of them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from callfleet_agent.app.call_book import opened
from callfleet_agent.app.call_record import JournalRecorder, owned
from callfleet_agent.app.live_calls import LiveCalls
from callfleet_agent.app.store_sink import StoreSink
from callfleet_agent.context.errors import ContextTooLargeError
from callfleet_agent.journal import DeliverLaterError, Entry, RefusedError, Weight
from callfleet_agent.services.actor import acting
from callfleet_agent.session.errors import (
    SessionEndedError,
    SessionExistsError,
    SessionNotFoundError,
)
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.storage.errors import StoreUnavailableError

CALL, OWNER = UUID(int=7), "spiffe://callfleet.io/ns/bank/client/kiosk"


class FakeService:
    """SessionManagerService and ContextStoreService: takes what comes, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.taken: list[tuple[str, str]] = []

    async def _take(self, name: str, request: Any) -> None:
        self.taken.append((name, acting()))
        assert request.session_id == CALL
        if self.error is not None:
            raise self.error

    async def CreateSession(self, request: Any, _: Any) -> None:  # noqa: N802
        await self._take("started", request)

    async def UpdateContext(self, request: Any, _: Any) -> None:  # noqa: N802
        await self._take("turn", request)

    async def EndSession(self, request: Any, _: Any) -> None:  # noqa: N802
        await self._take("ended", request)


def sink(service: FakeService) -> StoreSink:
    return StoreSink(service, service)  # type: ignore[arg-type]


class Kept:
    """A journal that keeps what it is told as it would deliver it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, weight: Weight, kind: int, call: UUID, identity: UUID, data: bytes) -> None:
        self.entries.append(Entry(len(self.entries), weight, kind, call, identity, data))


def told() -> list[Entry]:
    kept = Kept()
    recorder = JournalRecorder(kept, owner=OWNER)  # type: ignore[arg-type]
    now = datetime.now(UTC)
    recorder.call_started(CallSession(session_id=CALL, sip_call_id="a@stream", call_start_time=now))
    recorder.turn_ended(CALL, UUID(int=8), {"intent": "x"})
    recorder.call_ended(CALL, SessionStatus.COMPLETED, now)
    return kept.entries


async def test_each_record_is_delivered_in_the_name_of_its_owner() -> None:
    service = FakeService()
    for entry in told():
        await sink(service).deliver(entry)
    assert service.taken == [("started", OWNER), ("turn", OWNER), ("ended", OWNER)]
    assert acting() == "none"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoreUnavailableError("x"), DeliverLaterError),
        (SessionNotFoundError(), RefusedError),
        (SessionEndedError(), RefusedError),
        (ContextTooLargeError(1), RefusedError),
        (SessionExistsError(), None),
    ],
)
async def test_what_is_tried_again(error: Exception, outcome: type[Exception] | None) -> None:
    entry = told()[0]
    if outcome is None:
        await sink(FakeService(error)).deliver(entry)
    else:
        with pytest.raises(outcome):
            await sink(FakeService(error)).deliver(entry)


@pytest.mark.parametrize(("kind", "data"), [(99, b"x\n"), (1, b"x\n\xff\xff"), (1, b"x\n"),
                                            (1, b"\xff\n")])  # fmt: skip
async def test_what_is_no_record_is_refused(kind: int, data: bytes) -> None:
    entry = Entry(1, Weight.DETAIL, kind, CALL, CALL, data)
    with pytest.raises(RefusedError, match="UNREADABLE"):
        await sink(FakeService()).deliver(entry)


def test_whose_a_record_is() -> None:
    assert owned(b"a\nb\nc") == ("a", b"b\nc")


async def test_a_killed_process_conversations_are_ended_in_their_owners_name(
    tmp_path: Path,
) -> None:
    LiveCalls(tmp_path / "live").is_up(CALL, OWNER)
    service = FakeService()
    async with opened(tmp_path, sink(service)) as book:
        assert await book.delivered(60.0) == 0
    assert service.taken == [("ended", OWNER)]
