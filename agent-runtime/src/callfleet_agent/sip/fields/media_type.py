"""Content-Type (RFC 3261 section 20.15)."""

from dataclasses import dataclass, field
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import Parameters, is_token


@dataclass(frozen=True, slots=True)
class MediaType:
    """``type/subtype;parameters``; type and subtype in lower case."""

    type: str
    subtype: str
    parameters: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, text: str) -> Self:
        essence, semicolon, parameters = text.partition(";")
        main, slash, sub = (part.strip().lower() for part in essence.partition("/"))
        if not slash or not is_token(main) or not is_token(sub):
            raise RemoteProtocolError("Malformed Content-Type")
        return cls(main, sub, Parameters.parse(semicolon + parameters))

    @property
    def essence(self) -> str:
        return f"{self.type}/{self.subtype}"

    def __str__(self) -> str:
        return f"{self.essence}{self.parameters}"
