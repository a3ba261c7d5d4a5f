"""Every provider of a stage fails: the caller hears why the call ends, and it ends."""

import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import Caller
from callfleet_agent.pipeline import WorkerSettings
from callfleet_agent.pipeline.recordings import apology
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from fakes.connector import call, running, settings
from fakes.line import FakeLine
from fakes.model_server import FakeOpenAI, Trouble, sine
from fakes.sip_by_hand import until
from fakes.worker_here import EARS, SHORT, faults, outside, times_heard, worker, write

pytestmark = [pytest.mark.slow, pytest.mark.spoken(minutes=2.3), pytest.mark.timeout(180)]
KNOWN = Caller("+15550123", trusted=True)
MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: card-line}
spec:
  banking: {url: "http://127.0.0.1:9"}
"""
Servers = tuple[FakeOpenAI, FakeOpenAI]


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(FakeOpenAI())
        second = await stack.enter_async_context(FakeOpenAI())
        first.speech, second.speech = sine(0.6, 24000, 440), sine(0.6, 24000, 900)
        yield first, second


def chain(servers: Servers, engine: str = "openai") -> list[dict[str, object]]:
    first, second = servers
    return [outside("first", first, engine), outside("second", second, engine)]


async def prompt(text: str) -> Pcm8k:
    """As the embedded voice says it."""
    voice = EspeakSynthesiser("en-us", WorkerSettings().words_per_minute, limit_s=60.0)
    return await voice.speech(text, private=True)


async def ends_with_the_apology(line: FakeLine) -> None:
    """The link's good-bye comes, and the apology has been heard to its end by then."""
    await line.until(lambda: line.hangup_reason is not None)
    await line.until(lambda: times_heard(line, apology()) == 1)
    assert line.hangup_reason == "providers-away"
    assert [event.name for event in line.events].count("providers_failed") == 1


class TestEars:
    async def test_the_first_time_the_caller_is_asked_again_and_the_second_time_the_call_ends(
        self, tmp_path: Path, servers: Servers
    ) -> None:
        for server in servers:
            server.trouble = Trouble.error(500)
        async with worker(tmp_path, asr=chain(servers)) as socket, FakeLine(socket) as line:
            await line.heard_out()
            await line.say("where is my credit card")
            await line.heard_out()
            assert line.hangup_reason is None
            turns = [event.fields for event in line.events if event.name == "turn"]
            assert turns[-1]["result"] == "nomatch"
            await line.say("where is my credit card")
            await ends_with_the_apology(line)
        assert {pool for pool, _ in faults(line)} == {"first", "second"}

    async def test_one_that_hears_again_in_between_keeps_the_call(
        self, tmp_path: Path, servers: Servers
    ) -> None:
        first, second = servers
        second.trouble = Trouble.error(500)
        async with worker(tmp_path, asr=chain(servers)) as socket, FakeLine(socket) as line:
            await line.heard_out()
            for trouble in (Trouble.error(500), None, Trouble.error(500)):
                first.trouble = trouble
                first.heard = "help"
                await line.say("where is my credit card")
                await line.heard_out()
            assert line.hangup_reason is None

    async def test_keys_need_no_ears(self, tmp_path: Path, servers: Servers) -> None:
        for server in servers:
            await server.stop()
        async with (
            worker(tmp_path, asr=chain(servers)) as socket,
            FakeLine(socket, caller=KNOWN) as line,
        ):
            await line.heard_out()
            await line.press("1")
            await line.reached("authenticate")
            assert line.hangup_reason is None


class TestModels:
    async def test_no_model_answers_and_no_rule_may(self, tmp_path: Path, servers: Servers) -> None:
        ears, broken = servers
        ears.heard = "do you sell pizza?"
        broken.trouble = Trouble.error(500)
        chains = {"asr": [outside("ears", ears)], "llm": [outside("model", broken, "vllm")]}
        async with worker(tmp_path, **chains) as socket, FakeLine(socket, caller=KNOWN) as line:
            await line.heard_out()
            await line.say("where is my credit card")
            await ends_with_the_apology(line)
        assert ("model", "server_error") in faults(line)

    async def test_rules_at_the_end_of_the_chain_answer(
        self, tmp_path: Path, servers: Servers
    ) -> None:
        ears, broken = servers
        ears.heard = "do you sell pizza?"
        broken.trouble = Trouble.stall(0)
        rules: dict[str, object] = {"pool": "rules", "engine": "rules", "hosting": "embedded"}
        models = [outside("model", broken, "vllm") | SHORT, rules]
        chains = {"asr": [outside("ears", ears)], "llm": models}
        async with worker(tmp_path, **chains) as socket, FakeLine(socket, caller=KNOWN) as line:
            await line.heard_out()
            await line.say("where is my credit card")
            await line.heard_out()
            assert line.hangup_reason is None
        assert ("model", "slow_first") in faults(line)

    async def test_a_model_that_dies_after_a_sentence_leaves_the_call(
        self, tmp_path: Path, servers: Servers
    ) -> None:
        """What was said was an answer; the caller can go on."""
        ears, broken = servers
        ears.heard = "do you sell pizza?"
        broken.answers = ["We sell no pizza here. We can look for your card."]
        broken.trouble = Trouble.cut(8)
        chains = {"asr": [outside("ears", ears)], "llm": [outside("model", broken, "vllm")]}
        async with worker(tmp_path, **chains) as socket, FakeLine(socket, caller=KNOWN) as line:
            await line.heard_out()
            await line.say("where is my credit card")
            await line.heard_out()
            assert line.hangup_reason is None
            assert times_heard(line, await prompt("We sell no pizza here.")) == 1


