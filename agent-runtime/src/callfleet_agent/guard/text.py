"""Text of others as plain data: one form for each letter, nothing invisible, nothing unreadable.

Normal form is Unicode's NFKC (UAX 15); what is invisible is listed in UTS 39 and UTR 36.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 400
LONGEST_WORD: Final = 32
UNREADABLE: Final = "(unreadable)"
_TAG_BLOCK: Final = range(0xE0020, 0xE007F)
_MOST_MARKS: Final = 2
_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")
_JOINERS: Final = frozenset("\u200c\u200d")  # Persian and the Indic scripts write with them
_NEEDS_JOINERS: Final = re.compile(r"[\u0600-\u06ff\u0900-\u0dff]")
_MARKUP: Final = re.compile(r"[<>{}\[\]|`\\^~=_*#$@%&/]+")
_SPACE: Final = re.compile(r"\s+")
_CODE: Final = re.compile(rf"[^\s]*[0-9A-Za-z+/=]{{{LONGEST_WORD},}}[^\s]*")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text in normal form. `invisible`: letters that nobody sees were taken out of it; `hidden`:
    what some of them spelled (the tag characters of Unicode mirror ASCII)."""

    text: str
    invisible: bool = False
    hidden: str = ""


def clean(text: str) -> Cleaned:
    """The text in normal form, on one line; of too long a text the beginning."""
    text = text[: LONGEST * 8]
    hidden = "".join(chr(ord(sign) - 0xE0000) for sign in text if ord(sign) in _TAG_BLOCK)
    joined = bool(_NEEDS_JOINERS.search(text))
    seen, invisible = _seen(text, joined=joined)
    # Compatibility forms may have spelled what is invisible, and marks are in order only then.
    seen, more = _seen(unicodedata.normalize("NFKC", seen), joined=joined)
    return Cleaned(_SPACE.sub(" ", seen).strip()[: LONGEST * 4], invisible or more, hidden)


def _seen(text: str, *, joined: bool) -> tuple[str, bool]:
    kept: list[str] = []
    invisible, marks = False, 0
    for sign in text:
        category = unicodedata.category(sign)
        if sign in _FILLERS or category in {"Cf", "Co", "Cs", "Cn"} or _varies(sign):
            if joined and sign in _JOINERS:
                continue
            invisible = True
        elif category == "Cc":
            kept.append(" ")
            invisible = invisible or not sign.isspace()
        else:
            marks = marks + 1 if category == "Mn" else 0
            if marks <= _MOST_MARKS:
                kept.append(sign)
    return "".join(kept), invisible


def _varies(sign: str) -> bool:
    """Variation selectors, which hide bytes behind a letter."""
    return "\ufe00" <= sign <= "\ufe0f" or "\U000e0100" <= sign <= "\U000e01ef"


def data_of(text: str) -> str:
    """What a model may be shown of a cleaned text: words. Markup, and runs of letters and digits
    that are no word of any language, are taken out."""
    words = _CODE.sub(UNREADABLE, text)
    return _SPACE.sub(" ", _MARKUP.sub(" ", words)).strip()[:LONGEST]
