"""What a model may ask to be done, and how it is checked. A model does nothing by itself.

A request is written as `<name>` or `<name {"argument": "value"}>`. It is admitted when the tool is
offered where the conversation stands, and every argument is one that the tool has; an argument that
names a customer must name the one who was authenticated in this conversation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

import orjson

LONGEST_CALL: Final = 512
_CALL: Final = re.compile(
    r"\s*<\s*([A-Za-z][\w .-]{1,60}?)\s*(\{.*\})?\s*/?>\s*[.!]?\s*", re.DOTALL
)
_LOOKS_LIKE_ONE: Final = re.compile(
    r"[<>{}]|\btool_?calls?\b|\bfunction_?call\b|^\s*\[", re.IGNORECASE
)


class Argument(Enum):
    """What an argument may be."""

    CUSTOMER = auto()  # the authenticated customer of the session


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: the words that it puts to the dialog, as if the caller had said them."""

    says: str
    arguments: Mapping[str, Argument] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants done. `arguments` None: they are unreadable."""

    name: str
    arguments: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Admitted:
    """The tool may be used."""

    tool: Tool


@dataclass(frozen=True, slots=True)
class Refused:
    """The tool may not be used; `reason` is a constant word for metrics."""

    reason: str


def read_call(sentence: str) -> ToolCall | None:
    """The call that a sentence is; None for a sentence that is to be spoken. What looks like a call
    and is none has no arguments, and no name that any tool has."""
    if not _LOOKS_LIKE_ONE.search(sentence):
        return None
    found = _CALL.fullmatch(sentence) if len(sentence) <= LONGEST_CALL else None
    if found is None:
        return ToolCall("")
    return ToolCall(_plain(found[1]), _arguments(found[2]))


def admit(call: ToolCall, offered: Mapping[str, Tool], customer: str | None) -> Admitted | Refused:
    """Whether the call may be made in this state of the conversation, for this customer (None:
    nobody was authenticated)."""
    tool = offered.get(call.name)
    if tool is None:
        return Refused("unknown_tool")
    if call.arguments is None:
        return Refused("bad_arguments")
    for name, value in call.arguments.items():
        kind = tool.arguments.get(_plain(name))
        if kind is None:
            return Refused("unknown_argument")
        if customer is None:
            return Refused("not_authenticated")
        if value != customer:
            return Refused("other_customer")
    return Admitted(tool)


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_.-]+", name.lower())).strip()


def _arguments(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
