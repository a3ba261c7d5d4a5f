"""The parts of RFC 3261 section 25.1 that many header fields share.

Everything here works on unfolded text: one string without line breaks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PARAMETER_VALUE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\[\]:]+")
_LABEL = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?)"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?|\[[0-9A-Fa-f:.]+\]")
_DIGITS = re.compile(r"[0-9]+")


def is_token(text: str) -> bool:
    return TOKEN.fullmatch(text) is not None


def check_token(text: str, what: str) -> str:
    if not is_token(text):
        raise RemoteProtocolError(f"Malformed {what}")
    return text


def check_host(text: str) -> str:
    """A host name, an IPv4 address or an IPv6 reference in brackets."""
    if not _HOST.fullmatch(text):
        raise RemoteProtocolError("Malformed host")
    return text


def parse_number(text: str, what: str, maximum: int) -> int:
    """A run of ASCII digits, at most ``maximum``; leading zeros are allowed (RFC 4475, 3.1.1.1)."""
    text = text.strip()
    if not _DIGITS.fullmatch(text) or len(text) > 32:
        raise RemoteProtocolError(f"Malformed {what}")
    value = int(text)
    if value > maximum:
        raise RemoteProtocolError(f"{what} out of range")
    return value


def parse_port(text: str) -> int:
    return parse_number(text, "port", 65535)


def split(text: str, separator: str) -> list[str]:
    """Split at ``separator`` where it stands outside quotes and angle brackets; parts stripped."""
    plain = '"' not in text and "<" not in text and ">" not in text
    parts = text.split(separator) if plain else _parts(text, separator)
    return [part.strip() for part in parts]


def _parts(text: str, separator: str) -> Iterator[str]:
    start = position = 0
    in_brackets = False
    while position < len(text):
        character = text[position]
        if character == '"' and not in_brackets:
            quoted = QUOTED_STRING.match(text, position)
            if quoted is None:
                raise RemoteProtocolError("Unterminated quoted string")
            position = quoted.end()
            continue
        if character in "<>":
            in_brackets = character == "<"
        elif character == separator and not in_brackets:
            yield text[start:position]
            start = position + 1
        position += 1
    yield text[start:]


def unquote(text: str) -> str:
    """The text of a quoted string; anything else is returned as it is."""
    if not QUOTED_STRING.fullmatch(text):
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Parameters:
    """The ``;name=value`` list behind a header field's value or inside a URI.

    Names compare without case; a parameter without ``=`` has the value None; values are kept as
    they came, quotes included.
    """

    items: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``;a=b ; c`` (a leading semicolon, or nothing at all)."""
        text = text.strip()
        if not text:
            return cls()
        empty, *parts = split(text, ";")
        if empty:
            raise RemoteProtocolError("Malformed parameter list")
        return cls(tuple(_parameter(part) for part in parts))

    def get(self, name: str, default: str | None = None) -> str | None:
        name = name.lower()
        return next((value for key, value in self.items if key.lower() == name), default)

    def __contains__(self, name: str) -> bool:
        return any(key.lower() == name.lower() for key, _ in self.items)

    def with_value(self, name: str, value: str | None) -> "Parameters":
        """A copy in which ``name`` has ``value``, in its old place or at the end."""
        if name not in self:
            return Parameters((*self.items, (name, value)))
        lower = name.lower()
        return Parameters(
            tuple((k, value if k.lower() == lower else v) for k, v in self.items),
        )

    def without(self, *names: str) -> "Parameters":
        gone = {name.lower() for name in names}
        return Parameters(tuple(item for item in self.items if item[0].lower() not in gone))

    def __str__(self) -> str:
        return "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.items)


def _parameter(part: str) -> tuple[str, str | None]:
    name, equals, value = part.partition("=")
    name = check_token(name.strip(), "parameter")
    if not equals:
        return name, None
    value = value.strip()
    if not (_PARAMETER_VALUE.fullmatch(value) or QUOTED_STRING.fullmatch(value)):
        raise RemoteProtocolError("Malformed parameter")
    return name, value
