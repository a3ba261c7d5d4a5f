"""JSGF grammars (Java Speech Grammar Format 1.0) as checked values.

A grammar is named rules over lower-case words; the expressions are built by the functions of this
module, so that nothing but words, alternatives, sequences, options and repetitions can be in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from callfleet_agent.dialog.errors import GrammarError

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(r"<([a-z][a-z0-9_]*)>|([a-z]+(?:'[a-z]+)?)")


def phrase(text: str) -> str:
    """Words in this order; `text` is lower-case words with single spaces."""
    words = text.split(" ")
    for word in words:
        if not _WORD.fullmatch(word):
            raise GrammarError(f"not a word of a grammar: {word!r}")
    return " ".join(words)


def reference(name: str) -> str:
    """Whatever the rule of this name says."""
    if not _NAME.fullmatch(name):
        raise GrammarError(f"not the name of a rule: {name!r}")
    return f"<{name}>"


def one_of(*items: str) -> str:
    """Any one of the items."""
    if not items:
        raise GrammarError("a choice needs at least one item")
    return "( " + " | ".join(items) + " )"


def sequence(*items: str) -> str:
    """All of the items, one after the other."""
    if not items:
        raise GrammarError("a sequence needs at least one item")
    return " ".join(items)


def optional(item: str) -> str:
    """The item or nothing."""
    return f"[ {item} ]"


def times(item: str, count: int) -> str:
    """The item exactly `count` times."""
    if count < 1:
        raise GrammarError("a repetition needs at least one time")
    return " ".join([item] * count)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A JSGF grammar: `rules` by name, `root` being what an utterance may be."""

    name: str
    root: str
    rules: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, rules: Mapping[str, str], *, root: str) -> "Grammar":
        """A grammar whose every reference leads somewhere; raises GrammarError."""
        reference(name)
        if root not in rules:
            raise GrammarError(f"grammar {name}: no rule {root!r}")
        for rule, expression in rules.items():
            reference(rule)
            for match in _TOKEN.finditer(expression):
                if match[1] is not None and match[1] not in rules:
                    raise GrammarError(f"grammar {name}: rule {rule!r} names {match[1]!r}")
        return cls(name, root, tuple(rules.items()))

    @property
    def words(self) -> frozenset[str]:
        """Every word that can be heard with this grammar."""
        found: set[str] = set()
        for _, expression in self.rules:
            found.update(match[2] for match in _TOKEN.finditer(expression) if match[2])
        return frozenset(found)

    def body(self) -> str:
        """The rules without header and public rule, for an engine that adds rules of its own."""
        return "\n".join(f"<{name}> = {expression};" for name, expression in self.rules)

    def jsgf(self) -> str:
        """The grammar's text."""
        return (
            f"#JSGF V1.0;\ngrammar {self.name};\n"
            f"public <utterance> = <{self.root}>;\n{self.body()}\n"
        )
