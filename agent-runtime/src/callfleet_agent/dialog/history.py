"""The conversation as text, with digits blanked, and bounded."""

import re
from dataclasses import replace

from callfleet_agent.dialog.dates import TEENS, TENS
from callfleet_agent.dialog.spoken import DIGIT_WORDS, MONTHS, ORDINALS
from callfleet_agent.dialog.state import Utterance

MAX_UTTERANCES = 80
MAX_TEXT = 400
BLANK = "(digits)"
_NUMBERS = (*TEENS, *TENS, "hundred", "thousand")
_DIGIT = "(?:" + "|".join((*_NUMBERS, *DIGIT_WORDS, "oh", "double", "triple", "[0-9]")) + ")"
_RUN = re.compile(rf"\b{_DIGIT}(?:[ ,.]*{_DIGIT})+\b", re.IGNORECASE)
_GAP = r"[ ,.-]*"
_NTH = "|".join(sorted(filter(None, ORDINALS), key=len, reverse=True)).replace("-", "[ -]")
_DAY = rf"(?:(?:the )?(?:{_NTH}|[0-9]{{1,2}}(?:st|nd|rd|th)?|{_DIGIT}(?:[ -]{_DIGIT})?))"
_MONTH = "(?:" + "|".join(filter(None, MONTHS)) + ")"
_YEAR = rf"(?:(?:{_DIGIT}|and)\b{_GAP})*{_DIGIT}"
_DAY_OF_YEAR = rf"(?:{_DAY}{_GAP}(?:of )?{_MONTH}|{_MONTH}{_GAP}{_DAY})"
_DATE = re.compile(rf"\b{_DAY_OF_YEAR}{_GAP}{_YEAR}\b", re.IGNORECASE)
_PART = re.compile(rf"\b{_DAY_OF_YEAR}\b", re.IGNORECASE)


def blanked(text: str, *, also_days: bool = False) -> str:
    """The text with every run of two or more digits, spoken or written, and every date with its
    year taken out; also those without a year on request: what callers say of themselves."""
    text = _DATE.sub(BLANK, text)
    text = _PART.sub(BLANK, text) if also_days else text
    return _RUN.sub(BLANK, text)[:MAX_TEXT]


def added(
    history: tuple[Utterance, ...], speaker: str, text: str, turn: int = 0
) -> tuple[Utterance, ...]:
    """The history with one more line; the oldest lines go when there are too many."""
    number = history[-1].number + 1 if history else 1
    text = blanked(text, also_days=speaker == "caller")
    return (*history, Utterance(speaker, text, number, turn))[-MAX_UTTERANCES:]


def cut_short(history: tuple[Utterance, ...], heard: str) -> tuple[Utterance, ...]:
    """The history when the agent's last words were interrupted: only what was heard stays."""
    for index in range(len(history) - 1, -1, -1):
        if history[index].speaker == "agent":
            private = BLANK in history[index].text
            text = blanked(heard, also_days=private) + "…" if heard else "…"
            line = replace(history[index], text=text, cut=True)
            return (*history[:index], line, *history[index + 1 :])
    return history
