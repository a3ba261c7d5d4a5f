"""The servers of engines over real gRPC, with an engine whose answers are written down."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client import generate_latest

from callfleet.v1 import asr_pb2, asr_pb2_grpc, common_pb2, tts_pb2, tts_pb2_grpc
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.listen import parse_address
from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import ProviderError
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.speech.load import Load
from callfleet_agent.services.speech.ports import EngineMissingError, Understood
from callfleet_agent.services.speech.recogniser_vosk import VoskHearing
from callfleet_agent.services.speech.recogniser_whisper import WhisperRecogniser
from callfleet_agent.services.speech.server import ServerSettings, SpeechServer
from callfleet_agent.services.speech.voice_piper import PiperVoice
from callfleet_agent.services.speech.warm_up import warm_up
from callfleet_operator.model import Engine, ProviderPoolSpec
from callfleet_operator.model.engines import OURS
from callfleet_operator.resources.engines import SERVERS, Launch
from fakes.model_server import collected
from fakes.speech import FakeRecogniser, FakeVoice
from platform_rig import Refused

HOST = "127.0.0.1"
GRAMMAR = Dialog().grammars()[0]
ASR = common_pb2.PROVIDER_STAGE_ASR
SESSION = "0190f0f0-0000-7000-8000-000000000001"
CORRELATION = "0190f0f0-0000-7000-8000-000000000002"
S16 = common_pb2.AUDIO_FORMAT_PCM_S16LE
LIMIT_S = 60.0  # on a busy machine
_Kind = asr_pb2.RecognitionResult.Kind


@asynccontextmanager
async def serving(engine: object) -> AsyncIterator[str]:
    server = SpeechServer(
        ServerSettings(engine="fake", listen=(HOST, 0), http=(HOST, 0), voice="hum"),
        lambda: engine,
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(server.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    yield f"grpc://{HOST}:{server.port}"
    stop.set()
    await task


def nothing() -> None:
    """A connection stands."""


class TestRecognition:
    async def test_an_utterance_goes_and_its_text_comes(self) -> None:
        async with serving(FakeRecogniser()) as endpoint:
            engine = GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(endpoint,)))
            utterance = engine.begin(GRAMMAR, ())
            utterance.feed(Pcm8k.silence(8000))
            found = await utterance.recognise(nothing)
            assert (found.text, found.confidence) == ("16000", 0.5)
            assert "so far" in utterance.partial
            utterance.feed(Pcm8k.silence(4000))
            assert (await utterance.recognise(nothing)).text == "24000"
            utterance.close()
            utterance.close()
            assert utterance.partial == ""
            await engine.stop()

    async def test_what_is_not_understood_is_no_match(self) -> None:
        async with serving(FakeRecogniser("")) as endpoint:
            engine = GrpcTranscriber(EngineSettings(engine="vosk", endpoints=(endpoint,)))
            assert (await engine.begin(GRAMMAR, ()).recognise(nothing)).text is None
            await engine.stop()

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"format": 0}, "format"),
            ({"sample_rate": 11025}, "sample_rate"),
            ({"format": 2, "sample_rate": 16000}, "sample_rate"),
            ({"audio_data": b"abc"}, "audio_data"),
            ({"sequence_number": 3}, "sequence_number"),
            ({"audio_data": bytes((1 << 20) + 2)}, "audio_data"),
            ({"audio_data": bytes(1_000_000)}, "audio_data"),
            ({"session_id": "nobody"}, "session_id"),
            ({"timestamp": -1}, "timestamp"),
        ],
    )
    async def test_a_wrong_chunk_is_refused_by_its_field(
        self, changes: dict[str, object], says: str
    ) -> None:
        fields = {"audio_data": bytes(320), "sample_rate": 8000, "format": S16, **changes}
        async with serving(FakeRecogniser()) as endpoint, _channel(endpoint) as channel:
            stub = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]
            call = stub.RecognizeSpeech(iter([common_pb2.AudioChunk(**fields)]))  # type: ignore[arg-type]
            refused = await _refused(collected(call))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert list(refused.fields) == [says]
        assert refused.detail.correlation_id

    async def test_the_rate_may_not_change_and_an_utterance_may_end_itself(self) -> None:
        first = common_pb2.AudioChunk(
            audio_data=bytes(320), sample_rate=8000, format=common_pb2.AUDIO_FORMAT_PCMU
        )
        other = common_pb2.AudioChunk(
            audio_data=bytes(320), sample_rate=16000, format=S16, sequence_number=1
        )
        last = common_pb2.AudioChunk(
            audio_data=bytes(320), sample_rate=8000, format=common_pb2.AUDIO_FORMAT_PCMU,
            sequence_number=1, end_of_utterance=True,
        )  # fmt: skip
        async with serving(FakeRecogniser()) as endpoint, _channel(endpoint) as channel:
            stub = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]
            results = await collected(stub.RecognizeSpeech(iter([first, last])))
            assert results[-1].kind == _Kind.KIND_FINAL
            assert results[-1].text == "1280"
            changed = await _refused(collected(stub.RecognizeSpeech(iter([first, other]))))
            assert list(changed.fields) == ["format"]

    async def test_the_provider_is_the_one_that_it_has(self) -> None:
        async with serving(FakeRecogniser()) as endpoint, _channel(endpoint) as channel:
            stub = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]
            request = common_pb2.ProviderSelectionRequest
            assert (await stub.SelectProvider(request(stage=ASR, provider="fake"))).applied
            fallback = request(stage=ASR, provider="x", fallbacks=["fake"])
            assert (await stub.SelectProvider(fallback)).correlation_id
            for wrong, status in (
                (request(stage=common_pb2.PROVIDER_STAGE_TTS, provider="fake"), "INVALID_ARGUMENT"),
                (request(stage=ASR, provider="x"), "NOT_FOUND"),
                (request(stage=ASR), "INVALID_ARGUMENT"),
            ):
                assert (await _refused(stub.SelectProvider(wrong))).code.name == status


class TestSpeech:
    async def test_a_sentence_goes_and_its_sound_comes(self) -> None:
        async with serving(FakeVoice()) as endpoint:
            engine = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(endpoint,)))
            pieces = await collected(engine.speech("Hello.", nothing, private=True))
            assert sum(len(piece) for piece in pieces) == 4000
            await engine.stop()

    async def test_a_voice_that_breaks_is_a_fault(self) -> None:
        voice = FakeVoice()
        async with serving(voice) as endpoint:
            engine = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(endpoint,)))
            voice.broken = True
            with pytest.raises(ProviderError) as caught:
                await collected(engine.speech("Hello.", nothing, private=True))
            assert caught.value.fault is Fault.SERVER_ERROR
            await engine.stop()

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"text": " "}, "text"),
            ({"format": 0}, "format"),
            ({"sample_rate": 1}, "sample_rate"),
            ({"format": 2, "sample_rate": 16000}, "sample_rate"),
            ({"speed": 9.0}, "speed"),
            ({"text": "a" * 8193}, "text"),
            ({"session_id": ""}, "session_id"),
        ],
    )
    async def test_a_wrong_request_is_refused_by_its_field(
        self, changes: dict[str, object], says: str
    ) -> None:
        given = {"text": "Hello.", "format": S16, "sample_rate": 8000, "session_id": SESSION}
        fields = {**given, **changes}
        async with serving(FakeVoice()) as endpoint, _channel(endpoint) as channel:
            stub = tts_pb2_grpc.TTSServiceStub(channel)  # type: ignore[no-untyped-call]
            request = tts_pb2.TextSynthesisRequest(**fields)  # type: ignore[arg-type]
            refused = await _refused(collected(stub.SynthesizeText(request)))
        assert (refused.code.name, list(refused.fields)) == ("INVALID_ARGUMENT", [says])

    async def test_g711_and_the_voice_by_its_name(self) -> None:
        request = tts_pb2.TextSynthesisRequest(
            text="Hello.", format=common_pb2.AUDIO_FORMAT_PCMU, sample_rate=8000,
            session_id=SESSION, correlation_id=CORRELATION,
        )  # fmt: skip
        async with serving(FakeVoice()) as endpoint, _channel(endpoint) as channel:
            stub = tts_pb2_grpc.TTSServiceStub(channel)  # type: ignore[no-untyped-call]
            chunks = await collected(stub.SynthesizeText(request))
            assert sum(len(chunk.audio_data) for chunk in chunks) == 4000
            assert [chunk.end_of_utterance for chunk in chunks][-1]
            assert {chunk.correlation_id for chunk in chunks} == {CORRELATION}
            assert (await stub.SelectVoice(tts_pb2.VoiceSelectionRequest(voice="hum"))).applied
            sing = tts_pb2.VoiceSelectionRequest(voice="sing")
            assert (await _refused(stub.SelectVoice(sing))).code.name == "NOT_FOUND"


class TestReadiness:
    async def test_an_engine_that_gives_no_sound_never_becomes_ready(self) -> None:
        with pytest.raises(ServicesError, match="no sound"):
            async with serving(FakeVoice(mute=True)):
                pass

    async def test_it_is_ready_on_http(self) -> None:
        settings = ServerSettings(engine="fake", listen=(HOST, 0), http=(HOST, 0))
        server, stop, ready = (
            SpeechServer(settings, FakeRecogniser),
            asyncio.Event(),
            asyncio.Event(),
        )
        task = asyncio.create_task(server.run(stop, ready.set))
        await ready.wait()
        url = f"http://{HOST}:{server.http_port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
        stop.set()
        await task


class TestEnd:
    """A sentence is being spoken when the server is told to stop."""

    async def test_what_runs_is_spoken_to_its_end(self) -> None:
        voice = SlowVoice()
        async with speaking(voice, drain_s=30) as (sentence, ended):
            await asyncio.sleep(0.05)
            assert not ended.done()
            voice.goes_on.set()
            pieces = await sentence
            assert sum(len(piece.audio_data) for piece in pieces) > 0
            assert pieces[-1].end_of_utterance
            await ended

    async def test_it_waits_no_longer_than_it_was_told(self) -> None:
        voice = SlowVoice()
        async with speaking(voice, drain_s=0.05) as (sentence, ended):
            with pytest.raises(grpc.aio.AioRpcError):
                await sentence
            voice.goes_on.set()
            await ended


class SlowVoice(FakeVoice):
    """Speaks its sentence when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.goes_on = threading.Event(), threading.Event()

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        if text == "Slowly.":
            self.began.set()
            self.goes_on.wait(LIMIT_S)
        yield from super().speak(text, speed)


