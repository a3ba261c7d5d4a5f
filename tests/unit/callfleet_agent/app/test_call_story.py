"""What a call tells of itself, and what of it is held back."""

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from callfleet_agent.app.call_session import status_of
from callfleet_agent.app.call_story import CallStory, NoStory, kept_call_id, kept_number
from callfleet_agent.app.live_calls import LiveCalls
from callfleet_agent.app.remembered import earlier_of, remembered
from callfleet_agent.context import Envelope, sealed
from callfleet_agent.dialog import (
    Authenticated,
    Caller,
    CardFound,
    Delivery,
    Dialog,
    Heard,
    Input,
    Interrupted,
    Keyed,
    Memory,
    Started,
    Verdict,
)
from callfleet_agent.link import Earlier
from callfleet_agent.session import Call, CallEvent
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.sip.dialog import Dialog as SipDialog

DIALOG = Dialog()
CALL = UUID(int=7)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SESSION = CallSession(session_id=CALL, sip_call_id="a@b", call_start_time=NOW)


class FakeRecorder:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.turns: list[Mapping[str, Any]] = []
        self.ids: list[UUID] = []

    def call_started(self, session: CallSession) -> None:
        self.told.append("started")

    def turn_ended(self, session_id: UUID, record_id: UUID, turn: Mapping[str, Any]) -> None:
        self.told.append("turn")
        self.turns.append(turn)
        self.ids.append(record_id)

    def call_ended(self, session_id: UUID, status: SessionStatus, at: datetime) -> None:
        self.told.append(status)

    @property
    def lines(self) -> list[str]:
        return [line.content for turn in self.turns for line in turn["exchanges"]]


class Told:
    """A dialog whose context is told after each input, as a worker hands it over."""

    def __init__(self, folder: Path) -> None:
        self.recorder = FakeRecorder()
        self.live = LiveCalls(folder / "live")
        self.story = CallStory(CALL, self.recorder, self.live, now=lambda: NOW)
        self.memory = Memory()

    def give(self, *inputs: Input) -> None:
        for given in inputs:
            self.memory = DIALOG.step(self.memory, given).memory
            self.story.context(sealed(Envelope("card-delivery", DIALOG.dump(self.memory))))


@pytest.fixture
def told(tmp_path: Path) -> Told:
    made = Told(tmp_path)
    made.story.started(SESSION)
    return made


def test_the_agents_last_line_is_told_with_the_next_one_as_it_was_heard(told: Told) -> None:
    told.give(Started(Caller("+15550100", trusted=True)))
    assert told.recorder.lines == []
    told.give(Interrupted("Welcome to"), Heard("where is my credit card"))
    assert told.recorder.lines == ["Welcome to…", "where is my credit card"]
    welcome, asked = told.recorder.turns[-1]["exchanges"]
    assert (welcome.interrupted, welcome.turn, asked.interrupted, asked.turn) == (True, 0, False, 1)
    told.story.ended(SessionStatus.COMPLETED, NOW)
    assert told.recorder.lines[-1].startswith("Please say or key in the last four digits")
    assert told.recorder.told[-1] == SessionStatus.COMPLETED


def test_each_line_is_told_once_whoever_holds_the_conversation(told: Told) -> None:
    told.give(Started(), Heard("help"), Heard("help"))
    told.memory = DIALOG.load(DIALOG.dump(told.memory))  # another worker goes on
    told.give(Heard("help"))
    told.story.ended(SessionStatus.COMPLETED, NOW)
    assert told.recorder.lines.count("help") == 3
    assert len(told.recorder.lines) == 7
    assert len(set(told.recorder.ids)) == len(told.recorder.ids)


def test_intent_and_facts_are_told_and_no_secret(told: Told) -> None:
    told.give(
        Started(Caller("+15550100", trusted=True)),
        Heard("where is my credit card"),
        Keyed("4271"),
        Authenticated(Verdict.VERIFIED, "c-1"),
        CardFound(Delivery.SHIPPED),
    )
    turn = told.recorder.turns[-1]
    assert turn["intent"] == "card_delivery_inquiry"
    assert turn["facts"]["caller_trusted"] is True
    assert turn["facts"]["state"] == "more"
    everything = str(told.recorder.turns)
    assert "4271" not in everything
    assert "c-1" not in everything
    assert "verified" not in everything.lower()


