"""Fillers: what an agent says while the answer is worked out. They are no answer.

Only their words tell them from one, so that without recognition they count. An answer that follows
a filler soon is heard as one utterance with it: its speech begins after the filler's last word.
"""

from collections.abc import Sequence
from typing import Final

from callfleet_agent.app.phone.hearing import Heard
from callfleet_agent.app.sentences import words_of
from callfleet_agent.dialog import prompts

FILLERS: Final = (tuple(words_of(prompts.ONE_MOMENT).split()),)
EARLY_S: Final = 0.1  # a word's end as it is recognised may lie in the quiet after it


def answers_in(heard: Heard, onsets: Sequence[float], began_at: float) -> list[float]:
    """The onsets of an utterance that are of an answer. `began_at`: when its first sample came.

    Where an answer follows its filler without a pause it begins as the filler ends.
    """
    words = heard.text.split()
    fillers = _leading(words)
    if fillers == 0:
        return list(onsets)
    ended_at = began_at + heard.ends_s[fillers - 1]
    later = [onset for onset in onsets if onset > ended_at - EARLY_S]
    return later if later or fillers == len(words) else [ended_at]


def _leading(words: list[str]) -> int:
    """How many words at the beginning are of fillers."""
    count = 0
    while (found := _filler_at(words, count)) > 0:
        count += found
    return count


def _filler_at(words: list[str], start: int) -> int:
    matching = (len(each) for each in FILLERS if tuple(words[start : start + len(each)]) == each)
    return next(matching, 0)