class TestVoices:
    @pytest.mark.parametrize(
        "trouble", [Trouble.error(401), Trouble.error(429, "60"), Trouble.stall(0)]
    )
    async def test_before_the_first_word(
        self, tmp_path: Path, servers: Servers, trouble: Trouble
    ) -> None:
        for server in servers:
            server.trouble = trouble
        voices = [member | SHORT for member in chain(servers)]
        async with worker(tmp_path, asr=[EARS], tts=voices) as socket, FakeLine(socket) as line:
            await ends_with_the_apology(line)

    async def test_in_the_middle_of_a_sentence(self, tmp_path: Path, servers: Servers) -> None:
        first, second = servers
        for server in servers:
            server.speech, server.gap_s = sine(3.0, 24000), 0.02
        first.trouble, second.trouble = Trouble.cut(20), Trouble.cut(10)
        voices = chain(servers)
        async with worker(tmp_path, asr=[EARS], tts=voices) as socket, FakeLine(socket) as line:
            await ends_with_the_apology(line)
        assert {("first", "truncated"), ("second", "truncated")} <= set(faults(line))

    async def test_none_is_left_in_the_budgets(self, tmp_path: Path, servers: Servers) -> None:
        """The welcome has two sentences, and each account pays for one sentence a day."""
        voices = [{**member, "budget": {"requestsPerDay": 1}} for member in chain(servers)]
        async with worker(tmp_path, asr=[EARS], tts=voices) as socket:
            async with FakeLine(socket) as line:
                await line.heard_out()
                assert line.hangup_reason is None
            async with FakeLine(socket, caller=KNOWN) as line:
                await line.heard_out()  # it is kept: nothing is paid for twice
                await line.press("1")
                await ends_with_the_apology(line)


async def test_a_phone_hears_the_apology_and_gets_a_bye(tmp_path: Path, servers: Servers) -> None:
    """Through the connector, over SIP and RTP, with a worker that is a process."""
    for server in servers:
        server.trouble = Trouble.error(503)
    manifest, live, recording = (tmp_path / name for name in ("agent.yaml", "live.yaml", "a.wav"))
    given = settings()
    manifest.write_text(MANIFEST, encoding="utf-8")
    write(live, 1, tts=chain(servers))
    arguments = ["--settings", str(manifest), "--providers", str(live)]
    async with running(
        replace(given, worker_file=manifest),
        worker_arguments=arguments,
        program=("callfleet_agent.main", "worker"),
    ) as connector:
        report = await call(connector, Turn(say="hello"), hang_up=False, record=recording)
        assert report.ended_by == "agent"
        await until(lambda: connector.calls == 0)
    with wave.open(str(recording)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert share_heard(apology(), both[:, 1].astype(float)) > 0.5


def share_heard(sound: Pcm8k, line: np.ndarray) -> float:
    """How much of a sound came over the line, whose jitter buffer may stretch or mend it on a busy
    machine: the share of its quarters of a second that the line has somewhere."""
    found = []
    for at in range(0, len(sound) - 2000, 2000):
        piece = sound.slice(at, at + 2000).samples.astype(float)
        if not piece.any():
            continue
        size = 1 << (len(line) + len(piece)).bit_length()
        spectrum = np.fft.rfft(line, size) * np.conj(np.fft.rfft(piece, size))
        products = np.fft.irfft(spectrum, size)[: len(line) - len(piece)]
        energy = np.concatenate(([0.0], np.cumsum(line**2)))
        under = energy[len(piece) :] - energy[: -len(piece)]
        scale = np.sqrt(np.maximum(under[: len(products)], 1.0) * (piece**2).sum())
        found.append(float((products / scale).max()) > 0.7)
    return sum(found) / len(found)
