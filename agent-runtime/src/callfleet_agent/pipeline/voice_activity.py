"""Silero's voice activity model: one ONNX session for the whole process, a small state for each
call. Inference is inline: 0.1 ms for a window of 32 ms is less than a thread switch costs."""

from collections import deque
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import amplitude, rms
from callfleet_agent.pipeline.quiet_gate import QuietGate

WINDOW: Final = 256  # samples of 8 kHz: 32 ms
WINDOW_MS: Final = 32
NOBODY_DBFS: Final = -56.0
PRIMED_WITH: Final = 12  # windows
_WINDOW_BYTES: Final = 2 * WINDOW
_CONTEXT: Final = 32
_RATE: Final = np.array(8000, dtype=np.int64)
# Long silence or noise leaves the model's state less able to detect speech, so it is reset in
# clear quiet: this many windows after the last reset, after this many quiet ones in a row.
_RESET_AFTER: Final = 62
_RESET_QUIET: Final = 5
_RESET_BELOW: Final = 0.1

Floats = npt.NDArray[np.float32]


class VoiceActivityModel:
    """The loaded model, to be shared."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        model = resources.files("pipecat.audio.vad.data").joinpath("silero_vad.onnx")
        self._session = onnxruntime.InferenceSession(
            model.read_bytes(), providers=["CPUExecutionProvider"], sess_options=options
        )

    def run(self, window: Floats, state: Floats) -> tuple[float, Floats]:
        """The probability of speech in a window (with its context), and the next state."""
        given: dict[str, Any] = {"input": window[None, :], "state": state, "sr": _RATE}
        probability, after = self._session.run(None, given)
        return float(probability[0, 0]), after


class VoiceActivity:
    """One call's ear: feed it sound of any length, it gives the probability of each window.

    Windows in which nobody can be speaking do not reach the model (see `quiet_gate`). When one
    does again, the model first hears what came just before, so that it judges as if it had
    listened all the time.
    """

    def __init__(self, model: VoiceActivityModel, floor_dbfs: float = NOBODY_DBFS) -> None:
        self._model = model
        self._gate = QuietGate(amplitude(floor_dbfs))
        self._passed_over: deque[bytes] = deque(maxlen=PRIMED_WITH)
        self._rest = b""
        self._since_reset = 0
        self._quiet = 0
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._since_reset = 0

    def feed(self, sound: Pcm8k, *, awake: bool = False) -> list[float]:
        """The probability of speech in each window that this sound completes. `awake`: somebody
        was speaking a moment ago, so every window counts."""
        data = self._rest + sound.data
        whole = len(data) - len(data) % _WINDOW_BYTES
        self._rest = data[whole:]
        return [
            self._window(data[at : at + _WINDOW_BYTES], awake=awake)
            for at in range(0, whole, _WINDOW_BYTES)
        ]

    def _window(self, data: bytes, *, awake: bool) -> float:
        level = rms(data)
        if not self._gate.admits(level):
            self._passed_over.append(data)
            return 0.0
        if self._passed_over:
            self._catch_up()
        probability = self._heard(data)
        self._gate.judged(probability, level, awake=awake)
        self._since_reset += 1
        self._quiet = self._quiet + 1 if probability < _RESET_BELOW else 0
        if self._since_reset >= _RESET_AFTER and self._quiet >= _RESET_QUIET:
            self.reset()
        return probability

    def _catch_up(self) -> None:
        """After clear quiet the model begins afresh; what it knows of a noise it keeps."""
        if self._gate.quiet:
            self.reset()
        while self._passed_over:
            self._heard(self._passed_over.popleft())

    def _heard(self, data: bytes) -> float:
        samples: Floats = np.frombuffer(data, "<i2").astype(np.float32)
        samples /= 32768
        window: Floats = np.concatenate((self._context, samples))
        probability, self._state = self._model.run(window, self._state)
        self._context = samples[-_CONTEXT:]
        return probability
