"""The asr and tts roles with pools: chains of a file, over mutual TLS, that changes meanwhile."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
import yaml

from callfleet.v1 import asr_pb2, asr_pb2_grpc, common_pb2, tts_pb2, tts_pb2_grpc
from callfleet_agent.app.platform import Platform
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.app.settings import free_port
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.audio.level import dbfs
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.services.speech.server import ServerSettings, SpeechServer
from fakes.speech import FakeRecogniser, FakeVoice
from identities import CLIENT, ISSUER, Authority, Tokens, channel
from platform_rig import PATIENT, Refused, stub

HOST = "127.0.0.1"
LIMITS = {"connectMs": 60000, "firstByteMs": 60000, "gapMs": 60000, "totalMs": 120000}
PCM, PCMU = common_pb2.AUDIO_FORMAT_PCM_S16LE, common_pb2.AUDIO_FORMAT_PCMU
ASR = common_pb2.PROVIDER_STAGE_ASR
_Kind = asr_pb2.RecognitionResult.Kind
pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"
)


class Rig:
    """One role of the platform, a pool's server that it may ask, and a program that asks it."""

    def __init__(self, folder: Path, role: str) -> None:
        self.folder, self.role = folder, role
        self.authority, self.tokens = Authority(), Tokens(folder / "jwks.json")
        self.file = folder / "providers.yaml"
        self.pool = asyncio.Event()
        self.channel: grpc.aio.Channel

    def chain(self, *members: dict[str, Any]) -> None:
        """What the file says from now on."""
        told = [{"limits": LIMITS, **member} for member in members]
        self.file.write_text(yaml.safe_dump({"generation": 1, self.role: told}))

    def of_the_pool(self, port: int, **member: Any) -> dict[str, Any]:
        return {"hosting": "managed", "endpoints": [f"grpcs://localhost:{port}"], **member}

    @property
    def metadata(self) -> Any:
        return self.tokens.metadata(CLIENT)


@asynccontextmanager
async def pool(rig: Rig, engine: Any) -> AsyncIterator[int]:
    """Its server, until `rig.pool` is set."""
    files = rig.authority.issue(rig.folder / "pool", "spiffe://callfleet.io/ns/bank/providerpool/p")
    settings = ServerSettings(
        engine="fake", listen=(HOST, 0), http=(HOST, free_port(HOST)), tls=files.key.parent
    )
    server, ready = SpeechServer(settings, lambda: engine), asyncio.Event()
    task = asyncio.create_task(server.run(rig.pool, ready.set))
    await ready.wait()
    try:
        yield server.port
    finally:
        rig.pool.set()
        await task


