"""What a caller does, turn by turn."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: exactly one of `say`, `play` and `keys` is set.

    `barge_in_s`: None waits for the agent to finish; else the turn begins that many seconds after
    the agent began to speak.
    """

    say: str | None = None
    play: Path | None = None
    keys: str | None = None
    barge_in_s: float | None = None

    @property
    def kind(self) -> str:
        """say, play or keys."""
        if self.say is not None:
            return "say"
        return "play" if self.play is not None else "keys"

    @property
    def shown(self) -> str:
        """What a person who watches the call reads."""
        if self.say is not None:
            return self.say
        return f"[{self.play.name}]" if self.play is not None else f"[keys {self.keys}]"
