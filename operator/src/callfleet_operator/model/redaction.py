"""What must not be in a log, whoever writes it, taken out of text and fields.

The last of several nets: messages are constant and fields hold no caller's data in the first place.
It looks for what is private by its form (numbers of seven digits and more however they are grouped,
digits in words, dates, tokens, passwords, addresses of people), and by the name of its field. Ids,
addresses of machines and moments are left as they are.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from logging import LogRecord
from typing import Any, Final

NUMBER: Final = "[number]"
DATE: Final = "[date]"
HIDDEN: Final = "[secret]"
PERSON: Final = "[person]"
_LEAST_DIGITS: Final = 7
_LONGEST: Final = 16_384  # of one text; the rest is cut off
_DEEPEST: Final = 4

_MONTHS: Final = (
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|fév|fev|avr|juin|juil|"
    "aoû|déc|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|out|maart|mei"
)
_DIGIT_WORDS: Final = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|"
    "null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|"
    "zéro|un|deux|trois|quatre|cinq|sept|huit|neuf|"
    "cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|"
    "due|tre|quattro|cinque|sei|sette|otto|nove|"
    "dois|três|quatro|sete|oito|um|"
    "nul|een|twee|drie|vijf|zes|zeven|negen|"
    "jeden|dwa|trzy|cztery|pięć|sześć|siedem|osiem|dziewięć|"
    "ноль|один|два|три|четыре|пять|шесть|семь|восемь|девять|"
    "sıfır|bir|iki|üç|dört|beş|altı|yedi|sekiz|dokuz"
)
_TENS: Final = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_TEENS: Final = "ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|hundred|thousand"
_ORDINALS: Final = (
    "first|second|third|fifth|eighth|ninth|twelfth|(?:four|six|seven|ten|eleven|thirteen|fourteen|"
    "fifteen|sixteen|seventeen|eighteen|nineteen|twentie|thirtie)th"
)
_ENGLISH_MONTHS: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
)
_COUNTED: Final = rf"(?:{_TENS}|{_TEENS}|one|two|three|four|five|six|seven|eight|nine|oh|zero)"
_SPOKEN_DAY: Final = rf"(?:(?:{_TENS})[\s-]+)?(?:{_ORDINALS}|{_COUNTED})"
_SPOKEN_YEAR: Final = (
    rf"(?:(?:nineteen|twenty|two\s+thousand)(?:[\s-]+(?:and\s+)?{_COUNTED}){{0,3}}|\d{{4}})"
)
_HIDDEN_WORDS: Final = "pass(?:word|wd)?|token|secret|api[_-]?key|authorization|cookie|signature"
_PROOF_WORDS: Final = (
    "pin|otp|tan|cvv|cvc|code|digits?|ending|card|karte|endziffern|ziffern|carte|chiffres|"
    "tarjeta|dígitos|clave|código|carta|cifre|cartão|senha|kaart|cijfers|karta|kod|карта|код|kart"
)
_KEPT: Final = re.compile(
    r"""(?xi)
    (?<![\w.-])(?:
      [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}      # a UUID
    | (?=[0-9]*[a-f])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{16})  # an id, a digest
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?  # a moment
    | (?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?::\d{1,5}|/\d\d?)?(?!\.?\d)
    )(?![\w-])"""
)
_JWT: Final = r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"
_TAKEN: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), taken)
    for pattern, taken in (
        (_JWT, HIDDEN),
        (r"(?s)-----BEGIN[^-]+-----.*?(?:-----END[^-]+-----|\Z)", HIDDEN),
        (r"\b(bearer|basic|digest)\s+[\w.~+/=-]{6,}", rf"\1 {HIDDEN}"),
        (rf"\b([\w-]*(?:{_HIDDEN_WORDS})[\w-]*\"?'?\s*[:=]\s*)[\"']?(?!\[secret\])"
         r"(?!(?:bearer|basic|digest)\b)[^\s\"',;&]+", rf"\1{HIDDEN}"),
        (r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", rf"\1{HIDDEN}@"),
        (r"\b(sips?:)[^\s@;>]+@", rf"\1{PERSON}@"),
        (r"\btel:[^\s;>,]+", f"tel:{PERSON}"),
        (r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+", PERSON),
        (rf"\b\d{{1,2}}\.?(?:st|nd|rd|th)?[\s-]+(?:de\s+|of\s+)?(?:{_MONTHS})\w*\.?,?[\s-]+"
         r"(?:de\s+)?\d{2,4}\b", DATE),
        (rf"\b(?:{_MONTHS})\w*\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}\b", DATE),
        (rf"\b(?:the\s+)?{_SPOKEN_DAY}\s+(?:of\s+)?(?:{_ENGLISH_MONTHS}),?\s+{_SPOKEN_YEAR}\b",
         DATE),
        (rf"\b(?:{_ENGLISH_MONTHS})\s+(?:the\s+)?{_SPOKEN_DAY},?\s+{_SPOKEN_YEAR}\b", DATE),
        (r"\d{2,4}\s*[年년]\s*\d{1,2}\s*[月월]\s*\d{1,2}\s*[日일]", DATE),
        (r"(?<![\d./-])(?:\d{4}|\d{1,2})([./-])\d{1,2}\1(?:\d{4}|\d{1,2})(?![./-]?\d)", DATE),
        (rf"\b(?:{_DIGIT_WORDS})(?:[\s,-]+(?:{_DIGIT_WORDS})\b){{2,}}", NUMBER),
        (rf"\b((?:{_PROOF_WORDS})\b[^\d\n]{{0,16}})\d(?:[\s-]?\d){{2,}}", rf"\1{NUMBER}"),
    )
)  # fmt: skip
_GROUPED: Final = re.compile(r"\+?\(?\d(?:[\s().\-/\u2010-\u2015\u00a0]{0,3}\d)+")
_WORD: Final = re.compile(r"[A-Za-z_]{0,40}")  # most fields: nothing private is one such word
_PRIVATE_FIELD: Final = re.compile(
    rf"(?i)(?:^|_)(?:{_HIDDEN_WORDS}|credential|pin|otp|digits?|phone|msisdn|caller|caller_id|"
    r"customer|customer_id|customer_number|account|iban|card_number|birth|dob|birth_date|"
    r"display_name|transcript|utterance|said|dialed|from_user|email)(?:$|_(?:text|value|number))"
)
_MEASURE: Final = re.compile(r"(?:_(?:ms|us|ns|s|bytes|at|total|count|pid|position)|^bytes)$")


def redacted(text: str) -> str:
    """The text without what is private in it."""
    if _WORD.fullmatch(text):
        return text
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    kept: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\x00{chr(0xE000 + len(kept) - 1)}\x00"

    text = _KEPT.sub(put_aside, text.replace("\x00", "")) if len(text) >= _LEAST_DIGITS else text
    for pattern, taken in _TAKEN:
        text = pattern.sub(taken, text)
    text = _GROUPED.sub(_number, text)
    return _back(text, kept)


_redacted_once = lru_cache(maxsize=512)(redacted)


def message_of(record: LogRecord) -> str:
    """A log line's message. One without arguments is constant text, and is looked at once."""
    if not record.args:
        return _redacted_once(str(record.msg))
    return redacted(record.getMessage())


def redacted_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A log line's own fields without what is private in them."""
    return {name: _value(name, value, 0) for name, value in fields.items()}


def _number(found: re.Match[str]) -> str:
    return NUMBER if sum(map(str.isdigit, found[0])) >= _LEAST_DIGITS else found[0]


def _back(text: str, kept: list[str]) -> str:
    for number, whole in enumerate(kept):
        text = text.replace(f"\x00{chr(0xE000 + number)}\x00", whole)
    return text


def _value(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _PRIVATE_FIELD.search(name):
        return HIDDEN
    if isinstance(value, int | float):
        return NUMBER if _is_long(value) and not _MEASURE.search(name) else value
    return _inside(name, value, depth)


def _inside(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _value(str(key), inner, depth + 1) for key, inner in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_value(name, inner, depth + 1) for inner in value]
    return redacted(str(value))


def _is_long(value: float) -> bool:
    return isinstance(value, int) and abs(value) >= 10**_LEAST_DIGITS
