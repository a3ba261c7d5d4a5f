"""Who said what, shown in the order in which it was said.

What we say is known at once, what we hear only after it was recognised: later lines wait for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable

Show = Callable[[str, str], None]


class Transcript:
    """Calls `show(who, text)` for each line, in order."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._lines: deque[tuple[str, str | asyncio.Future[str]]] = deque()

    def said(self, who: str, text: str) -> None:
        """A line that is known."""
        self._lines.append((who, text))
        self._flush()

    def heard(self, who: str, text: "asyncio.Future[str]") -> None:
        """A line that is being recognised; no words are shown as (speech)."""
        self._lines.append((who, text))
        text.add_done_callback(self._flush)

    def _flush(self, _: object = None) -> None:
        while self._lines:
            who, text = self._lines[0]
            if isinstance(text, str):
                self._show(who, text)
            elif not text.done():
                return
            elif not text.cancelled() and text.exception() is None:
                self._show(who, text.result() or "(speech)")
            self._lines.popleft()
