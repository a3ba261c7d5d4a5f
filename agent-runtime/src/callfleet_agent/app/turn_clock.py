"""When a caller who has stopped speaking hears an answer: worked out from what a worker tells.

A worker tells of a turn when its dialog has moved on, and of sound as it is made; the two may come
in either order when the sound was made ahead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

AHEAD_S: Final = 0.1  # sound that came so short a time before its turn belongs to it


@dataclass(slots=True)
class TurnClock:
    """One call's. Moments are monotonic seconds."""

    _quiet_since: float | None = None  # the caller's, of a turn that is not answered yet
    _told_at: float | None = None
    _began_at: float | None = None
    _speaking: bool = False

    def turn(self, fields: Mapping[str, object], now: float) -> float | None:
        """A turn's event; the seconds from voice to voice when the answer is already heard."""
        self._told_at = now
        quiet_ms = fields.get("endpointing_ms")
        if not isinstance(quiet_ms, int | float):
            return None
        dialog_ms = fields.get("dialog_ms")
        spent_ms = quiet_ms + (dialog_ms if isinstance(dialog_ms, int | float) else 0.0)
        self._quiet_since = now - spent_ms / 1000
        began, self._began_at = self._began_at, None
        if began is None or now - began > AHEAD_S or began < self._quiet_since:
            return None
        return self._heard(began)

    def sound(self, now: float) -> tuple[float | None, float | None]:
        """Sound came. Where it begins to speak: the seconds from voice to voice, and those from
        the dialog's answer to its first sound."""
        if self._speaking:
            return None, None
        self._speaking = True
        told, self._told_at = self._told_at, None
        if self._quiet_since is None:
            self._began_at = now
            return None, None if told is None else now - told
        return self._heard(now), None if told is None else now - told

    def silence(self) -> None:
        """What was said is complete, or was interrupted."""
        self._speaking = False

    def _heard(self, at: float) -> float | None:
        quiet, self._quiet_since = self._quiet_since, None
        return None if quiet is None else at - quiet