@asynccontextmanager
async def speaking(
    voice: SlowVoice, drain_s: float
) -> AsyncIterator[tuple["asyncio.Task[list[common_pb2.AudioChunk]]", "asyncio.Task[None]"]]:
    """The sentence and the server, which has just been told to stop."""
    settings = ServerSettings(engine="fake", listen=(HOST, 0), http=(HOST, 0), drain_s=drain_s)
    server, stop, ready = SpeechServer(settings, lambda: voice), asyncio.Event(), asyncio.Event()
    ended = asyncio.create_task(server.run(stop, ready.set))
    await ready.wait()
    async with _channel(f"grpc://{HOST}:{server.port}") as channel:
        stub = tts_pb2_grpc.TTSServiceStub(channel)  # type: ignore[no-untyped-call]
        request = tts_pb2.TextSynthesisRequest(
            text="Slowly.", session_id=SESSION, format=S16, sample_rate=8000
        )
        sentence = asyncio.create_task(collected(stub.SynthesizeText(request)))
        await asyncio.to_thread(voice.began.wait, LIMIT_S)
        stop.set()
        try:
            async with asyncio.timeout(LIMIT_S):
                yield sentence, ended
        finally:
            voice.goes_on.set()


@pytest.mark.parametrize("engine", OURS)
def test_scaling_reads_gauges_that_servers_of_ours_have(engine: Engine) -> None:
    model = {"uri": "pvc://models/a.onnx" if engine is Engine.PIPER else "pvc://models/a"}
    spec = ProviderPoolSpec.model_validate({"engine": str(engine), "model": model})
    wanted = SERVERS[engine](Launch(spec=spec, model="/models/a", name="a")).metrics
    shown = generate_latest(Load(1).registry).decode()
    assert f"\n{wanted.running} 0.0" in shown
    assert f"\n{wanted.waiting} 0.0" in shown


