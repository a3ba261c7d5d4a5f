"""Which adapter talks to which engine outside the agent."""

from collections.abc import Callable, Mapping
from typing import Any

from callfleet_agent.providers.errors import EngineError
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_elevenlabs import ElevenLabsSynthesiser
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.synthesiser_openai import OpenAISynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.providers.transcriber_openai import OpenAITranscriber
from callfleet_operator.model.engines import Engine, Stage

MakeEngine = Callable[[EngineSettings], Any]
Adapters = Mapping[tuple[Stage, Engine], MakeEngine]

REMOTE: Adapters = {
    (Stage.ASR, Engine.WHISPER): GrpcTranscriber,
    (Stage.ASR, Engine.VOSK): GrpcTranscriber,
    (Stage.ASR, Engine.VLLM): OpenAITranscriber,
    (Stage.ASR, Engine.OPENAI): OpenAITranscriber,
    (Stage.LLM, Engine.VLLM): OpenAIResponder,
    (Stage.LLM, Engine.LLAMACPP): OpenAIResponder,
    (Stage.LLM, Engine.OPENAI): OpenAIResponder,
    (Stage.TTS, Engine.PIPER): GrpcSynthesiser,
    (Stage.TTS, Engine.OPENAI): OpenAISynthesiser,
    (Stage.TTS, Engine.ELEVENLABS): ElevenLabsSynthesiser,
}


class UnknownEngineError(EngineError):
    """No adapter for this engine in this stage: the settings are newer than the agent."""


def adapter(adapters: Adapters, stage: Stage, settings: EngineSettings) -> Any:
    """The engine of these settings. Raises UnknownEngineError."""
    make = adapters.get((stage, Engine(settings.engine)))
    if make is None:
        raise UnknownEngineError(f"no adapter for engine {settings.engine} in stage {stage.value}")
    return make(settings)
