"""As much of PromQL as the dashboard and the alerts use: a parser that refuses the rest."""

import re
from dataclasses import dataclass, field
from typing import Final

FUNCTIONS: Final = {"rate": True, "increase": True, "histogram_quantile": False}  # takes a range?
AGGREGATIONS: Final = {"sum", "min", "max", "avg", "count"}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<range>\[(?:\d+[smhd]|\$__rate_interval)\])"
    r"|(?P<name>[a-zA-Z_]\w*)|(?P<text>\"[^\"]*\")"
    r"|(?P<op>==|!=|>=|<=|=~|!~|[-+*/<>=(){},]))"
)


class PromQLError(ValueError):
    """It is no expression, or one that is not understood here."""


@dataclass(frozen=True)
class Selector:
    """A metric with the labels that its matchers name."""

    metric: str
    labels: frozenset[str]
    has_range: bool


@dataclass
class Expression:
    """What an expression uses. `grouped`: labels of by (…), with the metrics inside."""

    selectors: list[Selector] = field(default_factory=list)
    grouped: list[tuple[frozenset[str], tuple[str, ...]]] = field(default_factory=list)


def parse(text: str) -> Expression:
    """Raises PromQLError."""
    parser = _Parser(text)
    parser.expression()
    if parser.peek() != ("", ""):
        raise PromQLError(f"something is left: {parser.peek()[1]}")
    return parser.found


class _Parser:
    def __init__(self, text: str) -> None:
        self.found = Expression()
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            token = _TOKEN.match(text, at)
            if token is None or token.lastgroup is None:
                raise PromQLError(f"what is {text[at : at + 20]!r}?")
            self._tokens.append((token.lastgroup, token[token.lastgroup]))
            at = token.end()

    def peek(self) -> tuple[str, str]:
        return self._tokens[0] if self._tokens else ("", "")

    def take(self, *wanted: str) -> str:
        kind, text = self.peek()
        if not self._tokens or (wanted and text not in wanted and kind not in wanted):
            raise PromQLError(f"{wanted} is wanted, and not {text!r}")
        self._tokens.pop(0)
        return text

    def expression(self) -> None:
        self._operand()
        while self.peek()[1] in {"+", "-", "*", "/", ">", "<", ">=", "<=", "==", "!="}:
            self.take()
            self._operand()

    def _operand(self) -> None:
        kind, text = self.peek()
        if kind == "number":
            self.take()
        elif text == "(":
            self.take()
            self.expression()
            self.take(")")
        elif text in AGGREGATIONS:
            self._aggregation()
        elif text in FUNCTIONS:
            self._function()
        elif kind == "name":
            self._selector()
        else:
            raise PromQLError(f"an operand is wanted, and not {text!r}")

    def _aggregation(self) -> None:
        self.take()
        before = len(self.found.selectors)
        labels = self._by()
        self.take("(")
        self.expression()
        self.take(")")
        labels |= self._by()
        inside = tuple(one.metric for one in self.found.selectors[before:])
        self.found.grouped.append((labels, inside))

    def _by(self) -> frozenset[str]:
        if self.peek()[1] != "by":
            return frozenset()
        self.take()
        self.take("(")
        labels = {self.take("name")}
        while self.peek()[1] == ",":
            self.take()
            labels.add(self.take("name"))
        self.take(")")
        return frozenset(labels)

    def _function(self) -> None:
        name = self.take()
        self.take("(")
        if name == "histogram_quantile":
            if not 0 < float(self.take("number")) < 1:
                raise PromQLError("a quantile is between 0 and 1")
            self.take(",")
        before = len(self.found.selectors)
        self.expression()
        self.take(")")
        inside = self.found.selectors[before:]
        if FUNCTIONS[name] and not all(one.has_range for one in inside):
            raise PromQLError(f"{name} takes a range")
        if name == "histogram_quantile" and not any("le" in by for by, _ in self.found.grouped):
            raise PromQLError("a quantile needs le")

    def _selector(self) -> None:
        metric = self.take("name")
        labels = set()
        if self.peek()[1] == "{":
            self.take()
            while self.peek()[1] != "}":
                labels.add(self.take("name"))
                self.take("=", "!=", "=~", "!~")
                self.take("text")
                if self.peek()[1] != "}":
                    self.take(",")
            self.take("}")
        has_range = self.peek()[0] == "range"
        if has_range:
            self.take()
        self.found.selectors.append(Selector(metric, frozenset(labels), has_range))
