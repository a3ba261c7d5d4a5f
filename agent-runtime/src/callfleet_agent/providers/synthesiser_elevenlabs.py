"""Speech by ElevenLabs (https://elevenlabs.io/docs/api-reference/text-to-speech/stream).

Raw 16 kHz, which every plan has, sent as it is made. The key goes in `xi-api-key`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.providers.http import HttpClient, expect
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.sound_stream import telephone_sound
from callfleet_agent.providers.unprepared import Unprepared

DEFAULT_MODEL: Final = "eleven_flash_v2_5"
DEFAULT_VOICE: Final = "JBFqnCBsd6RMkjVDRZzb"  # the one of their documentation
SLOWEST, FASTEST = 0.7, 1.2  # what the service takes


class ElevenLabsSynthesiser(Unprepared[HttpClient]):
    """One voice."""

    def __init__(self, settings: EngineSettings) -> None:
        bases = (endpoint.rstrip("/").removesuffix("/v1") for endpoint in settings.endpoints)
        reached = replace(settings, endpoints=tuple(f"{base}/v1" for base in bases))
        super().__init__(settings, HttpClient(reached, key_header="xi-api-key"))

    async def speech(
        self,
        sentence: str,
        connected: Connected,
        *,
        private: bool,  # noqa: ARG002 - nothing is kept here
    ) -> AsyncIterator[Pcm8k]:
        settings = self._settings
        body: dict[str, Any] = {"text": sentence, "model_id": settings.model or DEFAULT_MODEL}
        if settings.speed != 1.0:
            body["voice_settings"] = {"speed": min(FASTEST, max(SLOWEST, settings.speed))}
        voice = quote(settings.voice or DEFAULT_VOICE, safe="")
        path = f"/text-to-speech/{voice}/stream"
        request = self._connection.post(
            path, connected, json_body=body, params={"output_format": "pcm_16000"}
        )
        async with request as response:
            expect(response, "audio/", "application/octet-stream")
            async for sound in telephone_sound(response.content.iter_any(), Pcm16k):
                yield sound
