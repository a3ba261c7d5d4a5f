"""VAD, ASR, TTS, LLM and AIVoiceConnector: real engines, over mutual TLS."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import text

from callfleet.v1 import (
    asr_pb2,
    asr_pb2_grpc,
    common_pb2,
    connector_pb2,
    connector_pb2_grpc,
    llm_pb2,
    llm_pb2_grpc,
    tts_pb2,
    tts_pb2_grpc,
    vad_pb2,
    vad_pb2_grpc,
)
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.audio.level import dbfs
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from identities import CLIENT, channel
from platform_rig import Refused, Rig, rigged, stub
from stores import Server, database, migrated

KEPT = ("session-manager", "context-store")
PCM, PCMU = common_pb2.AUDIO_FORMAT_PCM_S16LE, common_pb2.AUDIO_FORMAT_PCMU
pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"
)


def serving(*roles: str) -> pytest.MarkDecorator:
    """The test's roles: engines are slow to start, so each test has only those that it needs."""
    return pytest.mark.parametrize("rig", [roles], indirect=True, ids=["-".join(roles)])


@pytest.fixture
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Server, redis_server: Server
) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    more: dict[str, Any] = {
        "roles": request.param,
        "per_minute": 60_000.0,
        "burst": 1000.0,
        "calls": 2,
    }
    async with rigged(tmp_path, postgres.url, redis_server.url, **more) as running:
        files = running.authority.issue(tmp_path / "client", CLIENT)
        async with channel(running.platform.port, files) as client:
            running.channel = client
            yield running


def tokens(rig: Rig, of: str = CLIENT) -> Any:
    return rig.tokens.metadata(of)


async def spoken(words: str) -> Pcm8k:
    """A person's sentence with quiet around it."""
    sound = await EspeakSynthesiser("en-gb", 150).speech(words, private=True)
    return Pcm8k.silence(4000) + sound + Pcm8k.silence(8000)


def chunks(sound: Pcm8k, size: int = 1600, **first: Any) -> list[common_pb2.AudioChunk]:
    """The sound in G.711, numbered."""
    made = [
        common_pb2.AudioChunk(
            audio_data=encode(sound.slice(at, at + size), Law.PCMU),
            sample_rate=8000,
            format=PCMU,
            sequence_number=number,
            timestamp=at * 125,
        )
        for number, at in enumerate(range(0, len(sound), size))
    ]
    made[0].MergeFrom(common_pb2.AudioChunk(**first))
    return made


async def finished(call: Any) -> None:
    if not hasattr(call, "__aiter__"):
        await call
        return
    async for _ in call:
        pass


async def refused(call: Any) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(finished(call), 20)
    return Refused.of(caught.value)


@serving("vad")
async def test_vad_says_when_somebody_speaks(rig: Rig) -> None:
    vad = stub(vad_pb2_grpc.VADServiceStub, rig.channel)
    session = str(uuid4())
    configured = await vad.Configure(
        vad_pb2.VADConfiguration(session_id=session, stop_milliseconds=300), metadata=tokens(rig)
    )
    stream = chunks(await spoken("where is my credit card"), session_id=session)

    results = [one async for one in vad.ProcessAudio(iter(stream), metadata=tokens(rig))]

    states = [one.state for one in results]
    assert configured.applied
    assert states[0] == states[-1] == vad_pb2.VAD_STATE_QUIET
    assert vad_pb2.VAD_STATE_SPEAKING in states
    first = results[states.index(vad_pb2.VAD_STATE_SPEAKING)]
    assert 500_000 <= first.timestamp <= 800_000  # speech begins after half a second
    assert all(one.correlation_id == results[0].correlation_id != "" for one in results)


@serving("asr")
async def test_asr_understands_and_says_when_it_does_not(rig: Rig) -> None:
    asr = stub(asr_pb2_grpc.ASRServiceStub, rig.channel)
    said = chunks(await spoken("where is my credit card"))

    results = [one async for one in asr.RecognizeSpeech(iter(said), metadata=tokens(rig))]
    silence = chunks(Pcm8k.silence(16_000))
    nothing = [one async for one in asr.RecognizeSpeech(iter(silence), metadata=tokens(rig))]
    stages = common_pb2.ProviderSelectionRequest
    chosen = await asr.SelectProvider(
        stages(stage=common_pb2.PROVIDER_STAGE_ASR, provider="gone", fallbacks=["sphinx"]),
        metadata=tokens(rig),
    )
    unknown = await refused(
        asr.SelectProvider(
            stages(stage=common_pb2.PROVIDER_STAGE_ASR, provider="gone"), metadata=tokens(rig)
        )
    )
    other = await refused(
        asr.SelectProvider(
            stages(stage=common_pb2.PROVIDER_STAGE_LLM, provider="sphinx"), metadata=tokens(rig)
        )
    )

    finals = [one for one in results if one.kind != asr_pb2.RecognitionResult.KIND_PARTIAL]
    assert len(finals) == 1
    assert (finals[0].provider, finals[0].language) == ("sphinx", "en-US")
    assert finals[0].kind in {
        asr_pb2.RecognitionResult.KIND_FINAL, asr_pb2.RecognitionResult.KIND_NO_MATCH,
    }  # fmt: skip
    assert nothing == []
    assert chosen.applied
    assert (unknown.code, unknown.detail.code) == (
        grpc.StatusCode.NOT_FOUND,
        "PROVIDER_NOT_FOUND",
    )
    assert "stage" in other.fields


