"""Real models and accounts, where this machine has them: OPENAI_API_KEY, ELEVENLABS_API_KEY, and
CALLFLEET_MODELS, a folder with any of `whisper` (CTranslate2), `vosk` (Kaldi), `piper` (one .onnx
with its .json) and `llama` (one .gguf). They cost money and time, so they are run where they are
asked for."""

import os
from pathlib import Path

import pytest

from callfleet_agent.app.recognise import Recogniser
from callfleet_agent.app.sentences import words_of
from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.audio.resample import resample
from callfleet_agent.dialog import Dialog
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.providers import Message, Prompt
from callfleet_agent.providers.ports import SynthesiserEngine, TranscriberEngine
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_elevenlabs import ElevenLabsSynthesiser
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.synthesiser_openai import OpenAISynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.providers.transcriber_openai import OpenAITranscriber
from fakes.model_server import collected
from integration.real_engines import python_of, serving
from integration.real_llama import serving as llama_server

pytestmark = pytest.mark.slow
GRAMMAR = Dialog().grammars()[0]


def nothing() -> None:
    """A connection stands."""


def told(variable: str) -> str:
    """What an environment variable says; skips where it says nothing."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return value


def account(variable: str, folder: Path, **more: str) -> EngineSettings:
    """The settings of an account whose key is in the environment."""
    file = folder / "key"
    file.write_text(told(variable))
    engine, base = more.pop("engine"), more.pop("base")
    return EngineSettings(engine=engine, endpoints=(base,), key_file=file, **more)  # type: ignore[arg-type]


async def understood(engine: TranscriberEngine) -> None:
    question = await EspeakSynthesiser("en-gb", 150, limit_s=60.0).speech(
        "where is my card", private=True
    )
    utterance = engine.begin(GRAMMAR, ())
    utterance.feed(question)
    found = await utterance.recognise(nothing)
    await engine.stop()
    assert "card" in (found.text or "").lower()


async def spoken(engine: SynthesiserEngine) -> None:
    pieces = await collected(engine.speech("Your card is on its way.", nothing, private=True))
    await engine.stop()
    sound = sum(pieces, Pcm8k(b""))
    assert 0.8 < sound.seconds < 6
    assert dbfs(sound) > -40


def model_of(engine: str, pattern: str = ".") -> Path:
    """What CALLFLEET_MODELS has for an engine; skips where it has nothing."""
    folder = Path(told("CALLFLEET_MODELS")) / engine
    found = sorted(folder.glob(pattern)) if pattern != "." else [folder]
    if not folder.is_dir() or not found:
        pytest.skip(f"CALLFLEET_MODELS has no {engine}/{pattern}")
    return found[0]


@pytest.mark.parametrize("engine", ["whisper", "vosk"])
async def test_a_recogniser_understands_a_question(engine: str) -> None:
    model = str(model_of(engine))
    async with serving("asr", "--engine", engine, "--model", model, limit_s=150) as server:
        settings = EngineSettings(engine=engine, endpoints=(server.endpoint,))
        await understood(GrpcTranscriber(settings))


async def test_a_piper_voice_is_understood() -> None:
    model, python = str(model_of("piper", "*.onnx")), str(python_of("piper"))
    async with serving("tts", "--model", model, "--piper-python", python, limit_s=150) as server:
        engine = GrpcSynthesiser(EngineSettings(engine="piper", endpoints=(server.endpoint,)))
        sentence = "Your card was shipped."
        pieces = await collected(engine.speech(sentence, nothing, private=True))
        await engine.stop()
    sound = resample(sum(pieces, Pcm8k(b"")), Pcm16k)
    assert Recogniser().recognise(sound) == words_of(sentence)


async def test_a_model_of_llamacpp_answers_a_question(tmp_path: Path) -> None:
    model = model_of("llama", "*.gguf")
    async with llama_server(tmp_path, model=model) as llama:
        engine = llama.engine()
        prompt = Prompt((Message("user", "Answer with the one word yes."),), max_tokens=8)
        answer = "".join(await collected(engine.answer(prompt, nothing)))
        await engine.stop()
    assert "yes" in answer.lower()


async def test_openai_answers_hears_and_speaks(tmp_path: Path) -> None:
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    settings = account("OPENAI_API_KEY", tmp_path, engine="openai", base=base, model="gpt-4o-mini")
    model = OpenAIResponder(settings)
    prompt = Prompt((Message("user", "Answer with the one word yes."),))
    assert "yes" in "".join(await collected(model.answer(prompt, nothing))).lower()
    await model.stop()
    settings = account("OPENAI_API_KEY", tmp_path, engine="openai", base=base, model="whisper-1")
    await understood(OpenAITranscriber(settings))
    settings = account("OPENAI_API_KEY", tmp_path, engine="openai", base=base, model="tts-1")
    await spoken(OpenAISynthesiser(settings))


async def test_elevenlabs_speaks(tmp_path: Path) -> None:
    base = os.environ.get("ELEVENLABS_BASE_URL", "https://api.elevenlabs.io")
    settings = account("ELEVENLABS_API_KEY", tmp_path, engine="elevenlabs", base=base)
    await spoken(ElevenLabsSynthesiser(settings))
