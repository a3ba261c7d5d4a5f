"""What every part of one user agent shares: the moment, the timers, and what goes out."""

from collections.abc import Callable
from dataclasses import dataclass

from callfleet_agent.sip.events import Event
from callfleet_agent.sip.settings import Peer, Randomness, UserAgentSettings
from callfleet_agent.sip.timers import Timer, TimerQueue


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One whole message for the transport to carry."""

    destination: Peer
    data: bytes


class Core:
    """``now`` is set by the user agent at each entry and holds until it returns."""

    def __init__(self, settings: UserAgentSettings, random: Randomness) -> None:
        self.settings = settings
        self.random = random
        self.now = 0.0
        self.timers = TimerQueue()
        self.outbox: list[Outgoing] = []
        self.events: list[Event] = []

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        return self.timers.start(self.now + seconds, action)

    def send(self, destination: Peer, data: bytes) -> None:
        self.outbox.append(Outgoing(destination, data))

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def token(self) -> str:
        """64 random bits: a tag, a branch or a Call-ID."""
        return f"{self.random.getrandbits(64):016x}"
