"""When has the caller finished? Recognition runs ahead in the first quiet; pure."""

from dataclasses import dataclass
from enum import Enum, auto

from callfleet_agent.pipeline.settings import EndpointingSettings


class Advice(Enum):
    """What to do now."""

    WAIT = auto()
    LOOK = auto()
    COMMIT = auto()


@dataclass(slots=True)
class Endpointing:
    """One utterance's end. `complete`: what a look found, None while nothing is known."""

    settings: EndpointingSettings
    longest_ms: int
    complete: bool | None = None
    _spoken_ms: int = 0
    _quiet_ms: int = 0
    _looked: bool = False

    @property
    def looking(self) -> bool:
        """Whether this quiet has been looked into: what comes now is more of the same quiet."""
        return self._looked

    def voice(self, milliseconds: int, quiet_ms: int) -> Advice:
        """A piece of sound, and how long nothing has been said at its end."""
        self._spoken_ms += milliseconds
        if quiet_ms < self._quiet_ms:
            self.complete, self._looked = None, False
        self._quiet_ms = quiet_ms
        return self.advice()

    def looked(self, *, complete: bool) -> Advice:
        """The look that was advised has come to an end."""
        if self._looked:
            self.complete = complete
        return self.advice()

    def advice(self) -> Advice:
        """Looks once in each quiet; commits early only on what is complete."""
        settings = self.settings
        wait_ms = settings.min_ms if self.complete else settings.max_ms
        if self._spoken_ms >= self.longest_ms:
            return Advice.COMMIT
        if self.complete is not None and self._quiet_ms >= wait_ms:
            return Advice.COMMIT
        if not self._looked and self._quiet_ms >= settings.look_ms:
            self._looked = True
            return Advice.LOOK
        return Advice.WAIT
