"""Recognition over the OpenAI protocol: OpenAI itself, and vLLM with a Whisper model.

Audio transcriptions (https://platform.openai.com/docs/api-reference/audio/createTranscription): the
utterance goes as one WAV file when it has been spoken, so nothing is sent while somebody speaks.
"""

from collections.abc import Sequence
from typing import Final

import aiohttp

from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.resample import resample
from callfleet_agent.audio.wav import wav_bytes
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Grammar
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.http import HttpClient, bounded_json, expect
from callfleet_agent.providers.ports import Connected, Recognition
from callfleet_agent.providers.settings import EngineSettings

UNTOLD_CONFIDENCE: Final = 0.8
"""The protocol's plain JSON has none."""


class OpenAITranscription:
    """One utterance."""

    def __init__(self, http: HttpClient, settings: EngineSettings) -> None:
        self._http = http
        self._settings = settings
        self._sounds: list[Pcm8k] = []

    def feed(self, sound: Pcm8k) -> None:
        self._sounds.append(sound)

    async def recognise(self, connected: Connected) -> Recognition:
        form = aiohttp.FormData()
        wav = wav_bytes(resample(sum(self._sounds, Pcm8k(b"")), Pcm16k))
        form.add_field("file", wav, filename="speech.wav", content_type="audio/wav")
        form.add_field("response_format", "json")
        form.add_field("temperature", "0")
        if self._settings.model is not None:
            form.add_field("model", self._settings.model)
        if self._settings.language is not None:
            form.add_field("language", self._settings.language.partition("-")[0])
        async with self._http.post("/audio/transcriptions", connected, data=form) as response:
            expect(response, "application/json")
            text = (await bounded_json(response)).get("text")
        if not isinstance(text, str):
            raise ProviderError(Fault.MALFORMED)
        said = text.strip()
        return Recognition(said or None, UNTOLD_CONFIDENCE if said else 0.0)

    def close(self) -> None:
        self._sounds.clear()


class OpenAITranscriber:
    """One model at one provider. It knows no grammars."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._http = HttpClient(settings)

    async def start(self, grammars: Sequence[Grammar]) -> None:
        """Nothing to load."""

    def begin(self, grammar: Grammar, channel: tuple[float, ...]) -> OpenAITranscription:  # noqa: ARG002
        return OpenAITranscription(self._http, self._settings)

    async def warm(self) -> None:
        await self._http.warm()

    async def stop(self) -> None:
        await self._http.close()
