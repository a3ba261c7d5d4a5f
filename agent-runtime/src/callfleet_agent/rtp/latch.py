"""Symmetric RTP: where the media really comes from, and who may not change that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Address = tuple[str, int]

LEARNING_S: Final = 3.0
SILENCE_S: Final = 1.0
REOFFER_S: Final = 5.0


@dataclass(slots=True)
class SourceLatch:
    """Latches on to the source of the first valid packet and then is strict.

    Another source is let in only
    - within 3 s of latching, when it is the address that was signalled;
    - after 1 s of silence of the latched one, when the host or the SSRC is the same (a NAT that
      chose another port or address);
    - as the first one within 5 s after a re-offer.
    """

    signalled: Address | None = None
    source: Address | None = None
    _ssrc: int = 0
    _since: float = 0.0
    _last: float = 0.0
    _reoffered: float | None = None

    def accepts(self, source: Address, ssrc: int, now: float) -> bool:
        """Whether a valid packet is the other party's; if so, follows it."""
        if source != self.source:
            if not self._may_change(source, ssrc, now):
                return False
            self.source, self._since = source, now
        self._ssrc, self._last, self._reoffered = ssrc, now, None
        return True

    def reoffer(self, signalled: Address | None, now: float) -> None:
        """A new session description: its first valid packet may come from anywhere."""
        self.signalled = signalled
        self._reoffered = now

    def _may_change(self, source: Address, ssrc: int, now: float) -> bool:
        if self.source is None:
            return True
        if self._reoffered is not None and now - self._reoffered <= REOFFER_S:
            return True
        if source == self.signalled and now - self._since <= LEARNING_S:
            return True
        silent = now - self._last >= SILENCE_S
        return silent and (source[0] == self.source[0] or ssrc == self._ssrc)
