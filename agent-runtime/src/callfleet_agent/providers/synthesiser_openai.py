"""Speech over the OpenAI protocol (https://platform.openai.com/docs/api-reference/audio/createSpeech).

`response_format: pcm` is raw 24 kHz, 16 bits, little-endian, sent as it is made.
"""

from collections.abc import AsyncIterator
from typing import Final

from callfleet_agent.audio import Pcm8k, Pcm24k
from callfleet_agent.providers.http import HttpClient, expect
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.sound_stream import telephone_sound
from callfleet_agent.providers.unprepared import Unprepared

DEFAULT_VOICE: Final = "alloy"


class OpenAISynthesiser(Unprepared[HttpClient]):
    """One voice at one provider."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings, HttpClient(settings))

    async def speech(
        self,
        sentence: str,
        connected: Connected,
        *,
        private: bool,  # noqa: ARG002 - nothing is kept here
    ) -> AsyncIterator[Pcm8k]:
        body = {
            "model": self._settings.model or "tts-1",
            "voice": self._settings.voice or DEFAULT_VOICE,
            "input": sentence,
            "response_format": "pcm",
            "speed": self._settings.speed,
        }
        async with self._connection.post("/audio/speech", connected, json_body=body) as response:
            expect(response, "audio/", "application/octet-stream")
            async for sound in telephone_sound(response.content.iter_any(), Pcm24k):
                yield sound
