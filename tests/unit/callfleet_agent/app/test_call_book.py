"""The book of a connector's calls: its key, what a killed process left, and its end."""

import asyncio
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from callfleet_agent.app import call_book, journal_key
from callfleet_agent.app.call_book import NoBook, opened
from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.live_calls import LiveCalls
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.service_addresses import ServiceAddresses
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.app.worker_process import worker_arguments
from callfleet_agent.journal import DeliverLaterError, DeliverySettings, Entry, JournalError
from callfleet_agent.services.record_sink import RecordKind
from callfleet_agent.session.record import CallSession, SessionStatus
from fakes.connector import settings as agent_settings

CALL = UUID(int=7)
FAST = DeliverySettings(first_wait_s=0.001, longest_wait_s=0.001)


class FakeSink:
    """Takes records, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.taken: list[tuple[RecordKind, UUID]] = []

    async def deliver(self, entry: Entry) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise DeliverLaterError("UNAVAILABLE")
        self.taken.append((RecordKind(entry.kind), entry.call))


def session() -> CallSession:
    return CallSession(session_id=CALL, sip_call_id="a@b", call_start_time=datetime.now(UTC))


async def test_a_call_is_delivered_in_its_order(tmp_path: Path) -> None:
    sink = FakeSink()
    async with opened(tmp_path, sink) as book:
        story = book.story(CALL)
        story.started(session())
        story.ended(SessionStatus.COMPLETED, datetime.now(UTC))
        assert await book.delivered(60.0) == 0
    assert sink.taken == [(RecordKind.CALL_STARTED, CALL), (RecordKind.CALL_ENDED, CALL)]


async def test_the_next_process_delivers_what_a_killed_one_owed_and_ends_its_calls(
    tmp_path: Path,
) -> None:
    away = FakeSink(away=True)
    async with opened(tmp_path, away, settings=FAST) as book:
        book.story(CALL).started(session())
        assert await book.delivered(0.01) == 1
    sink = FakeSink()
    async with opened(tmp_path, sink) as book:
        assert await book.delivered(60.0) == 0
    assert sink.taken == [(RecordKind.CALL_STARTED, CALL), (RecordKind.CALL_ENDED, CALL)]
    assert list(LiveCalls(tmp_path / "live").left()) == []


async def test_a_folder_that_cannot_be_used_costs_the_records_safety_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    sink = FakeSink()
    async with opened(tmp_path / "file", sink) as book:
        book.story(CALL).started(session())
        assert await book.delivered(60.0) == 0
    assert len(sink.taken) == 1
    assert "the journal is kept until the end of the process only" in caplog.text


async def test_without_a_context_store_no_turn_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeSink(away=True), turns=False, settings=FAST) as book:
        book.story(CALL).started(session())
        book._recorder.turn_ended(CALL, UUID(int=8), {})
        assert len(book.journal) == 1


async def test_an_agent_without_services_keeps_nothing() -> None:
    given = agent_settings()
    async with call_book.call_book(given, AgentMetrics(1), lambda _: False) as book:
        assert isinstance(book, NoBook)
        book.story(CALL).started(session())
        assert await book.delivered(0.0) == 0


class TestKey:
    def test_it_is_made_in_memory_where_there_is_some(self, tmp_path: Path) -> None:
        memory, folder = tmp_path / "run", tmp_path / "journal"
        memory.mkdir()
        key = journal_key.journal_key(folder, memory)
        assert (memory / "journal.key").read_bytes() == key
        assert not (folder / "key").exists()
        assert stat.S_IMODE((memory / "journal.key").stat().st_mode) == 0o600
        assert journal_key.journal_key(folder, memory) == key

    def test_elsewhere_beside_the_journal(self, tmp_path: Path) -> None:
        key = journal_key.journal_key(tmp_path / "journal", tmp_path / "nowhere")
        assert journal_key.journal_key(tmp_path / "journal", tmp_path / "nowhere") == key
        assert len(key) == 32

    def test_what_is_no_key_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"short")
        with pytest.raises(JournalError, match="5 bytes"):
            journal_key.journal_key(tmp_path, tmp_path / "nowhere")
        (tmp_path / "file").write_text("")
        with pytest.raises(JournalError, match="cannot be used"):
            journal_key.journal_key(tmp_path / "file" / "journal", tmp_path / "nowhere")


class TestAddresses:
    def test_none_is_an_agent_as_ever(self) -> None:
        assert ServiceAddresses.from_environment({}) == ServiceAddresses()
        empty = {"CALLFLEET_SESSION_MANAGER": " ", "CALLFLEET_JOURNAL": ""}
        assert ServiceAddresses.from_environment(empty) == ServiceAddresses()

    def test_all_of_them(self) -> None:
        given = {
            "CALLFLEET_SESSION_MANAGER": "sessions.callfleet:7443",
            "CALLFLEET_CONTEXT_STORE": "10.0.0.1:7443",
            "CALLFLEET_BANKING": "[fd00::1]:7443",
            "CALLFLEET_JOURNAL": "/var/lib/callfleet/journal",
            "CALLFLEET_EARLIER_CALL_SECONDS": "1.5",
        }
        found = ServiceAddresses.from_environment(given)
        assert found.journal == Path("/var/lib/callfleet/journal")
        assert found.earlier_call_s == 1.5
        assert (found.session_manager, found.context_store, found.banking) == tuple(given.values())[
            :3
        ]

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ({"CALLFLEET_SESSION_MANAGER": "nonsense"}, "CALLFLEET_SESSION_MANAGER"),
            ({"CALLFLEET_SESSION_MANAGER": "http://a:1"}, "CALLFLEET_SESSION_MANAGER"),
            ({"CALLFLEET_BANKING": "a:1"}, "CALLFLEET_BANKING needs CALLFLEET_SESSION_MANAGER"),
            ({"CALLFLEET_CONTEXT_STORE": "a:1"}, "CALLFLEET_CONTEXT_STORE needs"),
            ({"CALLFLEET_EARLIER_CALL_SECONDS": "0.0"}, "CALLFLEET_EARLIER_CALL_SECONDS"),
            ({"CALLFLEET_EARLIER_CALL_SECONDS": "inf"}, "CALLFLEET_EARLIER_CALL_SECONDS"),
        ],
    )
    def test_what_is_wrong_is_named(self, given: Mapping[str, str], names: str) -> None:
        with pytest.raises(SettingsError, match=names):
            ServiceAddresses.from_environment(given)

    def test_workers_are_told_of_the_bank(self, tmp_path: Path) -> None:
        given = agent_settings()
        assert worker_arguments(given) == ["--settings", "/nowhere"]
        assert worker_arguments(with_bank(given, tmp_path))[2:] == [
            "--banking-service", "bank:1", "--tls", str(tmp_path),
        ]  # fmt: skip


def with_bank(given: AgentSettings, tls: Path) -> AgentSettings:
    from dataclasses import replace

    services = ServiceAddresses(session_manager="sessions:1", banking="bank:1")
    return replace(given, services=services, listen=replace(given.listen, tls_folder=tls))
