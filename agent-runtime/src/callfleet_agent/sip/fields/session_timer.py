"""Session-Expires and Min-SE (RFC 4028 sections 4 and 5)."""

from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import Parameters, parse_number

MAXIMUM_S = 2**32 - 1


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """How long the session lives without a refresh, and who refreshes: ``uac``, ``uas`` or open."""

    seconds: int
    refresher: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        seconds, semicolon, rest = text.partition(";")
        refresher = Parameters.parse(semicolon + rest).get("refresher")
        if refresher is not None and refresher.lower() not in ("uac", "uas"):
            raise RemoteProtocolError("Malformed Session-Expires")
        number = parse_number(seconds, "Session-Expires", MAXIMUM_S)
        return cls(number, refresher.lower() if refresher else None)

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else f"{self.seconds}"


def parse_min_se(text: str) -> int:
    """Min-SE's seconds."""
    return parse_number(text.partition(";")[0], "Min-SE", MAXIMUM_S)
