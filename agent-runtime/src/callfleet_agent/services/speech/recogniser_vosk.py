"""Vosk (Kaldi): it streams by itself, on a CPU."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from callfleet_agent.audio import Pcm16k
from callfleet_agent.services.speech.ports import EngineMissingError, Understood

_UNKNOWN: Final = "[unk]"


class VoskRecogniser:
    """A model, shared by all streams."""

    def __init__(self, model: Path, language: str) -> None:
        try:
            import vosk
        except ImportError:
            raise EngineMissingError(
                "vosk is not installed: pip install callfleet-agent[vosk]"
            ) from None
        if not (model / "am").is_dir() and not (model / "final.mdl").is_file():
            raise EngineMissingError(f"{model} holds no Vosk model: it has no folder am")
        vosk.SetLogLevel(-1)  # its texts may hold what was said
        self.language = language
        self.version = f"vosk {version('vosk')}"
        self._vosk: Any = vosk
        try:
            self._model: Any = vosk.Model(str(model))
        except Exception as error:  # it raises nothing else
            raise EngineMissingError("the model does not load") from error

    def begin(self) -> "VoskHearing":
        """A new stream."""
        recogniser = self._vosk.KaldiRecognizer(self._model, Pcm16k.rate)
        recogniser.SetWords(True)
        return VoskHearing(recogniser)

    def close(self) -> None:
        """Nothing to give back."""


class VoskHearing:
    """One stream."""

    def __init__(self, recogniser: Any) -> None:
        self._recogniser = recogniser
        self._done: list[Understood] = []
        self._partial = ""

    def partial(self, sound: Pcm16k) -> str | None:
        if self._recogniser.AcceptWaveform(sound.data):
            self._done.append(_read(self._recogniser.Result()))
            text = ""
        else:
            text = json.loads(self._recogniser.PartialResult()).get("partial", "")
        whole = " ".join([*(part.text for part in self._done), text]).strip()
        if whole == self._partial:
            return None
        self._partial = whole
        return whole

    def final(self) -> Understood:
        parts = [*self._done, _read(self._recogniser.FinalResult())]
        said = [part for part in parts if part.text]
        if not said:
            return Understood("", 0.0)
        return Understood(
            " ".join(part.text for part in said), sum(part.confidence for part in said) / len(said)
        )


def _read(result: str) -> Understood:
    """The fields of a result (https://alphacephei.com/vosk/): `text`, and `result` by word."""
    fields = json.loads(result)
    words = fields.get("result", [])
    sure = sum(float(word.get("conf", 0.0)) for word in words) / len(words) if words else 0.0
    text = " ".join(word for word in str(fields.get("text", "")).split() if word != _UNKNOWN)
    return Understood(text, sure)