@serving("tts")
async def test_tts_streams_what_it_speaks_in_every_format(rig: Rig) -> None:
    tts = stub(tts_pb2_grpc.TTSServiceStub, rig.channel)
    session = str(uuid4())
    sentences = "Your card was shipped. It will come tomorrow."
    lengths = {}
    for form, rate in ((PCM, 8000), (PCMU, 8000), (PCM, 16000), (PCM, 22050), (PCM, 24000)):
        request = tts_pb2.TextSynthesisRequest(
            text=sentences, session_id=session, format=form, sample_rate=rate
        )
        pieces = [one async for one in tts.SynthesizeText(request, metadata=tokens(rig))]
        size = sum(len(one.audio_data) for one in pieces)
        lengths[form, rate] = size / rate / (1 if form == PCMU else 2)
        assert [one.sequence_number for one in pieces] == list(range(len(pieces)))
        assert [one.end_of_utterance for one in pieces] == [False] * (len(pieces) - 1) + [True]
        if rate == 16000:
            assert dbfs(Pcm16k(b"".join(one.audio_data for one in pieces))) > -40
    assert 2 < min(lengths.values()) <= max(lengths.values()) < min(lengths.values()) + 0.05

    request.voice = "nobody"
    request.format, request.sample_rate = PCM, 8000
    assert (await refused(tts.SynthesizeText(request, metadata=tokens(rig)))).detail.code == (
        "VOICE_NOT_FOUND"
    )
    voice = tts_pb2.VoiceSelectionRequest(session_id=session, voice="en-gb")
    assert (await tts.SelectVoice(voice, metadata=tokens(rig))).applied


@serving("tts")
async def test_a_cancelled_synthesis_stops(rig: Rig) -> None:
    tts = stub(tts_pb2_grpc.TTSServiceStub, rig.channel)
    request = tts_pb2.TextSynthesisRequest(
        text="One more sentence. " * 400, session_id=str(uuid4()), format=PCM, sample_rate=8000
    )
    call = tts.SynthesizeText(request, metadata=tokens(rig))
    await anext(aiter(call))
    call.cancel()
    requests = rig.platform.metrics.registry.get_sample_value
    labels = {"rpc": "TTSService/SynthesizeText", "status": "CANCELLED"}
    async with asyncio.timeout(5):
        while not requests("callfleet_grpc_requests_total", labels):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@serving(*KEPT, "llm")
async def test_the_llm_service_holds_a_conversation_and_remembers_it(
    rig: Rig, postgres: Server
) -> None:
    llm = stub(llm_pb2_grpc.LLMServiceStub, rig.channel)
    session = await rig.session()

    async def say(words: str) -> tuple[str, int]:
        request = llm_pb2.TextProcessingRequest(text=words, session_id=session)
        pieces = [one async for one in llm.ProcessText(request, metadata=tokens(rig))]
        assert all(one.provider == "rules" for one in pieces)
        return "".join(one.text for one in pieces), pieces[-1].finish_reason

    asked, _ = await say("where is my credit card")
    await say("200417")
    told, finish = await say("4271")
    bye, end = await say("no, thank you")
    context = await rig.ask(rig.contexts.GetContext, context_pb.ContextRequest(session_id=session))

    assert "number" in asked
    assert "shipped" in told
    assert "Good bye" in bye
    assert end == llm_pb2.TextResponse.FINISH_REASON_GOODBYE
    assert finish == llm_pb2.TextResponse.FINISH_REASON_STOP
    said = [one.content for one in context.conversation_history if one.role == 1]
    assert said == ["where is my credit card", "200417", "4271", "no, thank you"]
    assert context.version == 4
    async with database(postgres.url) as connected, connected.transaction() as connection:
        kinds = "SELECT transaction_type, authentication_status FROM banking_transactions"
        rows = (await connection.execute(text(kinds))).all()
    assert [tuple(row) for row in rows] == [("AUTHENTICATION", "VERIFIED")]
    nobody = llm_pb2.TextProcessingRequest(text="hello", session_id=str(uuid4()))
    assert (await refused(llm.ProcessText(nobody, metadata=tokens(rig)))).detail.code == (
        "SESSION_NOT_FOUND"
    )
    too_long = llm_pb2.TextProcessingRequest(text="x" * 8193, session_id=session)
    assert "text" in (await refused(llm.ProcessText(too_long, metadata=tokens(rig)))).fields


