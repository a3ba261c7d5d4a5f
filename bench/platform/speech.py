"""The kinds of streams: an echo, voice activity, recognition, speech, and whole conversations."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from bench.platform.clients import PCM, Clients, clients_of
from bench.platform.servers import Rig, Server
from bench.platform.streams import Gauge, Hold, Tally, duplex, listened

from callfleet.v1 import asr_pb2, common_pb2, connector_pb2, session_pb2, tts_pb2
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from identities import AGENT

CHUNK: Final = 320  # bytes of 20 ms, PCM at 8 kHz
CYCLE_S: Final = 5.0
QUESTION: Final = "where is my credit card"
TEXT: Final = (
    "Your card was shipped on Monday. It is on its way with Royal Mail. "
    "You will have it by the end of this week, at the latest. Is there anything else? "
)


async def telephone_line() -> bytes:
    """Five seconds of a caller: a question, and then the line's noise, of -60 dBFS."""
    said = await EspeakSynthesiser("en-gb", 150).speech(QUESTION, private=True)
    length = int(CYCLE_S * Pcm8k.rate)
    noise = NoiseFloor(random.Random(1)).frame(length).samples.astype(float)
    noise[: len(said)] += said.samples[:length]
    return Pcm8k.from_samples(noise).data


@dataclass(frozen=True, slots=True)
class Sound:
    """What the streams carry, each at another place of the cycle."""

    data: bytes
    streams: int

    def chunk(self, stream: int, session: str, number: int) -> Any:
        """The next 20 ms of a stream."""
        places = len(self.data) // CHUNK
        at = (number + stream * places // self.streams) % places * CHUNK
        return common_pb2.AudioChunk(
            audio_data=self.data[at : at + CHUNK],
            format=PCM,
            sample_rate=8000,
            session_id=session,
            sequence_number=number,
            timestamp=number * 20_000,
        )


Opened = Callable[[Clients, Sound], Awaitable[Hold]]
"""Makes what holds one stream; what it needs before is made first."""


async def voice_activity(clients: Clients, sound: Sound) -> Hold:
    """VADService/ProcessAudio."""
    hear = clients.rpc("VADService", "ProcessAudio", "stream_stream")
    return lambda stream, seconds, tally: duplex(
        hear, _chunks(sound, stream, str(uuid4())), seconds, tally
    )


async def recognition(clients: Clients, sound: Sound) -> Hold:
    """ASRService/RecognizeSpeech; the answers that count are final ones."""
    hear = clients.rpc("ASRService", "RecognizeSpeech", "stream_stream")

    def finals(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        return _only_final(hear(chunks))

    return lambda stream, seconds, tally: duplex(
        finals, _chunks(sound, stream, str(uuid4())), seconds, tally
    )


async def conversation(clients: Clients, sound: Sound) -> Hold:
    """AIVoiceConnectorService/ProcessAudioStream: a session for each, ended with the stream."""
    begin = clients.rpc("AIVoiceConnectorService", "CreateSession")
    end = clients.rpc("AIVoiceConnectorService", "EndSession")
    talk = clients.rpc("AIVoiceConnectorService", "ProcessAudioStream", "stream_stream")
    start = connector_pb2.CreateSessionRequest(format=PCM, sample_rate=8000)

    async def hold(stream: int, seconds: float, tally: Tally) -> None:
        session = session_pb2.SessionResponse.FromString(await begin(start)).session_id
        await duplex(talk, _chunks(sound, stream, session), seconds, tally)
        await end(session_pb2.EndSessionRequest(session_id=session))

    return hold


async def speech(clients: Clients, _: Sound) -> Hold:
    """TTSService/SynthesizeText."""
    speak = clients.rpc("TTSService", "SynthesizeText", "unary_stream")

    def seconds_of(answer: bytes) -> float:
        return len(common_pb2.AudioChunk.FromString(answer).audio_data) / (2 * Pcm8k.rate)

    async def hold(_: int, seconds: float, tally: Tally) -> None:
        session = str(uuid4())

        def ask(number: int) -> Any:
            return speak(
                tts_pb2.TextSynthesisRequest(
                    text=f"Number {number}. {TEXT * 4}",
                    session_id=session,
                    format=PCM,
                    sample_rate=8000,
                )
            )

        await listened(ask, seconds_of, seconds, tally)

    return hold


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stream, and the role that serves it."""

    name: str
    role: str
    opened: Opened


KINDS: Final = (
    Kind("VADService/ProcessAudio", "vad", voice_activity),
    Kind("ASRService/RecognizeSpeech", "asr", recognition),
    Kind("TTSService/SynthesizeText", "tts", speech),
    Kind("AIVoiceConnectorService/ProcessAudioStream", "ai-voice-connector", conversation),
)


async def of_kind(
    kind: Kind, rig: Rig, server: Server, counts: list[int], seconds: float
) -> list[dict[str, Any]]:
    """Its rows, fewest streams first."""
    data = await telephone_line()
    async with clients_of(rig, server) as clients:
        first = await kind.opened(clients, Sound(data, 1))
        gauge = await Gauge.made(kind.name, server.meter, seconds, first)
        return [
            await gauge.row(await kind.opened(clients, Sound(data, count)), count)
            for count in sorted(counts)
        ]


async def of_echo(
    rig: Rig, server: Server, counts: list[int], seconds: float
) -> list[dict[str, Any]]:
    """The baseline: the same chunks, sent back."""
    data = await telephone_line()
    async with rig.channel(server, AGENT) as channel:
        plain: Any = channel
        echo = plain.stream_stream("/bench.Echo/EchoStream")

        def echoed(count: int) -> Hold:
            sound = Sound(data, count)

            def hold(stream: int, seconds: float, tally: Tally) -> Any:
                make = _chunks(sound, stream, str(uuid4()))
                return duplex(echo, lambda number: make(number).SerializeToString(), seconds, tally)

            return hold

        gauge = await Gauge.made("echo (baseline)", server.meter, seconds, echoed(1))
        return [await gauge.row(echoed(count), count) for count in sorted(counts)]


def _chunks(sound: Sound, stream: int, session: str) -> Callable[[int], Any]:
    return lambda number: sound.chunk(stream, session, number)


async def _only_final(answers: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for answer in answers:
        if asr_pb2.RecognitionResult.FromString(answer).kind == (
            asr_pb2.RecognitionResult.KIND_FINAL
        ):
            yield answer
