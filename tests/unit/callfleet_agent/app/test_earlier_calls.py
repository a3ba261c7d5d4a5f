"""The search for a caller's call that broke off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from callfleet.v1 import context_pb2, session_pb2
from callfleet_agent.app.earlier_calls import LIMIT_S, EarlierCalls, Search
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.context.errors import ContextNotFoundError
from callfleet_agent.link import Caller, Earlier
from callfleet_agent.services.answers import moment, structure
from callfleet_agent.storage.errors import StoreUnavailableError
from fakes.grpc_answers import answering
from fakes.virtual_time import in_virtual_time

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PATIENT_S = 120.0  # a busy machine's gRPC is no store that hangs
BROKEN, MINE = UUID(int=1), UUID(int=2)
TRUSTED = Caller("+15550100", trusted=True)
FACTS = {"customer_number": "200417", "failed_attempts": 1, "caller_trusted": True}


class FakeStores:
    """A session and its context."""

    def __init__(self) -> None:
        self.session: Any = session_pb2.CallSession(
            session_id=str(BROKEN), sip_call_id="a@b", call_start_time=moment(NOW),
            status=session_pb2.SESSION_STATUS_INTERRUPTED, call_end_time=moment(NOW),
        )  # fmt: skip
        self.context: Any = context_pb2.ConversationContext(
            session_id=str(BROKEN), current_intent="card_delivery_inquiry",
            customer_data=structure(FACTS), last_updated=moment(NOW),
        )  # fmt: skip
        self.asked: list[Any] = []
        self.told: list[str] = []
        self.held: set[UUID] = set()

    async def last(self, request: Any) -> session_pb2.FindInterruptedResponse:
        self.asked.append(request)
        if isinstance(self.session, Exception):
            raise self.session
        return session_pb2.FindInterruptedResponse(session=self.session)

    async def remembered(self, request: Any) -> context_pb2.ConversationContext:
        self.asked.append(request)
        if isinstance(self.context, Exception):
            raise self.context
        found: context_pb2.ConversationContext = self.context
        return found

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[EarlierCalls]:
        find = (session_pb2.FindInterruptedRequest, self.last)
        read = (context_pb2.ContextRequest, self.remembered)
        async with (
            answering("SessionManagerService", FindInterrupted=find) as sessions,
            answering("ContextStoreService", GetContext=read) as contexts,
        ):
            yield EarlierCalls(
                sessions, contexts, holds=self.held.__contains__, told=self.told.append,
                now=lambda: NOW + timedelta(seconds=30), limit_s=PATIENT_S,
            )  # fmt: skip

    async def of(self, caller: Caller = TRUSTED) -> Earlier | None:
        async with self.calls() as calls:
            return await calls.of(caller, "new@phone", MINE)


async def test_a_trusted_callers_call_is_found_by_the_number() -> None:
    stores = FakeStores()
    assert await stores.of() == Earlier("card_delivery_inquiry", "200417", 1)
    assert stores.told == ["found"]
    asked = stores.asked[0]
    assert (asked.caller_phone, asked.sip_call_id, asked.session_id) == ("+15550100", "", str(MINE))


@pytest.mark.parametrize(
    "caller",
    [
        Caller("+15550100", trusted=False),
        Caller(None, trusted=True, withheld=True),
        Caller("alice", trusted=True),
    ],
)
async def test_anybody_elses_by_the_call_id_alone(caller: Caller) -> None:
    stores = FakeStores()
    stores.context.customer_data["caller_trusted"] = False
    assert await stores.of(caller) is not None
    assert (stores.asked[0].caller_phone, stores.asked[0].sip_call_id) == ("", "new@phone")


async def test_a_number_that_nobody_vouched_for_leads_to_nothing() -> None:
    stores = FakeStores()
    stores.context.customer_data["caller_trusted"] = False
    assert await stores.of() is None
    assert stores.told == ["untrusted"]


async def test_nothing_is_found_for_each_reason() -> None:
    nobody, nothing, away, lively = FakeStores(), FakeStores(), FakeStores(), FakeStores()
    nobody.session = None
    nothing.context = ContextNotFoundError()
    away.session = StoreUnavailableError("x")
    lively.held = {BROKEN}
    for stores, outcome in (
        (nobody, "none"), (nothing, "nothing"), (away, "away"), (lively, "goes-on"),
    ):  # fmt: skip
        assert await stores.of() is None
        assert stores.told == [outcome]


async def test_a_context_that_cannot_be_read_is_away() -> None:
    stores = FakeStores()
    stores.context = StoreUnavailableError("x")
    assert await stores.of() is None
    assert stores.told == ["away"]


class Hanging:
    """A service that answers nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[str] = []

    def stub(self, _: Callable[..., Any]) -> "Hanging":
        return self

    def metadata(self, _: str) -> tuple[tuple[str, str], ...]:
        return ()

    async def FindInterrupted(self, *_: object, **__: object) -> None:  # noqa: N802, the protocol's
        self.asked += 1
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""

    def calls(self, kind: type[EarlierCalls] = EarlierCalls) -> EarlierCalls:
        return kind(self, self, holds=lambda _: False, told=self.told.append)


def search(calls: EarlierCalls) -> Search:
    return Search(calls, TRUSTED, "new@phone", MINE)


class Endless(EarlierCalls):
    """They come to no end, whatever their questions do."""

    async def of(self, *_: object) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(("kind", "waits_s"), [(EarlierCalls, 0.12), (Endless, 0.25)])
@in_virtual_time
async def test_a_call_waits_a_quarter_of_a_second_and_no_longer(
    kind: type[EarlierCalls], waits_s: float
) -> None:
    hanging, loop = Hanging(), asyncio.get_running_loop()
    searching = search(hanging.calls(kind))
    assert await searching.found() is None
    assert loop.time() == pytest.approx(waits_s)
    assert loop.time() <= LIMIT_S + 0.001
    assert hanging.told == ["away"]
    assert await searching.found() is None


@in_virtual_time
async def test_a_store_that_hangs_is_left_alone_after_five_calls() -> None:
    hanging = Hanging()
    calls = hanging.calls()
    for _ in range(7):
        await search(calls).found()
    assert hanging.asked == 5


@in_virtual_time
async def test_a_call_that_is_cancelled_looks_no_further() -> None:
    hanging = Hanging()
    searching = search(hanging.calls())
    await asyncio.sleep(0)
    await searching.end()
    await searching.end()
    assert (hanging.asked, hanging.told) == (1, [])


async def test_without_stores_nothing_is_looked_for() -> None:
    search = Search(None, TRUSTED, "new@phone", MINE)
    assert await search.found() is None
    await search.end()


def test_every_outcome_is_a_label() -> None:
    metrics = AgentMetrics(1)
    metrics.looked_for_earlier("found")
    assert (
        metrics.registry.get_sample_value("callfleet_earlier_calls_total", {"outcome": "found"})
        == 1.0
    )
