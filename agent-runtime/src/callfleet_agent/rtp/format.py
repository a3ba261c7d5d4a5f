"""A negotiated format: which payload type stands for which law."""

from __future__ import annotations

from dataclasses import dataclass

from callfleet_agent.audio.g711 import Law


@dataclass(frozen=True, slots=True)
class Format:
    """The static types are 0 for PCMU and 8 for PCMA (RFC 3551, 6)."""

    payload_type: int
    law: Law