class TestFigures:
    @pytest.mark.parametrize(
        ("engine", "version", "factor"),
        [(FakeRecogniser(), "fake 1", 0.05), (FakeVoice(), "fake 2", 0.2)],
    )
    async def test_they_are_measured_before_it_is_ready(
        self, engine: object, version: str, factor: float
    ) -> None:
        settings = ServerSettings(engine="fake", listen=(HOST, 0), http=(HOST, 0))
        looks = itertools.count()
        stop, ready = asyncio.Event(), asyncio.Event()
        going, made = threading.Event(), threading.Event()

        def make() -> object:
            made.set()
            going.wait(LIMIT_S)
            return engine

        # Each look at the clock is 50 ms later than the one before it.
        server = SpeechServer(settings, make, clock=lambda: next(looks) * 0.05)
        task = asyncio.create_task(server.run(stop, ready.set))
        async with aiohttp.ClientSession() as session:
            await asyncio.to_thread(made.wait, LIMIT_S)
            url = f"http://{HOST}:{server.http_port}/figures"
            async with session.get(url) as answer:
                assert answer.status == 503
            going.set()
            await ready.wait()
            async with session.get(url) as answer:
                told = await answer.json()
        assert told == {
            "engineVersion": version, "firstResultMs": 50.0, "realTimeFactor": factor,
        }  # fmt: skip
        stop.set()
        await task

    def test_an_engine_that_breaks_is_closed(self) -> None:
        voice = FakeVoice()
        voice.broken = True
        with pytest.raises(ServicesError, match="it is broken"):
            warm_up(voice)


