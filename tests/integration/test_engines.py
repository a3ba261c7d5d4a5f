"""Real engines with tiny models: what they say is nonsense, how they behave is theirs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from callfleet_agent.app.recognise import Recogniser
from callfleet_agent.app.sentences import words_of
from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.audio.resample import resample
from callfleet_agent.chain import Fault, Limits, Member, MemberSettings
from callfleet_agent.dialog import Dialog
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.providers import ProviderError, TranscriberChain
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.ports import TranscriberEngine
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_hack.demo_models import answer, sentences
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


async def told_by(server: EngineProcess, path: str) -> str:
    url = f"http://{LOOPBACK}:{server.http_port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def metrics_of(server: EngineProcess) -> str:
    return await told_by(server, "metrics")


async def figures_of(server: EngineProcess) -> dict[str, Any]:
    """What the operator puts into the pool's status."""
    figures: dict[str, Any] = json.loads(await told_by(server, "figures"))
    assert figures["firstResultMs"] > 0
    assert figures["realTimeFactor"] > 0
    return figures


@pytest.fixture
async def question() -> Pcm8k:
    return await EspeakSynthesiser("en-gb", 150, limit_s=60.0).speech(
        "where is my credit card", private=True
    )


async def test_whisper_recognises_in_a_stream_with_partial_results(
    whisper: EngineProcess, question: Pcm8k
) -> None:
    engine = GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(whisper.endpoint,)))
    utterance = engine.begin(GRAMMAR, ())
    for start in range(0, len(question), 1600):
        utterance.feed(question.slice(start, start + 1600))
    async with asyncio.timeout(60):
        while not utterance.partial:  # noqa: ASYNC110 - it comes over the network
            await asyncio.sleep(0.01)
        found = await utterance.recognise(nothing)
    assert (await figures_of(whisper))["engineVersion"].startswith("faster-whisper 1.")
    assert found.text
    assert 0 < found.confidence <= 1
    utterance.feed(question)  # more after a look: all of it is decoded again
    assert (await utterance.recognise(nothing)).text
    utterance.close()
    async with asyncio.timeout(60):  # the last stream has just ended
        while "callfleet_engine_requests_running 0.0" not in await metrics_of(whisper):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "callfleet_engine_first_result_seconds_count 2.0" in await metrics_of(whisper)
    await engine.stop()


async def test_a_whisper_that_is_killed_in_the_middle_is_followed_by_the_next(
    whisper: EngineProcess, question: Pcm8k
) -> None:
    limits = Limits(connect_s=60, first_s=60, gap_s=60, total_s=120)
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
    async with asyncio.timeout(60):  # its end is noticed: no limit has to pass
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
    async with asyncio.timeout(60):
        while not utterance.partial:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    whisper.process.terminate()
    assert (await utterance.recognise(nothing)).text
    assert await whisper.process.wait() == 0
    await engine.stop()


async def test_a_server_waits_no_longer_for_what_runs_than_it_was_told(
    whisper_model: Path, question: Pcm8k
) -> None:
    told = ("asr", "--engine", "whisper", "--model", str(whisper_model), "--drain-seconds", "1")
    async with serving(*told) as server:
        engine = GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(server.endpoint,)))
        utterance = engine.begin(GRAMMAR, ())
        utterance.feed(question)
        async with asyncio.timeout(60):
            while not utterance.partial:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        server.process.terminate()
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(25):  # of 30 s without a word on it
            assert await server.process.wait() == 0
        assert asyncio.get_running_loop().time() - began > 0.9
        utterance.close()
        await engine.stop()


async def test_a_server_without_its_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"model\.bin is missing"):
        async with serving("asr", "--engine", "whisper", "--model", str(tmp_path)):
            pass


async def test_vosk_hears_that_somebody_speaks(tmp_path: Path, question: Pcm8k) -> None:
    model = tiny_model("vosk", tmp_path)
    async with serving("asr", "--engine", "vosk", "--model", str(model)) as server:
        engine = GrpcTranscriber(EngineSettings(engine="vosk", endpoints=(server.endpoint,)))
        utterance = engine.begin(GRAMMAR, ())
        for start in range(0, len(question), 1600):
            utterance.feed(question.slice(start, start + 1600))
        async with asyncio.timeout(60):
            while not utterance.partial:  # noqa: ASYNC110 - it comes over the network
                await asyncio.sleep(0.01)
            found = await utterance.recognise(nothing)
        utterance.close()
        quiet = engine.begin(GRAMMAR, ())
        quiet.feed(Pcm8k.silence(8000))
        nobody = await quiet.recognise(nothing)
        quiet.close()
        await engine.stop()
        assert (await figures_of(server))["engineVersion"].startswith("vosk 0.3.")
    assert set((found.text or "").split()) == {"speech"}
    assert found.confidence > 0.5
    assert nobody.text is None


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has loaded is in /proc")
async def test_whisper_loads_nothing_that_reads_files(whisper: EngineProcess) -> None:
    """PyAV is installed with faster-whisper, and holds x264 and x265."""
    maps = Path(f"/proc/{whisper.process.pid}/maps")
    loaded = await asyncio.to_thread(maps.read_text, encoding="utf-8")
    assert "libctranslate2" in loaded
    for name in ("libavcodec", "libx264", "libx265"):
        assert name not in loaded


async def test_vosk_without_its_graph_says_that_the_model_does_not_load(tmp_path: Path) -> None:
    model = tiny_model("vosk", tmp_path)
    (model / "graph" / "HCLG.fst").write_bytes(b"no graph")
    with pytest.raises(AssertionError, match="the model does not load"):
        async with serving("asr", "--engine", "vosk", "--model", str(model)):
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
        assert (await figures_of(server))["engineVersion"].startswith("piper 1.")
        piper = psutil.Process(server.process.pid).children(recursive=True)
        assert piper
        server.kill()
        await server.process.wait()
        _, left = await asyncio.to_thread(psutil.wait_procs, piper, timeout=60)
        assert not left
        with pytest.raises(ProviderError) as caught:
            await collected(engine.speech("good bye.", nothing, private=True))
        assert caught.value.fault is Fault.REFUSED
        await engine.stop()


async def test_a_voice_of_recordings_says_what_the_agent_says(tmp_path: Path) -> None:
    """The voice of the demo and of the tests on a cluster."""
    said = answer("shipped")
    assert said in sentences()
    model = tiny_model("recordings", tmp_path, said, "Good bye.") / "recordings.onnx"
    python = str(python_of("piper"))
    async with serving("tts", "--model", str(model), "--piper-python", python) as server:
        engine = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(server.endpoint,)))
        spoken = sum(await collected(engine.speech(said, nothing, private=True)), Pcm8k(b""))
        other = sum(await collected(engine.speech("Hello.", nothing, private=True)), Pcm8k(b""))
        await engine.stop()
    assert Recogniser().recognise(resample(spoken, Pcm16k)) == words_of(said)
    assert other.seconds == pytest.approx(0.5, abs=0.02)  # a hum
