"""Collects the keys that a caller presses: pure, its time is counted in ticks."""

from dataclasses import dataclass


@dataclass(slots=True)
class KeyCollector:
    """`#` ends early, `*` is an answer of its own, `digits` keys are complete, and so is what was
    pressed when no key follows for `inter_digit_ticks`."""

    digits: int
    inter_digit_ticks: int
    _pressed: str = ""
    _quiet: int = 0

    @property
    def started(self) -> bool:
        """Whether keys wait for more."""
        return bool(self._pressed)

    def press(self, key: str) -> str | None:
        """The complete input, if this key completes it. A # alone and A to D are nothing."""
        self._quiet = 0
        if key == "*":
            return self._taken("*")
        if key == "#":
            return self._taken(self._pressed) if self._pressed else None
        if not key.isdigit():
            return None
        self._pressed += key
        return self._taken(self._pressed) if len(self._pressed) >= self.digits else None

    def tick(self) -> str | None:
        """The incomplete input, when the caller has stopped."""
        if not self._pressed:
            return None
        self._quiet += 1
        return self._taken(self._pressed) if self._quiet >= self.inter_digit_ticks else None

    def _taken(self, keys: str) -> str:
        self._pressed, self._quiet = "", 0
        return keys
