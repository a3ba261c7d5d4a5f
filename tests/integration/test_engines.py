"""Real engines with tiny models: what they say is nonsense, how they behave is theirs."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from callfleet_agent.app.settings import free_port
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.chain import Fault, Limits, Member, MemberSettings
from callfleet_agent.dialog import Dialog
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.providers import Message, Prompt, ProviderError, TranscriberChain
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.ports import TranscriberEngine
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from fakes.engines import FakeEngine
from fakes.model_server import collected
from integration.real_engines import LOOPBACK, EngineProcess, python_of, serving, tiny_model

pytestmark = pytest.mark.slow
GRAMMAR = Dialog().grammars()[0]


def nothing() -> None:
    """A connection stands."""


@pytest.fixture(scope="session")
def whisper_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("whisper", tmp_path_factory.mktemp("whisper"))


@pytest.fixture
async def whisper(whisper_model: Path) -> AsyncIterator[EngineProcess]:
    async with serving("asr", "--engine", "whisper", "--model", str(whisper_model)) as server:
        yield server


async def metrics_of(server: EngineProcess) -> str:
    url = f"http://{LOOPBACK}:{server.http_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


@pytest.fixture
async def question() -> Pcm8k:
    return await EspeakSynthesiser("en-gb", 150).speech("where is my credit card", private=True)


async def test_whisper_recognises_in_a_stream_with_partial_results(
    whisper: EngineProcess, question: Pcm8k
) -> None:
    engine = GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(whisper.endpoint,)))
    utterance = engine.begin(GRAMMAR, ())
    for start in range(0, len(question), 1600):
        utterance.feed(question.slice(start, start + 1600))
    async with asyncio.timeout(20):
        while not utterance.partial:  # noqa: ASYNC110 - it comes over the network
            await asyncio.sleep(0.01)
        found = await utterance.recognise(nothing)
    assert found.text
    assert 0 < found.confidence <= 1
    utterance.feed(question)  # more after a look: all of it is decoded again
    assert (await utterance.recognise(nothing)).text
    utterance.close()
    async with asyncio.timeout(5):  # the last stream has just ended
        while "callfleet_engine_requests_running 0.0" not in await metrics_of(whisper):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "callfleet_engine_first_result_seconds_count 2.0" in await metrics_of(whisper)
    await engine.stop()


async def test_a_whisper_that_is_killed_in_the_middle_is_followed_by_the_next(
    whisper: EngineProcess, question: Pcm8k
) -> None:
    limits = Limits(connect_s=1, first_s=5, gap_s=5, total_s=10)
    real = GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(whisper.endpoint,)))
    second = FakeEngine(["where is my credit card"])
    chain: Lineup[TranscriberEngine] = Lineup(
        (
            Seat(Member(MemberSettings(name="whisper", limits=limits)), real),
            Seat(Member(MemberSettings(name="next", limits=limits)), second),
        )
    )
    utterance = TranscriberChain(lambda: chain).begin(GRAMMAR, ())
    utterance.feed(question.slice(0, 8000))
    await asyncio.sleep(0.2)
    whisper.kill()
    await whisper.process.wait()
    utterance.feed(question.slice(8000))
    async with asyncio.timeout(3):
        assert (await utterance.recognise()).text == "where is my credit card"
    assert sum(len(sound) for sound in second.sounds) == len(question)
    utterance.close()
    await real.stop()


async def test_a_server_that_is_told_to_stop_ends_what_runs(
    whisper: EngineProcess, question: Pcm8k
) -> None:
    engine = GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(whisper.endpoint,)))
    utterance = engine.begin(GRAMMAR, ())
    utterance.feed(question)
    async with asyncio.timeout(20):
        while not utterance.partial:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    whisper.process.terminate()
    assert (await utterance.recognise(nothing)).text
    assert await whisper.process.wait() == 0
    await engine.stop()


async def test_a_server_without_its_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"model\.bin is missing"):
        async with serving("asr", "--engine", "whisper", "--model", str(tmp_path)):
            pass


async def test_piper_speaks(tmp_path: Path) -> None:
    model = tiny_model("piper", tmp_path) / "hum.onnx"
    python = str(python_of("piper"))
    async with serving("tts", "--model", str(model), "--piper-python", python) as server:
        engine = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(server.endpoint,)))
        pieces = await collected(engine.speech("good bye.", nothing, private=True))
        sound = sum(pieces, Pcm8k(b""))
        assert len(pieces) > 1
        assert 0.2 < sound.seconds < 3
        assert dbfs(sound) > -20
        server.kill()
        await server.process.wait()
        with pytest.raises(ProviderError) as caught:
            await collected(engine.speech("good bye.", nothing, private=True))
        assert caught.value.fault is Fault.REFUSED
        await engine.stop()


async def test_llamacpp_answers_in_a_stream(tmp_path: Path) -> None:
    program = os.environ.get("CALLFLEET_LLAMA_SERVER") or shutil.which("llama-server")
    if program is None:
        pytest.skip("no llama-server on PATH, nor in CALLFLEET_LLAMA_SERVER")
    model, port = tiny_model("llama", tmp_path) / "tiny.gguf", free_port(LOOPBACK)
    process = await asyncio.create_subprocess_exec(
        program, "--model", str(model), "--host", LOOPBACK, "--port", str(port),
        "--ctx-size", "1024", "--threads", "1", "--chat-template", "chatml",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    engine = OpenAIResponder(
        EngineSettings(engine="llamacpp", endpoints=(f"http://{LOOPBACK}:{port}/v1",))
    )
    prompt = Prompt((Message("user", "Hello?"),), max_tokens=16)
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    pieces = await collected(engine.answer(prompt, nothing))
                    break
                except ProviderError as error:
                    if error.fault not in {Fault.REFUSED, Fault.SERVER_ERROR}:  # it loads
                        raise
                    await asyncio.sleep(0.2)
        assert pieces
    finally:
        process.kill()
        await process.wait()
        await engine.stop()
