"""VAD, ASR, TTS and LLM: real engines, over mutual TLS."""

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
    llm_pb2,
    llm_pb2_grpc,
    tts_pb2,
    tts_pb2_grpc,
    vad_pb2,
    vad_pb2_grpc,
)
from callfleet.v1 import context_pb2 as context_pb
from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from fakes.sip_by_hand import until
from identities import AGENT, CLIENT, channel
from platform_rig import Rig, rigged, stub
from spoken_streams import PCM, PCMU, chunks, refused, spoken, tokens
from stores import Server, database, migrated

KEPT = ("session-manager", "context-store")
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
            running.as_agent, running.channel = running.channel, client
            yield running
            running.channel = running.as_agent


@pytest.fixture
async def narrow(rig: Rig, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A client's channel that holds little of what is not read."""
    files = rig.authority.issue(tmp_path / "narrow", CLIENT)
    async with channel(rig.platform.port, files, window=64 << 10) as client:
        yield client


def sentences_spoken(monkeypatch: pytest.MonkeyPatch, most: int = 1000) -> list[str]:
    """What the engine is asked to say from now on, in this process; it is at work on the last of
    `most` until that is cancelled."""
    asked: list[str] = []
    speech = EspeakSynthesiser.speech

    async def counted(self: EspeakSynthesiser, text: str, *, private: bool = False) -> Pcm8k:
        asked.append(text)
        if len(asked) == most:
            await asyncio.Event().wait()
        return await speech(self, text, private=private)

    monkeypatch.setattr(EspeakSynthesiser, "speech", counted)
    return asked


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
    other_words = chunks(await spoken("the green elephant has eaten all of our bananas"))
    foreign = [one async for one in asr.RecognizeSpeech(iter(other_words), metadata=tokens(rig))]
    long = chunks(await spoken("two zero zero four one seven two zero zero four one seven"))
    digits = [one async for one in asr.RecognizeSpeech(iter(long), metadata=tokens(rig))]
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

    assert [(one.kind, one.text) for one in results] == [
        (asr_pb2.RecognitionResult.KIND_FINAL, "where is my credit card")
    ]
    assert (results[0].provider, results[0].language) == ("sphinx", "en-US")
    assert 0.5 < results[0].confidence <= 1
    assert [(one.kind, one.text) for one in foreign] == [
        (asr_pb2.RecognitionResult.KIND_NO_MATCH, "")
    ]
    partial = [one.text for one in digits[:-1]]
    assert "two zero zero four one seven" in partial  # while the rest was still being said
    assert {one.kind for one in digits[:-1]} == {asr_pb2.RecognitionResult.KIND_PARTIAL}
    assert digits[-1].kind != asr_pb2.RecognitionResult.KIND_PARTIAL
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
async def test_a_cancelled_synthesis_stops(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = sentences_spoken(monkeypatch, most=3)
    tts = stub(tts_pb2_grpc.TTSServiceStub, rig.channel)
    request = tts_pb2.TextSynthesisRequest(
        text="One more sentence. " * 400, session_id=str(uuid4()), format=PCM, sample_rate=8000
    )
    call = tts.SynthesizeText(request, metadata=tokens(rig))
    await anext(aiter(call))
    await until(lambda: len(spoken) == 3)
    call.cancel()
    requests = rig.platform.metrics.registry.get_sample_value
    labels = {"rpc": "TTSService/SynthesizeText", "status": "CANCELLED"}
    await until(lambda: bool(requests("callfleet_grpc_requests_total", labels)))
    await asyncio.sleep(0.5)
    assert len(spoken) == 3


@serving("tts")
async def test_a_client_that_does_not_read_is_not_spoken_for(
    rig: Rig, narrow: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = sentences_spoken(monkeypatch)
    request = tts_pb2.TextSynthesisRequest(
        text="One more sentence. " * 100, session_id=str(uuid4()), format=PCM, sample_rate=24000
    )
    call = stub(tts_pb2_grpc.TTSServiceStub, narrow).SynthesizeText(request, metadata=tokens(rig))
    await anext(aiter(call))
    before = -1
    async with asyncio.timeout(120):
        while before != len(spoken):  # until it has filled what the connection holds
            before = len(spoken)
            await asyncio.sleep(1.0)
    assert before < 20  # a sentence is 50 kB: what the connection holds, and not the whole
    async for _ in call:
        pass
    assert len(spoken) == 100


@serving("vad", "asr")
@pytest.mark.parametrize("service", ["vad", "asr"])
async def test_a_client_that_sends_and_does_not_read_is_not_listened_to(
    rig: Rig, narrow: grpc.aio.Channel, service: str
) -> None:
    call = {
        "vad": stub(vad_pb2_grpc.VADServiceStub, narrow).ProcessAudio,
        "asr": stub(asr_pb2_grpc.ASRServiceStub, narrow).RecognizeSpeech,
    }[service](metadata=tokens(rig))
    said = chunks(await spoken("where is my credit card"), session_id=str(uuid4()))
    written = 0

    async def send() -> None:
        nonlocal written
        while written < 200_000:  # hours of speech, as fast as it is taken
            chunk = said[written % len(said)]
            chunk.sequence_number = written
            is_heard = written > len(said)  # as long as it has room, it may take its time
            await asyncio.wait_for(call.write(chunk), 5 if is_heard else 60)
            written += 1

    with pytest.raises(TimeoutError):
        await send()
    call.cancel()
    assert written > len(said)


@serving(*KEPT, "llm")
async def test_the_llm_service_holds_a_conversation_and_remembers_it(
    rig: Rig, postgres: Server
) -> None:
    llm = stub(llm_pb2_grpc.LLMServiceStub, rig.as_agent)
    session = await rig.session()

    async def say(words: str) -> tuple[str, int]:
        request = llm_pb2.TextProcessingRequest(text=words, session_id=session)
        pieces = [one async for one in llm.ProcessText(request, metadata=tokens(rig, AGENT))]
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
    assert said == ["where is my credit card", "(digits)", "(digits)", "no, thank you"]
    assert context.version == 4
    async with database(postgres.url) as connected, connected.transaction() as connection:
        kinds = "SELECT transaction_type, authentication_status FROM banking_transactions"
        rows = (await connection.execute(text(kinds))).all()
    assert sorted(tuple(row) for row in rows) == [
        ("AUTHENTICATION", "VERIFIED"), ("CARD_INQUIRY", "VERIFIED"),
    ]  # fmt: skip
    nobody = llm_pb2.TextProcessingRequest(text="hello", session_id=str(uuid4()))
    unknown = await refused(llm.ProcessText(nobody, metadata=tokens(rig, AGENT)))
    assert unknown.detail.code == "SESSION_NOT_FOUND"
    too_long = llm_pb2.TextProcessingRequest(text="x" * 8193, session_id=session)
    assert "text" in (await refused(llm.ProcessText(too_long, metadata=tokens(rig, AGENT)))).fields

    as_client = stub(llm_pb2_grpc.LLMServiceStub, rig.channel)
    for planted in ("what is my balance", "hello"):
        question = llm_pb2.TextProcessingRequest(text=planted, session_id=session)
        of_another = await refused(as_client.ProcessText(question, metadata=tokens(rig)))
        assert of_another.detail.code == "SESSION_NOT_FOUND"
    change = context_pb.ContextUpdateRequest(session_id=session, current_intent="planted")
    assert (await refused(as_client.UpdateContext(change, metadata=tokens(rig)))).detail.code == (
        "SESSION_NOT_FOUND"
    )
    after = await rig.ask(rig.contexts.GetContext, context_pb.ContextRequest(session_id=session))
    assert after == context_with(after.correlation_id, context)


def context_with(correlation_id: str, context: Any) -> Any:
    """The same context as another request tells it."""
    told = context_pb.ConversationContext()
    told.CopyFrom(context)
    told.correlation_id = correlation_id
    return told
