"""What of a model's answer may be spoken.

A model makes conversation; every fact of a customer, every number, address and promise is the
dialog's to say. So whatever looks like one is not spoken, wherever the model has it from: what it
was shown holds none, and what it makes up is wrong. The first sentence that may not be spoken ends
the answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from callfleet_agent.guard.alphabet import bare
from callfleet_agent.guard.languages import is_in
from callfleet_agent.guard.unsaid import (
    ABOUT_ITSELF,
    ADDRESSES,
    CLAIMS,
    CREDENTIALS,
    CURRENCIES,
    DEALINGS,
    NUMBER_WORDS,
    OTHERS,
)
from callfleet_agent.guard.views import views

LONGEST_SENTENCE: Final = 240
LONGEST_ANSWER: Final = 700
LONGEST_WORD: Final = 24
SHARED_WORDS: Final = 6
MOST_DIGITS: Final = 1
MOST_NUMBER_WORDS: Final = 1
_SPEAKABLE: Final = re.compile(r"[^\W_]|[\s.,;:!?'’\"“”„«»‹›()¿¡…–—-]")
_MIXED: Final = re.compile(r"(?<!\w)(?=\w*[^\W\d_])(?=\w*\d)\w+|[a-z]\w*[A-Z]|(?<!\w)[A-Z]{6,}")
_LONE_LETTERS: Final = re.compile(r"(?<!\w)(?:[^\W\d_][\s.,…–—-]+){3,}[^\W\d_](?!\w)")
_NAME: Final = re.compile(r"(?<=[^\W\d_,;] )[A-ZÀ-ÞА-Я][^\W\d_]+")
_NOUNS_ARE_CAPITAL: Final = frozenset({"de"})
_NUMBER_WORD: Final = re.compile(rf"(?<!\w)(?:{'|'.join(NUMBER_WORDS)})(?!\w)")


@dataclass(frozen=True, slots=True)
class Speakable:
    """The rules of one answer. `instructions`: what the model was told, which nobody is to hear;
    `names`: capital words that may be said, such as the bank's."""

    language: str
    instructions: str = field(default="", repr=False)
    names: frozenset[str] = frozenset()


class AnswerFilter:
    """One answer, sentence by sentence; what was spoken of it counts for what follows."""

    def __init__(self, rules: Speakable) -> None:
        self.rules = rules
        self._told = _shingles(rules.instructions)
        self._names = frozenset(
            bare(word) for name in rules.names for word in re.findall(r"\w+", name)
        )
        self._spoken = ""
        self.sentence = ""
        self.whole = ""

    def reason(self, sentence: str) -> str | None:
        """Why the sentence may not be spoken, as a constant word; None: it may, and was."""
        self.sentence = sentence
        self.whole = f"{self._spoken} {sentence}".strip()
        for check in _CHECKS:
            if (reason := check(self)) is not None:
                return reason
        self._spoken = self.whole
        return None

    def too_long(self) -> str | None:
        """Nobody listens to a lecture."""
        long = len(self.sentence) > LONGEST_SENTENCE or len(self.whole) > LONGEST_ANSWER
        return "too_long" if long else None

    def unspeakable(self) -> str | None:
        """Markup, code, addresses of all kinds and letters one by one are not said."""
        if not all(_SPEAKABLE.fullmatch(sign) for sign in self.sentence):
            return "unspeakable"
        longest = max((len(word) for word in re.findall(r"\w+", self.sentence)), default=0)
        if longest > LONGEST_WORD or _MIXED.search(self.sentence):
            return "unspeakable"
        return "spelled" if _LONE_LETTERS.search(self.whole) else None

    def numbers(self) -> str | None:
        """Neither written nor in words: numbers are the bank's to give."""
        text = bare(self.whole)
        if len(re.findall(r"\d", text)) > MOST_DIGITS or any(
            sign.isnumeric() and not sign.isdecimal() for sign in self.sentence
        ):
            return "number"
        many = len(_NUMBER_WORD.findall(text)) > MOST_NUMBER_WORDS
        return "number" if many or CURRENCIES.search(text) else None

    def addresses(self) -> str | None:
        """Where to go, to write or to call is not a model's to say."""
        return "address" if ADDRESSES.search(bare(self.whole)) else None

    def dealings(self) -> str | None:
        """Nothing is said of accounts and their owners, of credentials, of what was done."""
        # Also over the ends of sentences: a word a sentence would say it all.
        whole = re.sub(r"[.!?…]+", " ", self.whole)
        texts = (bare(self.sentence), bare(" ".join(whole.split())), *_readings(self.whole))
        for reason, pattern in (
            ("credential", CREDENTIALS), ("claim", CLAIMS), ("dealing", DEALINGS),
            ("somebody_else", OTHERS), ("itself", ABOUT_ITSELF),
        ):  # fmt: skip
            if any(map(pattern.search, texts)):
                return reason
        return None

    def named(self) -> str | None:
        """A capital letter inside a sentence is somebody's name."""
        if self.rules.language in _NOUNS_ARE_CAPITAL:
            return None
        found = {bare(name) for name in _NAME.findall(self.sentence)}
        return "name" if found - self._names - {"i"} else None

    def instructions(self) -> str | None:
        """What the model was told is not repeated, nor turned round, nor encoded."""
        texts = (self.whole, *_readings(self.whole))
        return "instructions" if any(self._told & _shingles(text) for text in texts) else None

    def foreign(self) -> str | None:
        """The answer is in the caller's language, and in its letters."""
        return None if is_in(self.sentence, self.rules.language) else "language"


_CHECKS: Final[tuple[Callable[[AnswerFilter], str | None], ...]] = (
    AnswerFilter.too_long,
    AnswerFilter.unspeakable,
    AnswerFilter.numbers,
    AnswerFilter.addresses,
    AnswerFilter.dealings,
    AnswerFilter.named,
    AnswerFilter.instructions,
    AnswerFilter.foreign,
)


def _readings(text: str) -> tuple[str, ...]:
    return tuple(found for _, found in views(text))


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", bare(text))
    return frozenset(
        tuple(words[at : at + SHARED_WORDS]) for at in range(len(words) - SHARED_WORDS + 1)
    )
