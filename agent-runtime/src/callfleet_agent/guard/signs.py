"""The signs of an attack on a language model, from the tables of phrases."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from callfleet_agent.guard.alphabet import bare
from callfleet_agent.guard.phrases import (
    AUTHORITY,
    COERCE,
    HINTS,
    OTHERS,
    OVERRIDE,
    REVEAL,
    ROLE,
    TOOL,
)

GAP: Final = 40
_ALL: Final[Mapping[str, tuple[int, str]]] = {
    "override": (2, OVERRIDE), "reveal": (2, REVEAL), "role": (2, ROLE),
    "authority": (2, AUTHORITY), "tool": (2, TOOL), "others": (2, OTHERS), "coerce": (2, COERCE),
    "hint": (1, HINTS),
}  # fmt: skip


_HEAD: Final = re.compile(r"\w{1,2}")
_HAS_SPACES: Final = re.compile(r"[a-zа-яіїєґα-ωء-يı]")
_GAP_SIGN: Final = bare("…")


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A row, as it looks with and without spaces between words. `heads`: how its first word begins;
    `spaces`: whether it is of a script that has them."""

    sign: str
    weight: int
    heads: tuple[str, ...]
    spaces: bool
    spaced: re.Pattern[str]
    joined: re.Pattern[str]


def signs_in(text: str, *, joined: bool = False) -> dict[str, int]:
    """The signs in a text in small letters without accents, with their weights; `joined`: the text
    has lost the spaces between its words."""
    found: dict[str, int] = {}
    for phrase in _PHRASES if joined else _candidates(text):
        pattern = phrase.joined if joined else phrase.spaced
        if phrase.sign not in found and pattern.search(text):
            found[phrase.sign] = phrase.weight
    return {sign: found[sign] for sign in _ALL if sign in found}


def _candidates(text: str) -> Iterator[_Phrase]:
    """The phrases that can be in the text, by how its words begin: few of many."""
    for head in {word[:2] for word in re.findall(r"\w+", text)}:
        yield from _BY_HEAD.get(head, ())
    if not text.isascii():
        yield from _WITHOUT_SPACES


def _phrase(sign: str, weight: int, row: str) -> _Phrase:
    groups = [group.strip().split("|") for group in bare(row).split(_GAP_SIGN) if group.strip()]
    heads = tuple(dict.fromkeys(_head(words) for words in groups[0]))
    spaces = all(_HAS_SPACES.match(head) for head in heads)
    spaced, joined = _pattern(groups, joined=False), _pattern(groups, joined=True)
    return _Phrase(sign, weight, heads, spaces, spaced, joined)


def _head(words: str) -> str:
    found = _HEAD.match(words.strip())
    return "" if found is None else found[0].rstrip("_")


def _pattern(groups: list[list[str]], *, joined: bool) -> re.Pattern[str]:
    gap = rf".{{0,{GAP // 2 if joined else GAP}}}?"
    one = _joined if joined else _spaced
    return re.compile(gap.join("(?:" + "|".join(map(one, group)) + ")" for group in groups), re.S)


def _parts(words: str) -> list[str]:
    return [part for part in re.split(r"[\s-]+", words.strip().removesuffix("_")) if part]


def _joined(words: str) -> str:
    return "".join(map(re.escape, _parts(words)))


def _spaced(words: str) -> str:
    head = r"(?<!\w)" if _HAS_SPACES.match(words.strip()) else ""
    tail = r"(?!\w)" if words.strip().endswith("_") else ""
    return head + r"\W{1,3}".join(map(re.escape, _parts(words))) + tail


_PHRASES: Final = tuple(
    _phrase(name, weight, row)
    for name, (weight, rows) in _ALL.items()
    for row in rows.strip().splitlines()
)
_WITHOUT_SPACES: Final = tuple(phrase for phrase in _PHRASES if not phrase.spaces)
_BY_HEAD: Final[dict[str, list[_Phrase]]] = {}
for _one in _PHRASES:
    for _begins in _one.heads if _one.spaces else ():
        _BY_HEAD.setdefault(_begins, []).append(_one)
