"""What the dispatcher's world is made of: its clock, pods and agents, and a dialect in memory."""

from dataclasses import dataclass
from typing import Any

from callfleet_operator.model import Transport
from callfleet_operator.policies.views import PodView
from callfleet_operator.proxies.dialect import Rpc
from callfleet_operator.proxies.kamailio import Kamailio
from callfleet_operator.proxies.opensips import OpenSips
from fakes.proxy_tables import Running

UDP = (Transport.UDP,)
QUARANTINE_S = 30.0
DRAIN_TIMEOUT_S = 10_000.0
# A pod that Kubernetes ends refuses calls 5 s later, so that its row leaves before.
LAST_ROW_HOLD_S = 4.0
FIRST_SET, LAST_SET = 1000, 1004
NUMBERS = ("+15550100", "+15550101", "+15550102")
ADDRESSES = tuple(f"10.0.0.{number}" for number in range(1, 11))


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def with_commands(dialect: Kamailio | OpenSips, instances: dict[str, Running]) -> Any:
    """The dialect with instances in memory behind it."""

    class InMemory(type(dialect)):  # type: ignore[misc]
        def commands(self, rpc: Rpc) -> Running:
            return instances[rpc._endpoint]  # type: ignore[attr-defined]

    return InMemory()


@dataclass
class Pod:
    """The truth about a pod; `view` is what the API server says of it."""

    view: PodView
    agent: str
    alive: bool = True  # its process answers: one that is overloaded may, and not be ready
    started: bool = True  # its containers were ready once
    told: bool = False  # it refuses calls: it was told that its row is out
    calls: int = 0
    proved: bool = False  # it answered a probe of a proxy
    routed_at: float = float("-inf")  # when a proxy was last seen to send it calls

    @property
    def uri(self) -> str:
        return f"sip:{self.view.ip}:5060"

    @property
    def answers(self) -> bool:
        return self.alive and not self.told

    def stays(self, now: float) -> bool:
        """It takes calls, and is not about to stop."""
        since = self.view.terminating_since
        return self.answers and (since is None or now < since + LAST_ROW_HOLD_S)


@dataclass
class Agent:
    uid: str
    numbers: tuple[str, ...] = ()
    media: str = "direct"
    deleting: bool = False
    gone: bool = False
