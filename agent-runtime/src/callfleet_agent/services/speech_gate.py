"""From probabilities of speech to where a stream stands. Pure: windows in, states out."""

from dataclasses import dataclass
from enum import StrEnum


class GateState(StrEnum):
    """Where a stream stands."""

    QUIET = "quiet"
    STARTING = "starting"
    SPEAKING = "speaking"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """When speech begins and ends."""

    confidence: float = 0.6
    start_ms: int = 64
    stop_ms: int = 400
    floor_dbfs: float = -50.0


@dataclass(slots=True)
class SpeechGate:
    """One stream's gate."""

    settings: GateSettings
    window_ms: int
    state: GateState = GateState.QUIET
    _speech_ms: int = 0
    _quiet_ms: int = 0

    def feed(self, probability: float, level_dbfs: float) -> GateState:
        """The state after one more window."""
        settings = self.settings
        speech = probability >= settings.confidence and level_dbfs > settings.floor_dbfs
        self._speech_ms = self._speech_ms + self.window_ms if speech else 0
        self._quiet_ms = 0 if speech else self._quiet_ms + self.window_ms
        open_before = self.state in {GateState.SPEAKING, GateState.STOPPING}
        if open_before:
            closed = self._quiet_ms >= settings.stop_ms
            waiting = GateState.STOPPING if self._quiet_ms else GateState.SPEAKING
            self.state = GateState.QUIET if closed else waiting
        else:
            opened = self._speech_ms >= settings.start_ms
            waiting = GateState.STARTING if self._speech_ms else GateState.QUIET
            self.state = GateState.SPEAKING if opened else waiting
        return self.state

    @property
    def is_open(self) -> bool:
        """Whether somebody speaks."""
        return self.state in {GateState.SPEAKING, GateState.STOPPING}
