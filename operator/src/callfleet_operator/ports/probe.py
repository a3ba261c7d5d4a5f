"""Whether an external engine answers."""

from dataclasses import dataclass
from typing import Protocol

from callfleet_operator.model import ProviderPool


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """`message` is a sentence for people; it never quotes an answer or a key."""

    ok: bool
    message: str


class EngineProbe(Protocol):
    async def probe(self, pool: ProviderPool, key: str | None) -> ProbeOutcome:
        """One request, within some seconds. Never raises for what the network does."""
        ...
