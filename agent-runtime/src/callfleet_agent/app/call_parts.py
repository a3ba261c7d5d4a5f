"""What a connector lends to each of its calls."""

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from callfleet_agent.app.call_book import CallBook, NoBook
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.app.supervisor import Supervisor
from callfleet_agent.transport.rtp_port import PortRange
from callfleet_agent.transport.ticker import Ticker


class SipCommands(Protocol):
    """The SIP endpoint as a call uses it: commands are sent when the block ends."""

    def commands(self) -> AbstractContextManager[float]:
        """Gives `now` for commands."""


@dataclass(frozen=True, slots=True)
class CallsShare:
    """What the records of all calls have in common."""

    pod: str = ""
    voice_agent: str = ""
    providers: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: AgentSettings) -> "CallsShare":
        """As the agent's settings say."""
        pod, agent = settings.pod, settings.agent
        chains = agent.spec.providers
        return cls(
            pod=pod.name,
            # Without a namespace the services go by the identity alone.
            voice_agent=f"{pod.namespace}/{agent.metadata.name}" if pod.namespace else "",
            providers={
                stage: [link.pool for link in chain]
                for stage, chain in (("asr", chains.asr), ("llm", chains.llm), ("tts", chains.tts))
            },
        )


@dataclass(frozen=True, slots=True)
class CallParts:
    """Shared by all calls of a connector."""

    sip: SipCommands
    ports: PortRange
    ticker: Ticker
    supervisor: Supervisor
    metrics: AgentMetrics
    clock: Callable[[], float]
    rng: random.Random
    bind: str
    address: str
    codecs: tuple[str, ...]
    media_timeout_s: float
    about: CallsShare
    book: CallBook | NoBook
