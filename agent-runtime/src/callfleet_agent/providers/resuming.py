"""Where in a sentence another voice goes on, when the first one broke off; pure.

What was heard is known in seconds, not in words: from the voice's pace follows a letter, and to be
sure that nothing is left out the next voice goes back to where a clause begins before that. A word
twice is what a caller expects of somebody who was cut off; a word that is missing is not.
"""

import re
from dataclasses import dataclass
from typing import Final

USUAL_PACE_S: Final = 0.0675  # a character
LEAST_HEARD_S: Final = 1.0  # of less than that the whole sentence is said again
WITHOUT_CLAUSE_S: Final = 3.0  # of less than that a clause must begin where it goes on
SURE: Final = 0.8
BACK: Final = 4  # characters
_CLAUSE = re.compile(r"[,;:–—]\s+|\s(?=(?:and|or|but|because|which|that)\s)")
_WORD = re.compile(r"\s+")
_LEAST_PACE_S, _MOST_PACE_S = 0.03, 0.15


@dataclass(slots=True)
class Pace:
    """How long a voice takes for a character, of what it has said."""

    seconds: float = 0.0
    characters: int = 0

    def add(self, seconds: float, characters: int) -> None:
        """A whole sentence."""
        self.seconds += seconds
        self.characters += characters

    @property
    def each_s(self) -> float:
        if not self.characters:
            return USUAL_PACE_S
        return min(_MOST_PACE_S, max(_LEAST_PACE_S, self.seconds / self.characters))


def resumption(sentence: str, heard_s: float, pace_s: float) -> int:
    """The index of the character from which the sentence is said by another voice."""
    if heard_s < LEAST_HEARD_S:
        return 0
    sure = int(heard_s / pace_s * SURE) - BACK
    at = _last_start(_CLAUSE, sentence, sure)
    if at == 0 and heard_s >= WITHOUT_CLAUSE_S:
        at = _last_start(_WORD, sentence, sure)
    return at


def _last_start(boundary: re.Pattern[str], sentence: str, most: int) -> int:
    starts = (found.end() for found in boundary.finditer(sentence))
    return max((at for at in starts if at <= most and at < len(sentence)), default=0)
