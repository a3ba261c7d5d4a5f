"""Which windows of a call need the voice activity model at all; pure.

Most of a call nobody speaks, and the line then sounds as it sounded when the model last found
nobody. Such windows are passed over. Whatever is louder than that, or quieter, opens the gate.
"""

from dataclasses import dataclass, field
from typing import Final

LINGER: Final = 10  # windows in a row without anybody, after which it closes
NOBODY: Final = 0.1  # the model's probability
RECHECK: Final = 62  # windows (2 s), after which a line that is not quiet is heard again
MARGIN: Final = 10 ** (3.0 / 20)


@dataclass(slots=True)
class QuietGate:
    """`floor` is the level (RMS of int16) below which nobody is heard whatever it is."""

    floor: float
    quiet: bool = True  # whether what was passed over last was below the floor
    _open: bool = True
    _closed_for: int = 0
    _nobody: list[int] = field(default_factory=list)  # levels since somebody was heard
    _band: tuple[float, float] = (0.0, 0.0)

    def admits(self, level: int) -> bool:
        """Whether the model must hear a window of this level."""
        if self._open:
            return True
        if level <= self.floor:
            self.quiet = True
            return False
        self._closed_for += 1
        low, high = self._band
        if low <= level <= high and self._closed_for < RECHECK:
            self.quiet = False
            return False
        self._open = True
        self._nobody.clear()
        return True

    def judged(self, probability: float, level: int, *, awake: bool) -> None:
        """What the model said of a window. It stays open as long as a speaker is `awake`."""
        if probability >= NOBODY:
            self._nobody.clear()
            return
        self._nobody.append(level)
        if awake:
            del self._nobody[:-LINGER]
        elif len(self._nobody) >= LINGER:
            self._band = min(self._nobody) / MARGIN, max(self._nobody) * MARGIN
            self._open, self._closed_for = False, 0
