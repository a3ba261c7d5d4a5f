"""From pieces of a model's answer to sentences that can be spoken; pure."""

import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 240
_END: Final = re.compile(r"[.!?]+[\"')\]]*(?=\s)|\n+")
_ENDED: Final = re.compile(r"[.!?][\"')\]]*\s*\Z")
_PAUSE: Final = re.compile(r"[,;:]\s|\s")
_MARKUP: Final = re.compile(r"[*_#`~|]+|^\s*[-•]\s+", re.MULTILINE)


@dataclass(slots=True)
class SentenceReader:
    """Text in, whole sentences out; one without an end is cut at a pause."""

    _rest: str = ""

    def feed(self, text: str) -> list[str]:
        """The sentences that this piece completes."""
        self._rest += text
        found: list[str] = []
        while (cut := self._cut()) is not None:
            found.append(self._rest[:cut])
            self._rest = self._rest[cut:]
        return [plain for sentence in found if (plain := spoken(sentence))]

    def flush(self) -> list[str]:
        """What is left, at the end of the answer."""
        rest, self._rest = spoken(self._rest), ""
        return [rest] if rest else []

    def flush_whole(self) -> list[str]:
        """What is left of an answer that may not go on: a sentence that is whole. Half a sentence
        may mean the opposite."""
        if not _ENDED.search(self._rest):
            self.drop()
        return self.flush()

    def drop(self) -> None:
        """The answer broke off: its last sentence is not whole."""
        self._rest = ""

    def _cut(self) -> int | None:
        if (end := _END.search(self._rest)) is not None:
            return end.end()
        if len(self._rest) <= LONGEST:
            return None
        pauses = [pause.end() for pause in _PAUSE.finditer(self._rest, 0, LONGEST)]
        return pauses[-1] if pauses else LONGEST


def spoken(text: str) -> str:
    """Without the markup that models like, on one line."""
    return " ".join(_MARKUP.sub(" ", text).split())


def alike(one: str, other: str) -> bool:
    """Whether two sentences have the same words."""
    return re.findall(r"\w+", one.lower()) == re.findall(r"\w+", other.lower())
