"""The servers of engines over real gRPC, with an engine whose answers are written down."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest

from callfleet.v1 import asr_pb2, asr_pb2_grpc, common_pb2, tts_pb2, tts_pb2_grpc
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.settings import free_port
from callfleet_agent.app.speech_server import parse_address
from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k, Pcm22k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import ProviderError
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.speech.ports import EngineMissingError, Understood
from callfleet_agent.services.speech.recogniser_vosk import VoskHearing
from callfleet_agent.services.speech.recogniser_whisper import WhisperRecogniser
from callfleet_agent.services.speech.server import ServerSettings, SpeechServer
from callfleet_agent.services.speech.voice_piper import PiperVoice
from fakes.model_server import collected

HOST = "127.0.0.1"
GRAMMAR = Dialog().grammars()[0]
ASR = common_pb2.PROVIDER_STAGE_ASR
S16 = common_pb2.AUDIO_FORMAT_PCM_S16LE
_Kind = asr_pb2.RecognitionResult.Kind


class FakeRecogniser:
    """Understands how many samples there were."""

    language = "en"

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.samples = 0
        self.closed = False

    def begin(self) -> "FakeRecogniser":
        return FakeRecogniser(self.text)

    def partial(self, sound: Pcm16k) -> str | None:
        self.samples += len(sound)
        return f"{self.samples} so far" if self.samples else None

    def final(self) -> Understood:
        return Understood(f"{self.samples}" if self.text is None else self.text, 0.5)

    def close(self) -> None:
        self.closed = True


class FakeVoice:
    """Half a second of silence for a text; `broken` speaks no more."""

    def __init__(self, *, mute: bool = False) -> None:
        self.mute = mute
        self.broken = False

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        if self.broken:
            raise RuntimeError("it is broken")
        yield Pcm22k.silence(0 if self.mute else int(11025 / speed))

    def close(self) -> None:
        """Nothing to give back."""


@asynccontextmanager
async def serving(engine: object) -> AsyncIterator[str]:
    server = SpeechServer(
        ServerSettings(engine="fake", listen=(HOST, 0), http=(HOST, free_port(HOST)), voice="hum"),
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
            ({"format": 2, "sample_rate": 16000}, "G.711"),
            ({"audio_data": b"abc"}, "half a sample"),
            ({"sequence_number": 3}, "sequence_number"),
            ({"audio_data": bytes((1 << 20) + 2)}, "1 MiB"),
            ({"audio_data": bytes(1_000_000)}, "60 s"),
        ],
    )
    async def test_a_wrong_chunk_is_refused_by_its_field(
        self, changes: dict[str, object], says: str
    ) -> None:
        fields = {"audio_data": bytes(320), "sample_rate": 8000, "format": S16, **changes}
        async with serving(FakeRecogniser()) as endpoint, _channel(endpoint) as channel:
            stub = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]
            call = stub.RecognizeSpeech(iter([common_pb2.AudioChunk(**fields)]))  # type: ignore[arg-type]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await collected(call)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert says in str(caught.value.details())

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
            with pytest.raises(grpc.aio.AioRpcError, match="it changed"):
                await collected(stub.RecognizeSpeech(iter([first, other])))

    async def test_the_provider_is_the_one_that_it_has(self) -> None:
        async with serving(FakeRecogniser()) as endpoint, _channel(endpoint) as channel:
            stub = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]
            request = common_pb2.ProviderSelectionRequest
            assert (await stub.SelectProvider(request(stage=ASR, provider="fake"))).applied
            for wrong in (
                request(stage=common_pb2.PROVIDER_STAGE_TTS, provider="fake"),
                request(stage=ASR, provider="x"),
            ):
                with pytest.raises(grpc.aio.AioRpcError):
                    await stub.SelectProvider(wrong)


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
            ({"format": 2, "sample_rate": 16000}, "G.711"),
            ({"speed": 9.0}, "speed"),
        ],
    )
    async def test_a_wrong_request_is_refused_by_its_field(
        self, changes: dict[str, object], says: str
    ) -> None:
        fields = {"text": "Hello.", "format": S16, "sample_rate": 8000, **changes}
        async with serving(FakeVoice()) as endpoint, _channel(endpoint) as channel:
            stub = tts_pb2_grpc.TTSServiceStub(channel)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError, match=says):
                await collected(
                    stub.SynthesizeText(tts_pb2.TextSynthesisRequest(**fields))  # type: ignore[arg-type]
                )

    async def test_g711_and_the_voice_by_its_name(self) -> None:
        request = tts_pb2.TextSynthesisRequest(
            text="Hello.", format=common_pb2.AUDIO_FORMAT_PCMU, sample_rate=8000
        )
        async with serving(FakeVoice()) as endpoint, _channel(endpoint) as channel:
            stub = tts_pb2_grpc.TTSServiceStub(channel)  # type: ignore[no-untyped-call]
            chunks = await collected(stub.SynthesizeText(request))
            assert sum(len(chunk.audio_data) for chunk in chunks) == 4000
            assert [chunk.end_of_utterance for chunk in chunks][-1]
            assert (await stub.SelectVoice(tts_pb2.VoiceSelectionRequest(voice="hum"))).applied
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.SelectVoice(tts_pb2.VoiceSelectionRequest(voice="sing"))


class TestReadiness:
    async def test_an_engine_that_gives_no_sound_never_becomes_ready(self) -> None:
        with pytest.raises(ServicesError, match="no sound"):
            async with serving(FakeVoice(mute=True)):
                pass

    async def test_it_is_ready_on_http(self) -> None:
        port = free_port(HOST)
        settings = ServerSettings(engine="fake", listen=(HOST, 0), http=(HOST, port))
        stop, ready = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(SpeechServer(settings, FakeRecogniser).run(stop, ready.set))
        await ready.wait()
        url = f"http://{HOST}:{port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
        stop.set()
        await task


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


def _channel(endpoint: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(endpoint.removeprefix("grpc://"))
