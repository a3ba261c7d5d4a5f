"""The first inferences of an engine: whether it works, and how fast it is where it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from callfleet_agent.audio import Pcm16k
from callfleet_agent.services.errors import ServicesError

SENTENCE: Final = "One moment, please."
SOUND_S: Final = 2.0
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """From a request (of an utterance: from its end) to the first result, and the time of computing
    for a second of sound."""

    engine_version: str
    first_result_ms: float
    real_time_factor: float

    def as_json(self) -> dict[str, Any]:
        """What the operator reads."""
        return {
            "engineVersion": self.engine_version,
            "firstResultMs": round(self.first_result_ms, 1),
            "realTimeFactor": round(self.real_time_factor, 4),
        }


def warm_up(engine: Any, clock: Clock = time.monotonic) -> Figures:
    """Two inferences; the first one loads what is loaded lazily and is not counted.

    Raises:
        ServicesError: the engine cannot do it, so it must never become ready.
    """
    inference = _recognition if hasattr(engine, "begin") else _speech
    try:
        inference(engine, clock)
        first_s, whole_s, sound_s = inference(engine, clock)
    except RuntimeError as error:
        engine.close()
        raise ServicesError(f"the engine does not work: {error}") from error
    return Figures(engine.version, first_s * 1000, whole_s / sound_s)


def _recognition(engine: Any, clock: Clock) -> tuple[float, float, float]:
    hearing, began = engine.begin(), clock()
    hearing.partial(_noise())
    ended = clock()
    hearing.final()
    now = clock()
    return now - ended, now - began, SOUND_S


def _noise() -> Pcm16k:
    """Digital silence is no fair question: some engines skip it."""
    samples = np.random.default_rng(1).normal(0, 300, int(SOUND_S * Pcm16k.rate))
    return Pcm16k.from_samples(samples.astype(np.int32))


def _speech(engine: Any, clock: Clock) -> tuple[float, float, float]:
    began, first, sound_s = clock(), None, 0.0
    for piece in engine.speak(SENTENCE, 1.0):
        first = first or clock()
        sound_s += piece.seconds
    if first is None or not sound_s:
        raise ServicesError("the voice gives no sound")
    return first - began, clock() - began, sound_s
