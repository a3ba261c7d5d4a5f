"""The engines that Callfleet has adapters for, what each does, and who runs it."""

from enum import StrEnum


class Engine(StrEnum):
    """The programs and services that Callfleet has adapters for."""

    VLLM = "vllm"
    LLAMACPP = "llamacpp"
    WHISPER = "whisper"
    VOSK = "vosk"
    SPHINX = "sphinx"
    PIPER = "piper"
    ESPEAK = "espeak"
    SILERO = "silero"
    RULES = "rules"
    OPENAI = "openai"
    ELEVENLABS = "elevenlabs"


class Stage(StrEnum):
    """The stages of a conversation."""

    ASR = "asr"
    LLM = "llm"
    TTS = "tts"
    VAD = "vad"


class Hosting(StrEnum):
    """Who runs an engine."""

    EMBEDDED = "embedded"  # it runs inside the agent's pods
    EXTERNAL = "external"  # somebody else runs it; we have a URL
    MANAGED = "managed"  # the operator runs it


STAGES: dict[Engine, tuple[Stage, ...]] = {
    Engine.VLLM: (Stage.LLM, Stage.ASR),
    Engine.LLAMACPP: (Stage.LLM,),
    Engine.WHISPER: (Stage.ASR,),
    Engine.VOSK: (Stage.ASR,),
    Engine.SPHINX: (Stage.ASR,),
    Engine.PIPER: (Stage.TTS,),
    Engine.ESPEAK: (Stage.TTS,),
    Engine.SILERO: (Stage.VAD,),
    Engine.RULES: (Stage.LLM,),
    Engine.OPENAI: (Stage.LLM, Stage.ASR, Stage.TTS),
    Engine.ELEVENLABS: (Stage.TTS,),
}
EMBEDDED = (Engine.SPHINX, Engine.ESPEAK, Engine.SILERO, Engine.RULES)
HOSTED = (Engine.OPENAI, Engine.ELEVENLABS)
WITH_GPU = (Engine.VLLM, Engine.LLAMACPP, Engine.WHISPER)
SPEAKING = tuple(engine for engine, stages in STAGES.items() if Stage.TTS in stages)
OURS = (Engine.WHISPER, Engine.VOSK, Engine.PIPER)  # servers of our own image
ACCOUNTS = (Engine.OPENAI, Engine.ELEVENLABS)  # services that send a bill
PUBLIC = (Engine.VLLM, Engine.LLAMACPP)  # servers of other projects' images
