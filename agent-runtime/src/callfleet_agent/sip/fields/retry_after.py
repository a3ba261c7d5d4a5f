"""Retry-After (RFC 3261 section 20.33): seconds, an optional comment, parameters."""

import re
from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import parse_number

_RETRY_AFTER = re.compile(r"\s*([0-9]+)\s*(?:\(.*\)\s*)?(;.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RetryAfter:
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _RETRY_AFTER.fullmatch(text)
        if match is None:
            raise RemoteProtocolError("Malformed Retry-After")
        return cls(parse_number(match[1], "Retry-After", 2**32 - 1))

    def __str__(self) -> str:
        return str(self.seconds)
