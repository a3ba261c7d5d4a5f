"""The conversation as text, with digits blanked, and bounded."""

import re

from callfleet_agent.dialog.spoken import DIGIT_WORDS
from callfleet_agent.dialog.state import Utterance

MAX_UTTERANCES = 80
MAX_TEXT = 400
BLANK = "(digits)"
_DIGIT = "(?:" + "|".join((*DIGIT_WORDS, "oh", "double", "triple", "[0-9]")) + ")"
_RUN = re.compile(rf"\b{_DIGIT}(?:[ ,.]*{_DIGIT})+\b", re.IGNORECASE)


def blanked(text: str) -> str:
    """The text with every run of two or more digits, spoken or written, taken out."""
    return _RUN.sub(BLANK, text)[:MAX_TEXT]


def added(history: tuple[Utterance, ...], speaker: str, text: str) -> tuple[Utterance, ...]:
    """The history with one more line; the oldest lines go when there are too many."""
    return (*history, Utterance(speaker, blanked(text)))[-MAX_UTTERANCES:]


def cut_short(history: tuple[Utterance, ...], heard: str) -> tuple[Utterance, ...]:
    """The history when the agent's last words were interrupted: only what was heard stays."""
    for index in range(len(history) - 1, -1, -1):
        if history[index].speaker == "agent":
            line = Utterance("agent", blanked(heard) + "…" if heard else "…")
            return (*history[:index], line, *history[index + 1 :])
    return history
