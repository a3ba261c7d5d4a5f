"""Via (RFC 3261 section 20.42, RFC 3581)."""

import re
from dataclasses import dataclass, field
from typing import Self

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import Parameters, check_host, parse_port

_VIA = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+"
    r"(\[[^\]]*\]|[^\s:;,]+)\s*(?::\s*([0-9]+)\s*)?\s*(;.*)?",
    re.IGNORECASE | re.DOTALL,
)
MAGIC_COOKIE = "z9hG4bK"


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of the way that a response goes back."""

    transport: str
    host: str
    port: int | None = None
    parameters: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _VIA.fullmatch(text.strip())
        if match is None:
            raise RemoteProtocolError("Malformed Via")
        transport, host, port, parameters = match.groups()
        return cls(
            transport=transport.upper(),
            host=check_host(host),
            port=None if port is None else parse_port(port),
            parameters=Parameters.parse(parameters or ""),
        )

    @property
    def branch(self) -> str | None:
        return self.parameters.get("branch")

    @property
    def has_cookie(self) -> bool:
        """Is the branch a transaction identifier by RFC 3261 (17.2.3)?"""
        branch = self.branch or ""
        return branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE)

    @property
    def sent_by(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def seen_from(self, host: str, port: int) -> "Via":
        """The Via as its receiver writes it down; a ``received`` of the sender's is lost."""
        parameters = self.parameters.without("received")
        if "rport" in parameters:
            parameters = parameters.with_value("rport", str(port)).with_value("received", host)
        elif self.host.strip("[]").lower() != host.lower():
            parameters = parameters.with_value("received", host)
        return Via(self.transport, self.host, self.port, parameters)

    def response_address(self) -> tuple[str, int]:
        """Where a response goes over an unreliable transport (RFC 3261 18.2.2, RFC 3581 4)."""
        default = 5061 if self.transport == "TLS" else 5060
        port = self.port if self.port is not None else default
        if maddr := self.parameters.get("maddr"):
            return maddr.strip("[]"), port
        rport = self.parameters.get("rport")
        received = self.parameters.get("received")
        if received is None:
            return self.host.strip("[]"), port
        return received.strip("[]"), parse_port(rport) if rport else port

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{self.parameters}"
