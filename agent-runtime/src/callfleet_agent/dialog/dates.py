"""Dates of birth as callers key and say them. A date is ISO 8601 text: '1980-02-29'."""

import re
from datetime import date
from enum import StrEnum
from typing import Final

from callfleet_agent.dialog.spoken import DIGIT_WORDS, MONTHS, ORDINALS, words_to_digits

DIGITS: Final = 8
EARLIEST: Final = date(1900, 1, 1)
LATEST: Final = date(2099, 12, 31)
TEENS: Final = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL: Final = {
    **{word: value for value, word in enumerate(DIGIT_WORDS) if value},
    **{word: value for value, word in enumerate(TEENS, start=10)},
    **{word: value * 10 for value, word in enumerate(TENS, start=2)},
}
_DAYS: Final = {text.replace("-", " "): day for day, text in enumerate(ORDINALS) if text}
_MONTHS: Final = {name.lower(): month for month, name in enumerate(MONTHS) if name}
_CENTURIES: Final = {"nineteen": 1900, "twenty": 2000}
_TOKEN: Final = re.compile(r"[a-z]+|[0-9]+")
_ENDINGS: Final = frozenset({"st", "nd", "rd", "th"})
_BESIDE: Final = frozenset(
    {"the", "of", "and", "i", "was", "born", "on", "it", "is", "my", "date", "birth", "birthday"}
)


class DateOrder(StrEnum):
    """What of a date is keyed first. The year in front is understood in either: no such date is
    one in another order."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


def keyed_date(digits: str, order: DateOrder, today: date | None = None) -> str | None:
    """'29021980' → '1980-02-29'; None for what is no date, or none that anybody was born on."""
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdecimal()):
        return None
    first, second, year = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    day, month = (first, second) if order is DateOrder.DAY_FIRST else (second, first)
    return _born(year, month, day, today) or _born(
        int(digits[:4]), int(digits[4:6]), int(digits[6:]), today
    )


def spoken_date(text: str, order: DateOrder, today: date | None = None) -> str | None:
    """'the twenty ninth of february nineteen eighty' → '1980-02-29', and so with the month in front
    or digit by digit; None as with `keyed_date`. A year has four digits."""
    tokens = [
        token
        for token in _TOKEN.findall(text.lower())
        if token not in _BESIDE and token not in _ENDINGS
    ]
    named = [index for index, token in enumerate(tokens) if token in _MONTHS]
    if not named:
        return keyed_date(words_to_digits(" ".join(tokens)) or "", order, today)
    at, month = named[0], _MONTHS[tokens[named[0]]]
    before, after = tokens[:at], tokens[at + 1 :]
    # "twenty two thousand": the twentieth of a month in 2000; "twenty two two thousand" is not.
    splits = [(before, after)] if before else [(after[:2], after[2:]), (after[:1], after[1:])]
    for words, rest in splits:
        day, year = _day(words), _year(rest)
        if day is not None and year is not None:
            return _born(year, month, day, today)
    return None


def has_month(text: str) -> bool:
    """Whether a month is named in it that is no other word as well."""
    named = set(_TOKEN.findall(text.lower())) & _MONTHS.keys()
    return bool(named - {"may", "march"})


def date_of_birth_to_words(iso: str) -> str:
    """'1980-02-29' → 'February the twenty-ninth, nineteen eighty'; for what is from this module."""
    day = date.fromisoformat(iso)
    return f"{MONTHS[day.month]} the {ORDINALS[day.day]}, {_year_to_words(day.year)}"


def _born(year: int, month: int, day: int, today: date | None) -> str | None:
    try:
        found = date(year, month, day)
    except ValueError:
        return None
    return found.isoformat() if EARLIEST <= found <= (today or LATEST) else None


def _day(words: list[str]) -> int | None:
    text = " ".join(words)
    return _DAYS.get(text) or _below_hundred(words)


def _year(words: list[str]) -> int | None:
    if len(words) > 1 and words[:2] == ["two", "thousand"]:
        small = _below_hundred(words[2:])
        return 2000 if len(words) == 2 else small and 2000 + small
    if words and words[0] in _CENTURIES:
        return _of_century(_CENTURIES[words[0]], words[1:])
    digits = words_to_digits(" ".join(words)) or ""
    return int(digits) if len(digits) == 4 else None


def _of_century(century: int, words: list[str]) -> int | None:
    if words[:1] == ["hundred"]:
        small = _below_hundred(words[1:])
        return century if len(words) == 1 else small and century + small
    if len(words) == 2 and words[0] in {"oh", "o", "zero"}:
        return century + _SMALL[words[1]] if words[1] in DIGIT_WORDS[1:] else None
    small = _below_hundred(words)
    return century + small if small is not None and small >= 10 else None


def _below_hundred(words: list[str]) -> int | None:
    """1 to 99, in words or digits."""
    if len(words) == 1:
        word = words[0]
        return int(word) if word.isdigit() and len(word) <= 2 else _SMALL.get(word)
    if len(words) == 2 and words[0] in TENS and words[1] in DIGIT_WORDS[1:]:
        return _SMALL[words[0]] + _SMALL[words[1]]
    return None


def _year_to_words(year: int) -> str:
    century, small = divmod(year, 100)
    if 2000 <= year < 2010:
        return f"two thousand and {DIGIT_WORDS[small]}" if small else "two thousand"
    head = "nineteen" if century == 19 else "twenty"
    if small == 0:
        return f"{head} hundred"
    if small < 10:
        return f"{head} oh {DIGIT_WORDS[small]}"
    if small < 20:
        return f"{head} {TEENS[small - 10]}"
    tens, unit = divmod(small, 10)
    return f"{head} {TENS[tens - 2]}" + (f" {DIGIT_WORDS[unit]}" if unit else "")
