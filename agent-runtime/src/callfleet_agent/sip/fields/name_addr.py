"""Addresses: From, To, Contact, Route, Record-Route, P-Asserted-Identity (RFC 3261 20.10)."""

import re
from dataclasses import dataclass, field, replace
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import (
    QUOTED_STRING,
    Parameters,
    is_token,
    quote,
    unquote,
)
from callfleet_agent.sip.uri import Uri, parse_uri

_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class NameAddr:
    """``"Display name" <uri>;parameters``."""

    uri: Uri
    display_name: str | None = None
    parameters: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, text: str) -> Self:
        text = text.strip()
        display, rest = _split_display_name(text)
        if not rest.startswith("<"):
            return cls._parse_addr_spec(text)
        uri, closed, parameters = rest[1:].partition(">")
        if not closed:
            raise RemoteProtocolError("Malformed address")
        return cls(parse_uri(uri), display, Parameters.parse(parameters))

    @classmethod
    def _parse_addr_spec(cls, text: str) -> Self:
        """Without brackets everything behind a semicolon belongs to the field, not to the URI."""
        uri, semicolon, parameters = text.partition(";")
        uri = uri.rstrip()
        if "?" in uri or "," in uri:
            raise RemoteProtocolError("Address needs angle brackets")
        return cls(parse_uri(uri), None, Parameters.parse(semicolon + parameters))

    @property
    def tag(self) -> str | None:
        return self.parameters.get("tag")

    def with_tag(self, tag: str | None) -> "NameAddr":
        if tag is None:
            return replace(self, parameters=self.parameters.without("tag"))
        return replace(self, parameters=self.parameters.with_value("tag", tag))

    def __str__(self) -> str:
        display = "" if self.display_name is None else f"{quote(self.display_name)} "
        return f"{display}<{self.uri}>{self.parameters}"


def _split_display_name(text: str) -> tuple[str | None, str]:
    quoted = QUOTED_STRING.match(text)
    if quoted is not None:
        return unquote(quoted[0]), text[quoted.end() :].lstrip()
    if text.startswith('"'):
        raise RemoteProtocolError("Unterminated quoted string")
    before, bracket, rest = text.partition("<")
    words = _SPACES.sub(" ", before.strip())
    if bracket and words and not all(is_token(word) for word in words.split(" ")):
        raise RemoteProtocolError("Malformed display name")
    return words or None, bracket + rest
