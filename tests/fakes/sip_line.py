"""Two user agents on a wire in virtual time, for tests. The wire can lose, delay and show all."""

import random
from collections.abc import Callable

from callfleet_agent.sip.core import Outgoing
from callfleet_agent.sip.events import Event
from callfleet_agent.sip.message import Message
from callfleet_agent.sip.parser import parse_message
from callfleet_agent.sip.sdp import LocalMedia, Origin, SessionDescription, make_offer
from callfleet_agent.sip.settings import AdvertisedAddress, Peer, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent

ALICE = AdvertisedAddress("192.0.2.1", 5060)
BOB = AdvertisedAddress("192.0.2.2", 5060)
BOB_URI = "sip:+15550100@192.0.2.2:5060"


def agent(address: AdvertisedAddress, **settings: object) -> UserAgent:
    """A user agent at ``address`` with randomness that repeats."""
    made = UserAgentSettings(advertised=address, **settings)  # type: ignore[arg-type]
    return UserAgent(made, random.Random(address.host))


def media(host: str = "192.0.2.1", **values: object) -> LocalMedia:
    return LocalMedia(**({"address": host, "port": 20000} | values))  # type: ignore[arg-type]


def offer(host: str = "192.0.2.1", version: int = 1, **values: object) -> SessionDescription:
    """An ordinary offer."""
    return make_offer(media(host, **values), Origin(host, 7, version))


class FakeLine:
    """Carries messages between user agents; ``lose`` decides which of them are lost."""

    def __init__(self, *agents: UserAgent, delay_s: float = 0.01) -> None:
        self.agents = {(a.settings.advertised.host, a.settings.advertised.port): a for a in agents}
        self.now = 0.0
        self.lose: Callable[[Message], bool] = lambda _: False
        self.sent: list[Message] = []
        self.events: dict[UserAgent, list[Event]] = {agent: [] for agent in agents}
        self._delay_s = delay_s
        self._wire: list[tuple[float, Peer, Outgoing]] = []

    def collect(self) -> None:
        """Take what the agents want to send, and what they tell."""
        for agent in self.agents.values():
            address = agent.settings.advertised
            for outgoing in agent.take_datagrams():
                message = parse_message(outgoing.data)
                self.sent.append(message)
                source = Peer(outgoing.destination.transport, address.host, address.port)
                if not self.lose(message):
                    self._wire.append((self.now + self._delay_s, source, outgoing))
            self.events[agent] += agent.take_events()

    def run(self, seconds: float = 1.0) -> None:
        """Let ``seconds`` pass."""
        end = self.now + seconds
        self.collect()
        while (at := self._next()) is not None and at <= end:
            self.now = max(at, self.now)
            self._step()
            self.collect()
        self.now = end

    def _next(self) -> float | None:
        timers = [a.next_timer() for a in self.agents.values()]
        moments = [m for m in (*timers, *(at for at, _, _ in self._wire)) if m is not None]
        return min(moments, default=None)

    def _step(self) -> None:
        due = [item for item in self._wire if item[0] <= self.now]
        self._wire = [item for item in self._wire if item[0] > self.now]
        for _, source, outgoing in due:
            to = outgoing.destination
            receiver = self.agents.get((to.host, to.port))
            if receiver is not None:
                receiver.receive(outgoing.data, source, now=self.now)
        for agent in self.agents.values():
            agent.handle_timers(now=self.now)

    def take(self, agent: UserAgent) -> list[Event]:
        """The events of ``agent`` since the last time."""
        taken, self.events[agent] = self.events[agent], []
        return taken

    def summary(self) -> list[str]:
        """What was sent since the last time: methods and statuses."""
        taken, self.sent = self.sent, []
        return [
            message.method if hasattr(message, "method") else f"{message.status}"
            for message in taken
        ]
