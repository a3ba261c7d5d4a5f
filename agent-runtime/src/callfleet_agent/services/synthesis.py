"""TTSService: text as a stream of audio, sentence by sentence."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

from callfleet.v1 import common_pb2
from callfleet_agent.services.engines import Speaker
from callfleet_agent.services.errors import NotFoundError
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.speech import PCM, PCMA, PCMU, Sentence, VoiceChoice
from callfleet_agent.services.preferences import Preferences
from callfleet_agent.services.shared_choices import SharedChoices
from callfleet_agent.services.sound import Outward
from callfleet_agent.services.voice_activity import applied

NAME: Final = "callfleet.v1.TTSService"
READERS: Final = {
    f"/{NAME}/SynthesizeText": reader_of(Sentence),
    f"/{NAME}/SelectVoice": reader_of(VoiceChoice),
}
FORMATS: Final[dict[str, Any]] = {
    PCM: common_pb2.AUDIO_FORMAT_PCM_S16LE,
    PCMU: common_pb2.AUDIO_FORMAT_PCMU,
    PCMA: common_pb2.AUDIO_FORMAT_PCMA,
}
_CHUNK: Final = 1600  # 200 ms
_LONGEST: Final = 500
_ENDS: Final = re.compile(r"(?<=[.!?;:])\s+")


def sentences(text: str) -> list[str]:
    """Pieces of at most 500 characters, cut at the ends of sentences where there are any."""
    pieces: list[str] = []
    for sentence in _ENDS.split(text):
        rest = sentence.strip()
        while len(rest) > _LONGEST:
            cut = rest.rfind(" ", 1, _LONGEST)
            cut = cut if cut > 0 else _LONGEST
            pieces.append(rest[:cut])
            rest = rest[cut:].strip()
        if rest:
            pieces.append(rest)
    return pieces


class SynthesisService:
    """Both RPCs."""

    def __init__(self, speaker: Speaker, shared: SharedChoices | None = None) -> None:
        self._speaker = speaker
        self._voices = Preferences("tts", "", str, shared)

    async def SynthesizeText(  # noqa: N802
        self, given: Sentence, _: Any
    ) -> AsyncIterator[common_pb2.AudioChunk]:
        """Audio as it is made: the first sentence is sent while the second is spoken."""
        voice = given.voice or await self._voices.of(given.session_id)
        self._check(voice)
        outward, count, sent_us = Outward(given.format, given.sample_rate), 0, 0
        pieces = sentences(given.text)
        for number, piece in enumerate(pieces):
            sound = await self._speaker.speech(piece, voice, given.speed)
            for at in range(0, len(sound), _CHUNK):
                data = outward.take(sound.slice(at, at + _CHUNK))
                last = number == len(pieces) - 1 and at + _CHUNK >= len(sound)
                yield common_pb2.AudioChunk(
                    audio_data=data + outward.rest() if last else data,
                    sample_rate=given.sample_rate,
                    format=FORMATS[given.format],
                    timestamp=sent_us,
                    session_id=str(given.session_id),
                    sequence_number=count,
                    end_of_utterance=last,
                )
                count += 1
                sent_us += min(_CHUNK, len(sound) - at) * 125

    async def SelectVoice(  # noqa: N802
        self, given: VoiceChoice, _: Any
    ) -> common_pb2.ConfigurationResponse:
        """Choose a voice."""
        if given.provider and not self._speaker.offers(given.provider):
            raise NotFoundError("PROVIDER_NOT_FOUND", "there is no such provider")
        self._check(given.voice, given.provider)
        await self._voices.choose(given.session_id, given.voice)
        return applied("the voice is chosen")

    def _check(self, voice: str, provider: str = "") -> None:
        if voice and not self._speaker.knows(voice, provider):
            raise NotFoundError("VOICE_NOT_FOUND", "no provider has this voice")
