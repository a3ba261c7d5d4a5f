"""Whisper by faster-whisper (CTranslate2): int8 on a CPU, float16 on a GPU.

Whisper has no streaming of its own: what was said so far is decoded again whenever `PARTIAL_S` more
of it has come. The final result is decoded with a wider beam.
"""

import logging
import math
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from callfleet_agent.audio import Pcm16k
from callfleet_agent.services.speech.ports import EngineMissingError, Understood

PARTIAL_S: Final = 0.8
LONGEST_S: Final = 30.0  # Whisper's window
_NO_SPEECH: Final = 0.6
_UNLIKELY: Final = -1.0


class WhisperRecogniser:
    """A model, shared by all streams."""

    def __init__(self, model: Path, device: str, compute_type: str, language: str, at_once: int):
        # It reads files with PyAV, and is given samples here: what PyAV brings (FFmpeg with x264
        # and x265, which are under the GPL) is not wanted in this process.
        sys.modules.setdefault("av", ModuleType("av"))
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise EngineMissingError(
                "faster-whisper is not installed: pip install callfleet-agent[whisper]"
            ) from None
        if not (model / "model.bin").is_file():
            raise EngineMissingError(f"{model} holds no CTranslate2 model: model.bin is missing")
        if not (model / "tokenizer.json").is_file():  # it would be downloaded
            raise EngineMissingError(f"{model} holds no tokenizer.json: copy it from the model")
        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # a line for each decoding
        self.language = language
        self.version = f"faster-whisper {version('faster-whisper')}"
        try:
            self._model: Any = WhisperModel(
                str(model), device=device, compute_type=compute_type, num_workers=at_once,
                local_files_only=True,
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            raise EngineMissingError(f"the model does not load: {error}") from error

    def begin(self) -> "WhisperHearing":
        """A new stream."""
        return WhisperHearing(self)

    def close(self) -> None:
        """Nothing to give back."""

    def decode(self, sound: Pcm16k, beam_size: int) -> Understood:
        """What is said in a sound."""
        samples = sound.samples.astype(np.float32) / 32768.0
        segments, _ = self._model.transcribe(
            samples,
            language=self.language.partition("-")[0],
            beam_size=beam_size,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            vad_filter=False,
            max_new_tokens=128,
        )
        texts, logs = [], []
        for segment in segments:
            if segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _UNLIKELY:
                continue
            texts.append(segment.text.strip())
            logs.append(segment.avg_logprob)
        confidence = math.exp(min(0.0, sum(logs) / len(logs))) if logs else 0.0
        return Understood(" ".join(text for text in texts if text), confidence)


class WhisperHearing:
    """One stream."""

    def __init__(self, recogniser: WhisperRecogniser) -> None:
        self._recogniser = recogniser
        self._sound = bytearray()
        self._decoded = 0

    def partial(self, sound: Pcm16k) -> str | None:
        self._sound += sound.data
        fresh = (len(self._sound) - self._decoded) / 2 / Pcm16k.rate
        if fresh < PARTIAL_S:
            return None
        self._decoded = len(self._sound)
        return self._recogniser.decode(self._last(), 1).text

    def final(self) -> Understood:
        return self._recogniser.decode(self._last(), 5)

    def _last(self) -> Pcm16k:
        return Pcm16k(bytes(self._sound[-int(LONGEST_S * Pcm16k.rate) * 2 :]))
