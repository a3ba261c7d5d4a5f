"""A whole turn through a real worker whose first provider dies: what the caller hears."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import yaml

from callfleet_agent.audio import Pcm8k, Pcm24k
from callfleet_agent.audio.resample import resample
from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.link import Caller
from callfleet_agent.pipeline import WorkerSettings, worker_main
from callfleet_agent.pipeline.recordings import apology
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.transport.link_server import LinkServer
from fakes.bank import FakeBank
from fakes.line import FakeLine
from fakes.model_server import FakeOpenAI, Trouble, sine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
LIMITS = {"connectMs": 300, "firstByteMs": 1000, "gapMs": 400, "totalMs": 8000}
EARS: dict[str, object] = {"pool": "ears", "engine": "sphinx", "hosting": "embedded"}
Worker = Callable[..., None]


def outside(pool: str, server: FakeOpenAI, engine: str = "openai") -> dict[str, object]:
    return {"pool": pool, "engine": engine, "hosting": "external", "endpoints": [server.base]}


def write(file: Path, generation: int, **chains: list[dict[str, object]]) -> None:
    """The live settings, swapped in as kubelet does."""
    told = {stage: [{**m, "limits": LIMITS} for m in chain] for stage, chain in chains.items()}
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"generation": generation, **told}))
    fresh.rename(file)


@asynccontextmanager
async def worker(folder: Path, **chains: list[dict[str, object]]) -> AsyncIterator[Path]:
    """A worker in this process with these chains."""
    live, socket = folder / "providers.yaml", folder / "worker.sock"
    write(live, 1, **chains)
    async with FakeBank() as bank:
        settings = WorkerSettings(
            bank=HttpBankSettings(url=bank.url),
            decoder_processes=1,
            decoders_in_each=1,
            live_file=live,
        )
        ready = asyncio.Event()
        task = asyncio.create_task(worker_main(socket, settings, LinkServer, ready=ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield socket
        finally:
            task.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)


@pytest.fixture
async def servers() -> AsyncIterator[tuple[FakeOpenAI, FakeOpenAI]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(FakeOpenAI())
        second = await stack.enter_async_context(FakeOpenAI())
        first.speech, second.speech = sine(0.6, 24000, 440), sine(0.6, 24000, 900)
        yield first, second


def spoken_by(server: FakeOpenAI) -> Pcm8k:
    """A sentence in this server's voice."""
    return resample(Pcm24k(server.speech), Pcm8k)


def times_heard(line: FakeLine, sound: Pcm8k) -> int:
    return bytes(line.recording).count(sound.data)


def faults(line: FakeLine) -> list[tuple[object, object]]:
    found = [event.fields for event in line.events if event.name == "provider_failed"]
    return [(fields["pool"], fields["fault"]) for fields in found]


async def test_a_voice_that_is_dead_is_not_noticed(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    first, second = servers
    chain = [outside("first", first), outside("second", second)]
    await first.stop()
    async with worker(tmp_path, asr=[EARS], tts=chain) as socket, FakeLine(socket) as line:
        await line.heard_out()
    assert times_heard(line, spoken_by(second)) == 2  # a welcome of two sentences
    assert ("first", "refused") in faults(line)


async def test_a_voice_that_dies_in_a_sentence_is_followed_by_one_that_says_all_of_it(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    first, second = servers
    first.trouble, first.gap_s = Trouble.cut(3), 0.05
    chain = [outside("first", first), outside("second", second)]
    async with worker(tmp_path, asr=[EARS], tts=chain) as socket, FakeLine(socket) as line:
        await line.heard_out()
    assert times_heard(line, spoken_by(second)) == 2
    assert times_heard(line, spoken_by(first)) == 0
    assert ("first", "truncated") in faults(line)


async def test_nobody_speaks_and_the_call_ends_with_an_apology(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    first, second = servers
    first.trouble, second.trouble = Trouble.error(500), Trouble.wrong_content()
    chain = [outside("first", first), outside("second", second)]
    async with worker(tmp_path, asr=[EARS], tts=chain) as socket, FakeLine(socket) as line:
        await line.until(lambda: line.hangup_reason is not None)
        await line.heard_out()
    assert line.hangup_reason == "providers-away"
    assert times_heard(line, apology()) == 1


async def test_ears_that_are_dead_are_followed_by_the_embedded_ones(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    first, _ = servers
    await first.stop()
    chain = [outside("first", first), EARS]
    async with worker(tmp_path, asr=chain) as socket, FakeLine(socket) as line:
        await line.heard_out()
        await line.say("where is my credit card")
        await line.reached("identify")
    assert ("first", "refused") in faults(line)


async def test_a_model_that_dies_in_its_answer_is_followed_by_one_that_ends_it(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    first, second = servers
    first.heard = "do you sell pizza?"
    first.answers = ["We sell no pizza here. We can look for your card."]
    second.answers = ["We sell no pizza here. Ask me for your card."]
    models = [outside("first", second, "vllm"), outside("second", first, "vllm")]
    second.trouble = Trouble.cut(8)  # after the first sentence, in the second one
    chains = {"asr": [outside("ears", first)], "llm": models}
    async with (
        worker(tmp_path, **chains) as socket,
        FakeLine(socket, caller=Caller("+15550123", trusted=True)) as line,
    ):
        await line.heard_out()
        await line.say("where is my credit card")
        await line.heard_out()
        voice = EspeakSynthesiser("en-us", WorkerSettings().words_per_minute)
        once = await voice.speech("We sell no pizza here.", private=True)
        rest = await voice.speech("We can look for your card.", private=True)
        broken = await voice.speech("Ask me for your card.", private=True)
        heard = [times_heard(line, sound) for sound in (once, rest, broken)]
        await line.press("1")  # the dialog goes on where it was
        await line.reached("authenticate")
    assert heard == [1, 1, 0]
    assert ("first", "truncated") in faults(line)


async def test_a_running_worker_follows_its_settings(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    first, second = servers
    async with worker(tmp_path, asr=[EARS], tts=[outside("first", first)]) as socket:
        async with FakeLine(socket) as line:
            await line.heard_out()
        assert times_heard(line, spoken_by(first)) == 2
        write(tmp_path / "providers.yaml", 2, asr=[EARS], tts=[outside("second", second)])
        await asyncio.sleep(1.5)
        async with FakeLine(socket) as line:
            await line.heard_out()
        assert times_heard(line, spoken_by(second)) == 2
