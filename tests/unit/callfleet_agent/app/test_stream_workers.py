"""What the workers of ai-voice-connector are told, and what their turns come to."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from callfleet_agent.app.bank_desk import BankDesk
from callfleet_agent.app.call_story import NoStory
from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.app.settings import read_manifest
from callfleet_agent.app.stage_metrics import StageMetrics
from callfleet_agent.app.stream_turns import StreamTurns
from callfleet_agent.app.stream_workers import WorkersWanted
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.dialog import DialogSettings, Method
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.services.actor import acting
from callfleet_agent.services.connector import Activity
from callfleet_agent.services.correlation import current
from callfleet_agent.session import WorkerState

LIMITS = {"connectMs": 500, "firstByteMs": 5000, "gapMs": 3000, "totalMs": 30000}
OWNER = "spiffe://callfleet.io/ns/kiosks/client/kiosk"
CALL = UUID(int=7)
WANTED = WorkersWanted(
    workers=2,
    calls=20,
    dialog=DialogSettings(bank_name="First Bank", method=Method.ONE_TIME_CODE, credential_digits=6),
    identity=Path("/tls"),
    providers={"generation": 0},
)


class FakeStory(NoStory):
    """Remembers the contexts."""

    def __init__(self) -> None:
        self.contexts: list[bytes] = []

    def context(self, data: bytes) -> None:
        self.contexts.append(data)


def test_workers_read_what_an_agents_manifest_would_tell_them(tmp_path: Path) -> None:
    told = WANTED.told(tmp_path)

    assert told[::2] == ["--settings", "--providers", "--tls"]
    settings = WorkerSettings.from_voice_agent(read_manifest(Path(told[1])).agent())
    assert settings.dialog.bank_name == "First Bank"
    assert (settings.dialog.method, settings.dialog.credential_digits) == (
        Method.ONE_TIME_CODE,
        6,
    )
    assert told[5] == "/tls"
    assert settings.calls == 12  # half of them, and room for those of one that died
    assert json.loads(Path(told[3]).read_text()) == {"generation": 0}


def test_workers_follow_the_file_that_is_named(tmp_path: Path) -> None:
    named = WorkersWanted(
        workers=1,
        calls=1,
        dialog=DialogSettings(bank_name="B"),
        identity=Path("/tls"),
        providers=tmp_path / "chains.yaml",
    )
    assert named.told(tmp_path)[3] == str(tmp_path / "chains.yaml")


@pytest.mark.parametrize(("workers", "calls"), [(1, 26), (1, 0), (65, 20)])
def test_more_calls_than_the_workers_can_hold_are_an_error(workers: int, calls: int) -> None:
    wanted = WorkersWanted(
        workers=workers,
        calls=calls,
        dialog=DialogSettings(bank_name="B"),
        identity=Path("/tls"),
        providers={},
    )
    with pytest.raises(SettingsError, match="workers"):
        wanted.manifest()


def test_the_bank_is_asked_in_the_name_of_the_sessions_owner() -> None:
    bank: Any = object()
    desk = BankDesk(bank, None)
    with pytest.raises(LookupError), desk.bank_of(CALL):
        raise AssertionError("nobody has begun a session")

    desk.owner_of = {CALL: OWNER}.__getitem__
    with desk.bank_of(CALL) as found:
        assert found is bank
        assert (acting(), current()) == (OWNER, str(CALL))
    assert acting() == "none"
    with pytest.raises(LookupError), desk.bank_of(UUID(int=8)):
        raise AssertionError("another session is none of ours")


def test_a_record_names_the_pools_of_each_stage_as_they_are_now(tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    wanted = replace(WANTED, providers=file)
    rules = {"pool": "house", "engine": "rules", "hosting": "embedded", "limits": LIMITS}
    assert wanted.pools() == {}
    file.write_text(json.dumps({"generation": 1, "llm": [rules]}))
    assert wanted.pools() == {"asr": [], "llm": ["house"], "tts": []}
    assert replace(WANTED, providers={"generation": 1, "llm": [rules]}).pools() == wanted.pools()
    file.write_text("generation: no number")
    assert wanted.pools() == {}


def test_turns_are_counted_measured_and_kept_and_nothing_private_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    registry, story, moved = CollectorRegistry(), FakeStory(), []
    turns = StreamTurns(
        StageMetrics(registry),
        story,
        TracedCall(str(CALL), ""),
        lambda: moved.append(1),
        clock=iter(range(9)).__next__,
    )

    turns.worker_event("turn", {"turn": 1, "endpointing_ms": 200.0, "recognition_ms": 30.0})
    turns.sound_came()
    turns.sound_ended()
    turns.context_came(b"a secret")
    turns.worker_event("barge-in", {"heard_ms": 100.0})
    seen = [turns.activity]
    for told in ("hearing", "thinking", "of a later version"):
        turns.worker_event("doing", {"activity": told})
        seen.append(turns.activity)
    turns.moved()
    seen.append(turns.activity)

    value = registry.get_sample_value
    listening, hearing, thinking = Activity.LISTENING, Activity.HEARING, Activity.THINKING
    assert seen == [listening, hearing, thinking, thinking, listening]
    assert (turns.turns, story.contexts, moved) == (1, [b"a secret"], [1])
    assert value("callfleet_stage_seconds_count", {"stage": "asr_final"}) == 1
    assert value("callfleet_voice_to_voice_seconds_count") == 1
    assert value("callfleet_barge_ins_total") == 1
    assert "a secret" not in caplog.text
    assert "thinking" not in caplog.text


def test_the_breakers_of_workers_are_shown_beside_the_banks() -> None:
    metrics = PlatformMetrics()
    stages = metrics.stages()
    stages.breakers = metrics.breakers_of_workers()
    stages.told("turn", {"worker_pid": 7, "llm_circuit": "open"})
    value = metrics.registry.get_sample_value
    assert value("callfleet_breaker_state", {"dependency": "llm"}) == 2
    assert value("callfleet_breaker_state", {"dependency": "asr"}) == 0
    assert value("callfleet_breaker_state", {"dependency": "bank"}) is None  # the server's own
    stages.breakers.forget(frozenset({8}))
    assert value("callfleet_breaker_state", {"dependency": "llm"}) == 0


def test_what_becomes_of_workers_is_shown() -> None:
    metrics = PlatformMetrics()
    workers = metrics.workers()
    workers.workers_are({WorkerState.READY: 2})
    workers.worker_lost()
    workers.call_moved()
    value = metrics.registry.get_sample_value
    assert value("callfleet_workers", {"state": "ready"}) == 2
    assert value("callfleet_workers", {"state": "dead"}) == 0
    assert value("callfleet_workers_lost_total") == value("callfleet_calls_moved_total") == 1