def test_a_context_that_says_nothing_new_is_not_told(told: Told) -> None:
    told.give(Started(), Interrupted("Welcome"), Interrupted("Welcome"))
    assert told.recorder.told == ["started", "turn"]


def test_what_cannot_be_read_is_left_out(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.story.context(b"{")
    told.story.context(sealed(Envelope("card-delivery", {"version": 0})))
    assert told.recorder.told == ["started"]
    assert [record.message for record in caplog.records] == ["a context cannot be recorded"] * 2


def test_a_call_that_was_not_answered_tells_nothing(tmp_path: Path) -> None:
    story = Told(tmp_path)
    story.give(Started())
    story.story.ended(SessionStatus.FAILED, NOW)
    assert story.recorder.told == []


def test_a_laptops_story_is_nobodys() -> None:
    story = NoStory()
    story.started(SESSION)
    story.context(b"")
    story.ended(SessionStatus.COMPLETED, NOW)


class TestMarks:
    def test_a_call_is_marked_from_its_answer_to_its_end(self, told: Told, tmp_path: Path) -> None:
        assert [left for left, _, _ in told.live.left()] == [CALL]
        mark = tmp_path / "live" / str(CALL)
        os.utime(mark, (1000, 1000))
        told.give(Started())
        ((_, at, owner),) = told.live.left()
        assert owner == ""
        assert datetime.now(UTC) - at < timedelta(minutes=1)
        told.story.ended(SessionStatus.COMPLETED, NOW)
        assert list(told.live.left()) == []

    def test_other_files_are_no_calls(self, told: Told, tmp_path: Path) -> None:
        (tmp_path / "live" / "lost+found").mkdir()
        assert len(list(told.live.left())) == 1

    def test_a_disk_that_fails_is_logged_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        live = LiveCalls(tmp_path / "file" / "live")
        live.is_up(CALL)
        live.is_over(CALL)
        assert list(live.left()) == []
        assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("events", "cause", "status"),
    [
        ((CallEvent.LEFT,), "remote", SessionStatus.COMPLETED),
        ((CallEvent.HANGUP, CallEvent.CLOSED), "completed", SessionStatus.COMPLETED),
        ((CallEvent.FAILED,), "no-worker", SessionStatus.FAILED),
        ((CallEvent.FAILED,), "internal", SessionStatus.FAILED),
        ((CallEvent.FAILED,), "no-ack", SessionStatus.FAILED),
        ((CallEvent.FAILED,), "media-timeout", SessionStatus.INTERRUPTED),
        ((CallEvent.FAILED,), "session-expired", SessionStatus.INTERRUPTED),
        ((CallEvent.FAILED,), "transport", SessionStatus.INTERRUPTED),
        ((CallEvent.HANGUP, CallEvent.CLOSED), "stopped", SessionStatus.INTERRUPTED),
    ],
)
def test_how_a_call_ended(events: tuple[CallEvent, ...], cause: str, status: SessionStatus) -> None:
    call: Call[SipDialog] = Call(uuid=CALL, offered_at=0.0)
    for event in (CallEvent.ANSWERED, CallEvent.CONFIRMED, *events):
        call = call.on(event, at=1.0)
    assert status_of(call, cause) is status


@pytest.mark.parametrize(
    ("given", "kept"),
    [("+15550100", "+15550100"), ("15550100", "15550100"), ("alice", ""), (None, ""), ("+", ""),
     ("1" * 21, "")],
)  # fmt: skip
def test_numbers_as_the_store_takes_them(given: str | None, kept: str) -> None:
    assert kept_number(given) == kept


@pytest.mark.parametrize("odd", ["", "x" * 256, "a b@c", "ü@c"])
def test_an_odd_call_id_is_replaced(odd: str) -> None:
    assert kept_call_id(odd, CALL) == f"{CALL}@unnamed"
    assert kept_call_id("a@b", CALL) == "a@b"


def test_what_of_a_stored_context_goes_on() -> None:
    stored = {"customer_number": "200417", "failed_attempts": 2.0, "state": "more"}
    assert earlier_of("x", stored) == Earlier("x", "200417", 2)
    assert earlier_of("x", {"customer_number": 5, "failed_attempts": "many"}) == Earlier("x")


def test_a_log_of_a_context_holds_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    remembered(b'{"dialog": "my secret"}')
    assert "secret" not in caplog.text
