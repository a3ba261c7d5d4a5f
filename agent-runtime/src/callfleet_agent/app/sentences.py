"""The language in which the phone listens: every sentence that agents say, and decoys.

Decoys are sentences that no agent says but that sound as if one could ("your card was cancelled"),
so that what is recognised was chosen among likely others. A sentence counts only when all of it was
heard. More words in the decoys' places make recognition slower than speech, and short ones win
against the long words of real sentences.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from callfleet_agent.dialog import prompts
from callfleet_agent.dialog.dates import TEENS, TENS, DateOrder
from callfleet_agent.dialog.settings import DialogSettings, Method
from callfleet_agent.dialog.spoken import DIGIT_WORDS, date_to_words

STATUSES: Final[Mapping[str, str]] = {
    "ordered": "your card was ordered [ on <date> ] and has not been printed yet",
    "printed": "your card was printed [ on <date> ] and is waiting to be sent",
    "shipped": "your card was shipped [ on <date> ] [ with <carrier> ] "
    "[ and should reach you by <date> ]",
    "out_for_delivery": "your card is out for delivery [ with <carrier> ] and should arrive today",
    "delivered": "your card was delivered [ on <date> ] [ with <carrier> ]",
    "returned": "your card was returned to us [ on <date> ] because it could not be delivered",
    "lost": "i am sorry your card was lost [ with <carrier> ] we will send you a new one",
    "blocked": "your card is blocked please visit a branch to have it released",
}
_OTHER_WORDS: Final = """
    activated cancelled collected damaged declined destroyed different expired forgotten found
    lovely polished received renewed replaced returning stolen upgraded
"""
_DECOYS: Final = (
    "your card was <other>",
    "your card has been <other>",
    "your card was reported stolen",
    "your account is ( closed | blocked | open )",
    "( your | the ) ( parcel | order | letter ) was ( delivered | shipped | lost )",
    "your payment was received",
    "the weather is fine today",
    "i would like to pay a bill",
    "please call again tomorrow morning",
    "we could not find your card",
    "the delivery was late",
)
_CARRIERS: Final = "royal mail | post | express | courier | parcel force"
_TOKENS: Final = re.compile(r"<\w+>|[a-z']+|[()|\[\]+]")


def words_of(text: str) -> str:
    """A sentence as the recogniser writes it: lower case, no punctuation."""
    return " ".join(re.findall(r"[a-z']+", text.lower().replace("-", " ")))


@dataclass(frozen=True)
class Language:
    """The sentences of an agent of this bank. `known` says which words can be pronounced."""

    bank_name: str
    known: frozenset[str]

    @cached_property
    def rules(self) -> dict[str, str]:
        """The named parts of sentences."""
        dates = [date_to_words(f"2026-{month:02}-{day:02}") for month, day in _DAYS]
        months = dict.fromkeys(words_of(date or "").split()[0] for date in dates[:12])
        days = dict.fromkeys(" ".join(words_of(date or "").split()[2:]) for date in dates[12:])
        return {
            "digit": " | ".join(DIGIT_WORDS),
            "date": f"( {' | '.join(months)} ) the ( {' | '.join(days)} )",
            "year": _YEAR,
            "other": self._choice(_OTHER_WORDS),
            "carrier": _CARRIERS,
        }

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Everything an agent may say, as grammar."""
        fixed = [
            self._pronounceable(words_of(sentence))
            for settings in _kinds(self.bank_name)
            for sentence in prompts.fixed(settings)
        ]
        heard = ("i heard <digit>+", "i heard <date> <year>")
        return tuple(dict.fromkeys([*fixed, *heard, *STATUSES.values()]))

    @cached_property
    def grammar(self) -> str:
        """The language as JSGF."""
        rules = "".join(f"<{name}> = {rule};\n" for name, rule in self.rules.items())
        said, decoys = " | ".join(self.sentences), " | ".join(_DECOYS)
        return (
            f"#JSGF V1.0;\ngrammar agent;\n{rules}<said> = {said};\n<decoy> = {decoys};\n"
            "public <utterance> = <decoy> | <said> [ <said> [ <said> ] ];\n"
        )

    def complete(self, heard: str) -> str:
        """The whole sentences at the beginning of what was heard; empty for decoys."""
        found, rest = [], heard
        while (end := max(self._ends(rest), default=0)) > 0:
            found.append(rest[:end].strip())
            rest = rest[end:].lstrip()
        return " ".join(found)

    def _ends(self, text: str) -> Iterator[int]:
        for pattern in self._patterns:
            if (match := pattern.match(text)) is not None:
                yield match.end()

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(self._pattern(text) + r"(?= |$)") for text in self.sentences)

    def _pattern(self, expression: str) -> str:
        """A grammar's expression as a regular expression over words."""
        parts = []
        for token in _TOKENS.findall(expression):
            if token.startswith("<"):
                parts.append(f"(?:{self._pattern(self.rules[token[1:-1]])})")
            else:
                parts.append(_AS_PATTERN.get(token, rf"(?: |^|(?<= )){token}(?= |$)"))
        return "".join(parts)

    def _choice(self, words: str) -> str:
        return " | ".join(word for word in dict.fromkeys(words.split()) if word in self.known)

    def _pronounceable(self, text: str) -> str:
        return " ".join(word for word in text.split() if word in self.known)


def _kinds(bank_name: str) -> Iterator[DialogSettings]:
    """The dialogs that agents hold, as far as they say different things."""
    for method, digits in _PROOFS:
        yield DialogSettings(bank_name=bank_name, method=method, credential_digits=digits)
    for order in DateOrder:
        yield DialogSettings(bank_name=bank_name, method=Method.DATE_OF_BIRTH, date_order=order)


_PROOFS: Final = (
    (Method.CARD_LAST_FOUR, 4), (Method.PIN, 4), (Method.ONE_TIME_CODE, 4),
    (Method.ONE_TIME_CODE, 6),
)  # fmt: skip
_UNITS: Final = " | ".join(DIGIT_WORDS[1:])
_SMALL: Final = f"{' | '.join(TEENS)} | ( {' | '.join(TENS)} ) [ {_UNITS} ]"
_YEAR: Final = (
    f"( nineteen | twenty ) ( hundred | oh ( {_UNITS} ) | {_SMALL} ) | "
    f"two thousand [ and ( {_UNITS} ) ]"
)
_AS_PATTERN: Final = {"(": "(?:", ")": ")", "|": "|", "[": "(?:", "]": ")?", "+": "+"}
_DAYS: Final = [(month, 1) for month in range(1, 13)] + [(1, day) for day in range(1, 32)]


def status_in(text: str) -> str | None:
    """The card's status that a sentence tells, None if it tells none."""
    match = re.search(r"your card (?:was|is) (out for delivery|\w+)", text)
    if match is None:
        return None
    status = match[1].replace(" ", "_")
    return status if status in STATUSES else None
