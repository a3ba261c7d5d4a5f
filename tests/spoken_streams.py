"""What clients of the speech services send, and how they are refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from callfleet.v1 import common_pb2
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from identities import CLIENT
from platform_rig import Refused, Rig

PCM, PCMU = common_pb2.AUDIO_FORMAT_PCM_S16LE, common_pb2.AUDIO_FORMAT_PCMU


def tokens(rig: Rig, of: str = CLIENT) -> Any:
    return rig.tokens.metadata(of)


async def spoken(words: str) -> Pcm8k:
    """A person's sentence with quiet around it."""
    sound = await EspeakSynthesiser("en-gb", 150, limit_s=60.0).speech(words, private=True)
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


async def until_said(
    avc: Any, metadata: Any, session: str, utterances: int, *words: str, within_s: float = 60
) -> None:
    """One stream: the words are spoken after the agent's first utterance; it breaks off after so
    many."""
    said, sounds = asyncio.Event(), [await spoken(one) for one in words]

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        yield chunks(Pcm8k.silence(160), session_id=session)[0]
        await said.wait()
        for sound in sounds:
            for number, chunk in enumerate(chunks(sound, 160), 1):
                chunk.sequence_number = number
                yield chunk
        while True:
            await asyncio.sleep(0.5)
            yield common_pb2.AudioChunk(audio_data=b"\xff" * 160, sample_rate=8000, format=PCMU)

    heard = 0
    async with asyncio.timeout(within_s):
        stream = avc.ProcessAudioStream(caller(), metadata=metadata)
        async for chunk in stream:
            heard += chunk.end_of_utterance
            if heard >= 1:
                said.set()
            if heard >= utterances:
                stream.cancel()
                return


async def finished(call: Any) -> None:
    if not hasattr(call, "__aiter__"):
        await call
        return
    async for _ in call:
        pass


async def refused(call: Any) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(finished(call), 60)
    return Refused.of(caught.value)