@asynccontextmanager
async def platform(rig: Rig) -> AsyncIterator[None]:
    identity = f"spiffe://callfleet.io/ns/callfleet-system/service/{rig.role}"
    files = rig.authority.issue(rig.folder / "service", identity)
    settings = PlatformSettings(
        roles=(rig.role,), tls=files.key.parent, token_keys=rig.tokens.path, token_issuer=ISSUER,
        bind=HOST, port=0, http_port=None, per_minute=60_000.0, burst=1000.0, providers=rig.file,
        patience=PATIENT,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(Platform(settings).running())
        mine = rig.authority.issue(rig.folder / "client", CLIENT)
        rig.channel = await stack.enter_async_context(channel(running.port, mine))
        yield


async def refused(call: Any) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused.of(caught.value)


async def heard(rig: Rig, session: str, *, partly: bool = False) -> list[Any]:
    """All results for a sentence with quiet around it. `partly`: whoever speaks goes on until
    something has been heard."""
    words = await EspeakSynthesiser("en-gb", 150).speech("where is my credit card", private=True)
    sound = Pcm8k.silence(4000) + words + Pcm8k.silence(8000)
    chunks = [
        common_pb2.AudioChunk(
            audio_data=encode(sound.slice(at, at + 800), Law.PCMU),
            sample_rate=8000,
            format=PCMU,
            session_id=session,
        )
        for at in range(0, len(sound), 800)
    ]

    results: list[Any] = []
    middle = (4000 + len(words) // 2) // 800

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        for number, chunk in enumerate(chunks):
            yield chunk
            while partly and number == middle and not results:
                await asyncio.sleep(0.2)
                yield chunk

    asr = stub(asr_pb2_grpc.ASRServiceStub, rig.channel)
    async for one in asr.RecognizeSpeech(caller(), metadata=rig.metadata):
        results.append(one)  # noqa: PERF401, the caller looks at it meanwhile
    return results


async def test_recognisers_of_pools_are_chosen_and_follow_each_other(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "asr")
    async with pool(rig, FakeRecogniser("where is my card")) as port:
        rig.chain(
            rig.of_the_pool(port, pool="ears", engine="whisper", language="en-GB"),
            {"pool": "at-hand", "engine": "sphinx", "hosting": "embedded"},
        )
        async with platform(rig):
            asr = stub(asr_pb2_grpc.ASRServiceStub, rig.channel)
            session, other = str(uuid4()), str(uuid4())

            *partials, final = await heard(rig, session, partly=True)
            assert (final.kind, final.text) == (_Kind.KIND_FINAL, "where is my card")
            assert (final.provider, final.language) == ("ears", "en-GB")
            assert all(one.kind == _Kind.KIND_PARTIAL and "so far" in one.text for one in partials)
            assert partials

            choice = common_pb2.ProviderSelectionRequest(
                session_id=other, stage=ASR, provider="nobody", fallbacks=["sphinx", "ears"]
            )
            assert (await asr.SelectProvider(choice, metadata=rig.metadata)).applied
            assert (await heard(rig, other))[-1].provider == "at-hand"
            assert (await heard(rig, session))[-1].provider == "ears"
            choice.ClearField("fallbacks")
            unknown = await refused(asr.SelectProvider(choice, metadata=rig.metadata))
            assert unknown.detail.code == "PROVIDER_NOT_FOUND"

            rig.pool.set()  # it goes, and the next one hears all of it
            async with asyncio.timeout(120):
                while (await heard(rig, session))[-1].provider != "at-hand":
                    pass


async def spoken(rig: Rig, session: str, **fields: Any) -> Pcm8k:
    tts = stub(tts_pb2_grpc.TTSServiceStub, rig.channel)
    request = tts_pb2.TextSynthesisRequest(
        text="Good bye.", session_id=session, format=PCM, sample_rate=8000, **fields
    )
    pieces = [one async for one in tts.SynthesizeText(request, metadata=rig.metadata)]
    assert pieces[-1].end_of_utterance
    return Pcm8k(b"".join(one.audio_data for one in pieces))


async def refusal(rig: Rig, session: str) -> str:
    """Why nothing is spoken any more, as soon as the service has seen what the file says."""
    async with asyncio.timeout(60):
        while True:
            try:
                await spoken(rig, session)
            except grpc.aio.AioRpcError as error:
                return Refused.of(error).detail.code
            await asyncio.sleep(0.1)


def loud(sound: Pcm8k) -> bool:
    return dbfs(sound) > -40


async def test_voices_of_pools_are_chosen_and_follow_the_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "tts")
    async with pool(rig, FakeVoice()) as port:
        hum = rig.of_the_pool(port, pool="recorded", engine="piper", voice="hum")
        espeak = {"pool": "at-hand", "engine": "espeak", "hosting": "embedded"}
        rig.chain(hum, espeak)
        async with platform(rig):
            tts = stub(tts_pb2_grpc.TTSServiceStub, rig.channel)
            session = str(uuid4())

            def choice(**fields: str) -> Any:
                request = tts_pb2.VoiceSelectionRequest(session_id=session, **fields)
                return tts.SelectVoice(request, metadata=rig.metadata)

            assert len(await spoken(rig, session)) == 4000  # the pool's half a second
            assert not loud(await spoken(rig, session))
            assert (await choice(voice="en-gb", provider="espeak")).applied
            assert loud(await spoken(rig, session))
            assert len(await spoken(rig, session, speed=2.0)) < len(await spoken(rig, session))
            assert (await choice(voice="hum", provider="piper")).applied
            assert not loud(await spoken(rig, session))
            wrong = await refused(spoken(rig, session, speed=1.5))
            assert list(wrong.fields) == ["speed"]
            wrong = await refused(choice(voice="hum", provider="espeak"))
            assert wrong.detail.code == "VOICE_NOT_FOUND"
            wrong = await refused(choice(voice="hum", provider="openai"))
            assert wrong.detail.code == "PROVIDER_NOT_FOUND"

            rig.chain(espeak)
            assert await refusal(rig, session) == "VOICE_NOT_FOUND"
            assert loud(await spoken(rig, str(uuid4())))
