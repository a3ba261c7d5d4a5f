"""A whole turn through a real worker whose first provider dies: what the caller hears."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from callfleet_agent.app.recognise import Recogniser
from callfleet_agent.audio import Pcm8k, Pcm16k, Pcm24k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.audio.resample import resample
from callfleet_agent.link import Caller
from callfleet_agent.pipeline import WorkerSettings
from callfleet_agent.pipeline.recordings import apology
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from fakes.line import FakeLine
from fakes.model_server import FakeOpenAI, Trouble, sine
from fakes.sip_by_hand import until
from fakes.worker_here import EARS, faults, outside, times_heard, worker, write
from ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.spoken(minutes=0.9), pytest.mark.timeout(120)]


@pytest.fixture
async def servers() -> AsyncIterator[tuple[FakeOpenAI, FakeOpenAI]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(FakeOpenAI())
        second = await stack.enter_async_context(FakeOpenAI())
        first.speech, second.speech = sine(0.6, 24000, 440), sine(0.6, 24000, 900)
        yield first, second


def reached_at(url: str) -> dict[str, object]:
    return {"pool": "first", "engine": "openai", "hosting": "external", "endpoints": [url]}


def spoken_by(server: FakeOpenAI) -> Pcm8k:
    """A sentence in this server's voice."""
    return resample(Pcm24k(server.speech), Pcm8k)


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


@asynccontextmanager
async def model_process(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The program of tests/fakes that runs as a pod in the tests on a cluster, and its base URL."""
    port = free_port("127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fakes.model_pod", "--port", str(port), *options,
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/v1/models") as answer:
                        assert answer.status == 200
                        break
                await asyncio.sleep(0.05)
        yield process, f"http://127.0.0.1:{port}/v1"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_process_that_is_ended_in_a_sentence_is_not_noticed_in_what_is_said(
    tmp_path: Path,
) -> None:
    """What the tests on a cluster do with pods."""
    async with model_process() as (process, url):
        first = reached_at(url)
        second: dict[str, object] = {"pool": "second", "engine": "espeak", "hosting": "embedded"}
        async with (
            worker(tmp_path, asr=[EARS], tts=[first, second]) as socket,
            FakeLine(socket) as line,
        ):
            await line.until(lambda: dbfs(Pcm8k(bytes(line.recording))) > -35)
            process.terminate()  # while it welcomes the caller
            await line.heard_out()
    heard = Recogniser().recognise(resample(Pcm8k(bytes(line.recording)), Pcm16k))
    assert heard.endswith("welcome to example bank how can i help you")
    assert ("first", "truncated") in faults(line)


async def test_ears_that_die_when_they_hear_are_followed_by_some_that_hear_it_all(
    tmp_path: Path,
) -> None:
    async with model_process("--dies-when-it-hears") as (_, url):
        first = reached_at(url)
        async with worker(tmp_path, asr=[first, EARS]) as socket, FakeLine(socket) as line:
            await line.heard_out()
            await line.say("where is my credit card")
            await line.reached("identify")
    assert [pool for pool, _ in faults(line)][:1] == ["first"]


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
        voice = EspeakSynthesiser("en-us", WorkerSettings().words_per_minute, limit_s=60.0)
        once = await voice.speech("We sell no pizza here.", private=True)
        rest = await voice.speech("We can look for your card.", private=True)
        broken = await voice.speech("Ask me for your card.", private=True)
        heard = [times_heard(line, sound) for sound in (once, rest, broken)]
        await line.press("1")  # the dialog goes on where it was
        await line.reached("authenticate")
    assert heard == [1, 1, 0]
    assert ("first", "truncated") in faults(line)


def taken(caplog: pytest.LogCaptureFixture) -> list[int]:
    """The generations of providers that the worker has taken."""
    return [
        vars(found)["generation"] for found in caplog.records if found.msg == "providers are taken"
    ]


async def test_a_running_worker_follows_its_settings(
    tmp_path: Path, servers: tuple[FakeOpenAI, FakeOpenAI], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, second = servers
    async with worker(tmp_path, asr=[EARS], tts=[outside("first", first)]) as socket:
        async with FakeLine(socket) as line:
            await line.heard_out()
        assert times_heard(line, spoken_by(first)) == 2
        write(tmp_path / "providers.yaml", 2, asr=[EARS], tts=[outside("second", second)])
        await until(lambda: 2 in taken(caplog))
        async with FakeLine(socket) as line:
            await line.heard_out()
        assert times_heard(line, spoken_by(second)) == 2