class TestMissing:
    def test_models_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(EngineMissingError):
            WhisperRecogniser(tmp_path, "cpu", "int8", "en", 1)
        with pytest.raises(EngineMissingError, match=r"\.json are needed"):
            PiperVoice(tmp_path / "voice.onnx", "python3")

    def test_a_program_that_cannot_be_run(self, tmp_path: Path) -> None:
        model = tmp_path / "voice.onnx"
        for path in (model, tmp_path / "voice.onnx.json"):
            path.write_text("{}")
        with pytest.raises(EngineMissingError, match="cannot be run"):
            PiperVoice(model, "/nowhere/python")
        with pytest.raises(EngineMissingError, match="piper-tts"):
            PiperVoice(model, "false")

    @pytest.mark.parametrize("text", ["", "9090", "host:", "host:x", "host:99999"])
    def test_an_address(self, text: str) -> None:
        with pytest.raises(AppError, match="--listen"):
            parse_address(text, "--listen")


class FakeKaldi:
    """The results of a KaldiRecognizer, as Vosk's documentation shows them."""

    def __init__(self) -> None:
        self.fed = 0

    def AcceptWaveform(self, _: bytes) -> bool:  # noqa: N802
        self.fed += 1
        return self.fed == 2

    def PartialResult(self) -> str:  # noqa: N802
        return json.dumps({"partial": "where is" if self.fed == 1 else ""})

    def Result(self) -> str:  # noqa: N802
        words = [{"conf": 0.5, "word": "where"}, {"conf": 1.0, "word": "is"}]
        return json.dumps({"result": words, "text": "where is [unk]"})

    def FinalResult(self) -> str:  # noqa: N802
        return json.dumps({"text": ""})


def test_vosk_joins_what_it_heard() -> None:
    hearing = VoskHearing(FakeKaldi())
    sound = Pcm16k.silence(160)
    assert [hearing.partial(sound) for _ in range(3)] == ["where is", None, None]
    assert hearing.final() == Understood("where is", 0.75)
    assert VoskHearing(FakeKaldi()).final() == Understood("", 0.0)


async def _refused(call: Awaitable[object]) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused.of(caught.value)


def _channel(endpoint: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(endpoint.removeprefix("grpc://"))
