"""CSeq (RFC 3261 section 20.16)."""

from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import check_token, parse_number

MAXIMUM = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CSeq:
    """A request's number within its dialog, and its method."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> Self:
        parts = text.split()
        if len(parts) != 2:
            raise RemoteProtocolError("Malformed CSeq")
        return cls(parse_number(parts[0], "CSeq", MAXIMUM), check_token(parts[1], "CSeq"))

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
