"""Numbers and dates as a person would say them, and back."""

import re
from datetime import date
from typing import Final

from callfleet_agent.guard import clean, inspect

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_VALUES = {word: str(value) for value, word in enumerate(DIGIT_WORDS)} | {"oh": "0", "o": "0"}
_MULTIPLES = {"double": 2, "triple": 3}
_TENTHS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_TEENTHS = (
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth",
    "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
ORDINALS = (
    *_TENTHS, *_TEENTHS,
    "twentieth", *(f"twenty-{tenth}" for tenth in _TENTHS[1:]),
    "thirtieth", "thirty-first",
)  # fmt: skip
MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

_LONGEST_CARRIER: Final = 32
_MOST_CARRIER_WORDS: Final = 4


def digits_to_words(digits: str) -> str:
    """'200417' → 'two zero zero, four one seven': in threes, four digits in one go."""
    size = 4 if len(digits) == 4 else 3
    groups = [digits[start : start + size] for start in range(0, len(digits), size)]
    return ", ".join(" ".join(DIGIT_WORDS[int(digit)] for digit in group) for group in groups)


def words_to_digits(text: str) -> str | None:
    """'two double oh' → '200'; None when there is anything in it that is no digit."""
    found: list[str] = []
    repeat = 1
    for word in re.findall(r"[a-z]+|[0-9]", text.lower()):
        if word in _MULTIPLES:
            repeat = _MULTIPLES[word]
            continue
        digit = word if word.isdigit() else _VALUES.get(word)
        if digit is None:
            return None
        found.append(digit * repeat)
        repeat = 1
    return "".join(found) if found and repeat == 1 else None


def date_to_words(iso: str | None) -> str | None:
    """'2026-11-20' → 'November the twentieth'; None for what is no date."""
    try:
        day = date.fromisoformat(iso[:10]) if iso else None
    except ValueError:
        return None
    return f"{MONTHS[day.month]} the {ORDINALS[day.day]}" if day else None


def name_to_words(name: str | None) -> str | None:
    """A carrier's or bank's name with nothing in it that a synthesiser could take as a command."""
    if name is None:
        return None
    kept = re.sub(r"[^\w .,'&-]|_", " ", name)
    return " ".join(kept.split())[:64] or None


def carrier_to_words(name: str | None) -> str | None:
    """A carrier's name from the bank's records; None for what is no such name. A record that says
    more than a name is not read out: it may be a message to the caller, or to a language model."""
    said = clean(name or "")
    plain = name_to_words(said.text)
    if plain is None or len(plain) > _LONGEST_CARRIER or len(plain.split()) > _MOST_CARRIER_WORDS:
        return None
    if plain != said.text or said.invisible or len(re.findall(r"\d", plain)) > 1:
        return None
    return None if re.search(r"[.,] \w", plain) or inspect(said).signs else plain
