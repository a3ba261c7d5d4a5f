"""Whether an engine answers, and what it says of itself."""

from dataclasses import dataclass
from typing import Protocol

from callfleet_operator.model import ProviderPool


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """`message` is a sentence for people; it never quotes an answer or a key."""

    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What the warm-up benchmark of a replica measured."""

    engine_version: str = ""
    first_result_ms: int | None = None
    real_time_factor: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes of a model that a loader has, and of the whole (0: not known yet)."""

    done: int
    total: int


class EngineProbe(Protocol):
    """Each is one request, within some seconds. Never raises for what the network does."""

    async def probe(
        self, pool: ProviderPool, key: str | None, ca: str | None = None
    ) -> ProbeOutcome:
        """Asks an external engine; `ca` is PEM, None for the system's CAs."""
        ...

    async def figures(self, address: str, port: int) -> Figures | None:
        """Asks a pod; None when it does not answer."""
        ...

    async def progress(self, address: str, port: int) -> Progress | None:
        """Asks the loader of a pod; None when it does not answer."""
        ...
