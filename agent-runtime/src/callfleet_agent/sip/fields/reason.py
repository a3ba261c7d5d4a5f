"""Reason (RFC 3326): why a request, mostly BYE or CANCEL, was sent."""

from dataclasses import dataclass
from typing import Self

from callfleet_agent.sip.grammar import Parameters, check_token, parse_number, quote, unquote


@dataclass(frozen=True, slots=True)
class Reason:
    """``protocol;cause=200;text="..."``."""

    protocol: str
    cause: int | None = None
    text: str | None = None

    @classmethod
    def parse(cls, value: str) -> Self:
        protocol, semicolon, rest = value.partition(";")
        parameters = Parameters.parse(semicolon + rest)
        cause, text = parameters.get("cause"), parameters.get("text")
        return cls(
            check_token(protocol.strip(), "Reason"),
            None if cause is None else parse_number(cause, "Reason", 999),
            None if text is None else unquote(text),
        )

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = "" if self.text is None else f";text={quote(self.text)}"
        return f"{self.protocol}{cause}{text}"
