"""Requests of the connector and of the services of speech."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from callfleet_agent.services.inputs.contexts import GivenContext, Intent
from callfleet_agent.services.inputs.kinds import (
    CallId,
    Input,
    Language,
    Name,
    Phone,
    Text,
    Uuid,
    one_of,
    wrong,
)

MAX_AUDIO_BYTES = 1 << 20
RATES = (8000, 16000, 22050, 24000, 44100, 48000)
PCM, PCMU, PCMA = "pcm", "pcmu", "pcma"
_FORMATS = {1: PCM, 2: PCMU, 3: PCMA}
_STAGES = {1: "vad", 2: "asr", 3: "llm", 4: "tts"}
_LONGEST_US = 24 * 3600 * 1_000_000

Format = Annotated[str, BeforeValidator(one_of(_FORMATS, "is no known format"))]
Rate = Annotated[
    int,
    BeforeValidator(
        one_of({rate: rate for rate in RATES}, "must be 8000, 16000, 22050, 24000, 44100 or 48000")
    ),
]
CallRate = Annotated[
    int, BeforeValidator(one_of({8000: 8000, 16000: 16000}, "must be 8000 or 16000"))
]


def _audio(value: bytes) -> bytes:
    if len(value) > MAX_AUDIO_BYTES:
        raise wrong("is longer than 1048576 bytes")
    return value


class Chunk(Input):
    """A piece of a stream of audio."""

    audio_data: Annotated[bytes, AfterValidator(_audio)] = Field(default=b"", repr=False)
    sample_rate: Rate
    format: Format
    timestamp: int = Field(default=0, ge=0, le=_LONGEST_US)
    session_id: Uuid | None = None
    sequence_number: int = Field(default=0, ge=0)
    end_of_utterance: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.format == PCM and len(self.audio_data) % 2:
            raise wrong("ends in the middle of a sample", "audio_data")
        if self.format != PCM and self.sample_rate != 8000:
            raise wrong("must be 8000 for G.711", "sample_rate")
        return self


class CallStart(Input):
    """AIVoiceConnectorService.CreateSession."""

    caller_phone: Phone = Field(default="", repr=False)
    dialed_number: Phone = ""
    sip_call_id: CallId = ""
    format: Format
    sample_rate: CallRate
    session_id: Uuid | None = None

    @model_validator(mode="after")
    def _is_g711_at_8000(self) -> Self:
        if self.format != PCM and self.sample_rate != 8000:
            raise wrong("must be 8000 for G.711", "sample_rate")
        return self


class StatusQuestion(Input):
    """GetSessionStatus."""

    session_id: Uuid


class VadSettings(Input):
    """VADService.Configure; zero leaves a value."""

    session_id: Uuid | None = None
    confidence_threshold: float = Field(default=0.0, ge=0, le=1)
    start_milliseconds: int = Field(default=0, ge=0, le=5000)
    stop_milliseconds: int = Field(default=0, ge=0, le=10_000)
    minimum_level_dbfs: float = Field(default=0.0, ge=-96, le=0)


class ProviderChoice(Input):
    """SelectProvider."""

    session_id: Uuid | None = None
    stage: Annotated[str, BeforeValidator(one_of(_STAGES, "is no known stage"))]
    provider: Name
    fallbacks: list[Name] = Field(default_factory=list, max_length=8)


class Question(Input):
    """LLMService.ProcessText. What the caller said is data."""

    text: Text = Field(repr=False)
    session_id: Uuid
    context: GivenContext | None = Field(default=None, repr=False)
    intent: Intent = ""
    language: Language = ""

    @model_validator(mode="after")
    def _is_about_one_session(self) -> Self:
        context = self.context
        if context is not None and context.session_id not in {None, self.session_id}:
            raise wrong("is another session", "context.session_id")
        return self


class Sentence(Input):
    """TTSService.SynthesizeText."""

    text: Text = Field(repr=False)
    session_id: Uuid
    voice: Name = ""
    format: Format
    sample_rate: Annotated[
        int,
        BeforeValidator(
            one_of(
                {rate: rate for rate in (8000, 16000, 22050, 24000)},
                "must be 8000, 16000, 22050 or 24000",
            )
        ),
    ]
    speed: float = Field(default=1.0, ge=0.5, le=2)

    @model_validator(mode="after")
    def _is_g711_at_8000(self) -> Self:
        if self.format != PCM and self.sample_rate != 8000:
            raise wrong("must be 8000 for G.711", "sample_rate")
        return self


class VoiceChoice(Input):
    """SelectVoice."""

    session_id: Uuid | None = None
    voice: Name
    provider: Name = ""
    language: Language = ""
