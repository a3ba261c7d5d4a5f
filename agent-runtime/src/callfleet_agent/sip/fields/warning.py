"""Warning (RFC 3261 section 20.43): why a session description was not acceptable."""

import re
from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import quote, unquote

_WARNING = re.compile(r"\s*([1-9][0-9]{2})\s+(\S+)\s+(\"(?:[^\"\\]|\\.)*\")\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the header field's name
    code: int
    agent: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _WARNING.fullmatch(text)
        if match is None:
            raise RemoteProtocolError("Malformed Warning")
        return cls(int(match[1]), match[2], unquote(match[3]))

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"