async def limits_hold(rig: Rig, avc: Any, session: str) -> None:
    """A pod takes so many conversations, and shows them to their client alone."""
    request = connector_pb2.CreateSessionRequest(format=PCM, sample_rate=16000)
    await avc.CreateSession(request, metadata=tokens(rig))
    full = await refused(avc.CreateSession(request, metadata=tokens(rig)))
    assert (full.code, full.detail.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")

    other_identity = CLIENT.replace("kiosk", "other")
    files = rig.authority.issue(rig.folder / "other", other_identity)
    async with channel(rig.platform.port, files) as other:
        question = connector_pb2.SessionStatusRequest(session_id=session)
        of_another = await refused(
            stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, other).GetSessionStatus(
                question, metadata=tokens(rig, other_identity)
            )
        )
    assert of_another.code is grpc.StatusCode.NOT_FOUND

    unknown = common_pb2.AudioChunk(
        audio_data=bytes(320), format=PCM, sample_rate=8000, session_id=str(uuid4())
    )
    found = await refused(avc.ProcessAudioStream(iter([unknown]), metadata=tokens(rig)))
    assert (found.code, found.detail.code) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


@serving(*KEPT, "ai-voice-connector")
async def test_a_program_holds_a_conversation_without_a_phone(rig: Rig) -> None:
    avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, rig.channel)
    made = await avc.CreateSession(
        connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000), metadata=tokens(rig)
    )
    session = made.session_id
    heard: list[common_pb2.AudioChunk] = []
    greeted = asyncio.Event()
    question = await spoken("where is my credit card")

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        yield chunks(Pcm8k.silence(160), session_id=session)[0]
        await greeted.wait()
        for number, chunk in enumerate(chunks(question, 160), 1):
            chunk.sequence_number = number
            yield chunk
        while True:
            await asyncio.sleep(0.5)
            yield common_pb2.AudioChunk(audio_data=b"\xff" * 160, sample_rate=8000, format=PCMU)

    async def listen() -> None:
        utterances = 0
        async for chunk in avc.ProcessAudioStream(caller(), metadata=tokens(rig)):
            heard.append(chunk)
            utterances += chunk.end_of_utterance
            if utterances >= 1:
                greeted.set()
            if utterances >= 2:
                return

    async with asyncio.timeout(60):
        await listen()
    await limits_hold(rig, avc, session)
    status = await avc.GetSessionStatus(
        connector_pb2.SessionStatusRequest(session_id=session), metadata=tokens(rig)
    )
    ended = await avc.EndSession(
        session_pb.EndSessionRequest(session_id=session), metadata=tokens(rig)
    )
    recorded = await rig.ask(
        rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session)
    )

    assert status.turns >= 2
    assert status.status == session_pb.SESSION_STATUS_ACTIVE
    assert ended.status == recorded.status == session_pb.SESSION_STATUS_COMPLETED
    assert {chunk.format for chunk in heard} == {PCMU}
    assert [chunk.sequence_number for chunk in heard] == list(range(len(heard)))


BAD_CHUNKS: dict[str, tuple[dict[str, Any], str]] = {
    "a byte too many": ({"audio_data": bytes((1 << 20) + 1)}, "audio_data"),
    "no format": ({"format": 0}, "format"),
    "unknown format": ({"format": 77}, "format"),
    "rate 0": ({"sample_rate": 0}, "sample_rate"),
    "unknown rate": ({"sample_rate": 11_025}, "sample_rate"),
    "negative time": ({"timestamp": -1}, "timestamp"),
    "far future": ({"timestamp": 2**60}, "timestamp"),
    "no uuid": ({"session_id": "x"}, "session_id"),
    "half a sample": ({"audio_data": b"123"}, "audio_data"),
    "G.711 at 16 kHz": ({"format": PCMU, "sample_rate": 16_000}, "sample_rate"),
}


@serving("vad")
async def test_bad_audio_names_its_field(rig: Rig) -> None:
    vad = stub(vad_pb2_grpc.VADServiceStub, rig.channel).ProcessAudio
    good: dict[str, Any] = {"audio_data": bytes(320), "format": PCM, "sample_rate": 8000}
    for name, (changed, field) in BAD_CHUNKS.items():
        chunk = common_pb2.AudioChunk(**(good | changed))
        found = await refused(vad(iter([chunk]), metadata=tokens(rig)))
        assert found.code is grpc.StatusCode.INVALID_ARGUMENT, name
        assert field in found.fields, (name, found.fields)
    largest = common_pb2.AudioChunk(**(good | {"audio_data": bytes(1 << 20)}))
    await finished(vad(iter([largest]), metadata=tokens(rig)))
    second = common_pb2.AudioChunk(**(good | {"sample_rate": 16_000}))
    found = await refused(vad(iter([common_pb2.AudioChunk(**good), second]), metadata=tokens(rig)))
    assert found.fields == {"sample_rate": "changes within the stream"}
