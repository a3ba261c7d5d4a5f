"""Whether a text looks like an attack on a language model: a guess, to be wrong either way."""

import re
from dataclasses import dataclass
from typing import Final

from callfleet_agent.guard.alphabet import bare, mixes_scripts
from callfleet_agent.guard.signs import signs_in
from callfleet_agent.guard.text import Cleaned
from callfleet_agent.guard.views import views

HELD_FROM: Final = 2
_JOINED: Final = frozenset({"spelled", "coded", "morse", "tapped", "leet", "bits", "hex", "base64"})
_PLAIN: Final = frozenset({"folded", "leet"})  # people write and say these without an intention
_TOKENS: Final = re.compile(
    r"<\|[a-z_]+\|>|\[/?(?:INST|SYS|TOOL_CALLS)\]|<</?SYS>>|</?s>|<start_of_turn>|"
    r"</?(?:system|user|assistant|tool|tool_call|function|data|caller\w*|instructions?)\b[^>]*>|"
    r"^\W*(?:system|assistant|developer|user|human|tool)\s*:|"
    r"[\n.!?;\"'}\]]\s*(?:system|assistant|developer|tool|AI)\s*:|"
    r"#{2,}\s*\w+|```|\{\s*\"|\"\s*:\s*[\"{\[]|-{3,}\s*(?:end|begin|system|new)\b|\{\{|\$\{|"
    r"\b[a-z]+_?\w*\(\s*\w+\s*=|\b[a-z]+_[a-z_]+\(",
    re.IGNORECASE,
)
_NAMES_ANOTHER: Final = re.compile(
    r"\b(?:for|as|of|to|with|customer_id|switch|i am|account)\W{1,4}(?:the )?"
    r"(?:customer|client|user|account)?(?: number| id)?\W{0,4}"
    r"(?:[a-z]{1,3}-?\d{3,}|c-[a-z0-9-]{3,})|customer_?id\W{0,4}\w"
)
_ADDRESS: Final = re.compile(r"https?:|www\.|\b[\w.-]+\.(?:com|net|org|io|ru|xyz|info|biz|evil)\b")


@dataclass(frozen=True, slots=True)
class Inspection:
    """The kinds of signs that were found, in their order; `held`: it is not shown to a model."""

    signs: tuple[str, ...] = ()
    score: int = 0

    @property
    def held(self) -> bool:
        """Whether it is taken for an attack."""
        return self.score >= HELD_FROM


def inspect(said: Cleaned, raw: str = "") -> Inspection:
    """The signs in a cleaned text; `raw` is what it was made from, for signs that cleaning ends."""
    plain = bare(said.text)
    found = signs_in(plain)
    for name, text in views(said.text):
        decoded = signs_in(text)
        if name in _JOINED:
            decoded |= signs_in(text, joined=True)
        fresh = {sign: weight for sign, weight in decoded.items() if sign not in found}
        found |= fresh
        if fresh and name not in _PLAIN:
            found["encoded"] = 1
    if said.hidden:
        found |= {**signs_in(bare(said.hidden)), "hidden": 2}
    found |= _marks(said, raw or said.text, plain)
    return Inspection(tuple(found), sum(found.values()))


def _marks(said: Cleaned, raw: str, plain: str) -> dict[str, int]:
    found = {}
    if _TOKENS.search(raw):
        found["tokens"] = 2
    if _NAMES_ANOTHER.search(plain):
        found["names_another"] = 2
    if _ADDRESS.search(plain):
        found["address"] = 1
    if said.invisible:
        found["invisible"] = 1
    if mixes_scripts(said.text):
        found["lookalikes"] = 1
    return found
