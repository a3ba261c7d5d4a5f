"""Speech by our TTSService: piper."""

from collections.abc import AsyncIterator
from uuid import uuid4

from callfleet.v1 import common_pb2, tts_pb2, tts_pb2_grpc
from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.grpc_channel import GrpcChannel, faults
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.unprepared import Unprepared


class GrpcSynthesiser(Unprepared[GrpcChannel]):
    """One pool of our own servers."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings, GrpcChannel(settings))

    async def speech(
        self,
        sentence: str,
        connected: Connected,
        *,
        private: bool,  # noqa: ARG002 - nothing is kept here
    ) -> AsyncIterator[Pcm8k]:
        channel = await self._connection.connect(connected)
        request = tts_pb2.TextSynthesisRequest(
            text=sentence,
            session_id=str(uuid4()),
            voice=self._settings.voice or "",
            format=common_pb2.AUDIO_FORMAT_PCM_S16LE,
            sample_rate=Pcm8k.rate,
            speed=self._settings.speed,
        )
        async with faults():
            stub = tts_pb2_grpc.TTSServiceStub(channel)  # type: ignore[no-untyped-call]
            call = stub.SynthesizeText(request, metadata=self._connection.metadata())
            whole = False
            async for chunk in call:
                if chunk.sample_rate != Pcm8k.rate or len(chunk.audio_data) & 1:
                    raise ProviderError(Fault.MALFORMED)
                whole = chunk.end_of_utterance
                if chunk.audio_data:
                    yield Pcm8k(chunk.audio_data)
        if not whole:
            raise ProviderError(Fault.TRUNCATED)
