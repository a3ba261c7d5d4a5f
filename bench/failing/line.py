"""A caller's line: what it plays and how long it is silent."""

from dataclasses import dataclass, field

CREDIT_S = 0.2


@dataclass
class Line:
    """Plays pieces in real time and counts the silence."""

    began: float
    silence_s: float = 0.0
    heard_s: float = 0.0
    _until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._until = self.began

    def play(self, seconds: float, now: float, *, anew: bool = False) -> float:
        """A piece; when the line has only its credit left to play."""
        start = max(now, self._until)
        self.silence_s += start - self._until
        self._until = start + seconds
        self.heard_s = seconds if anew else self.heard_s + seconds
        return self._until - CREDIT_S
