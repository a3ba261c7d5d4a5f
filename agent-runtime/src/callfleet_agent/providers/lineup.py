"""Who serves a stage now: the members of a chain with their engines, as one value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from callfleet_agent.chain import Member

E_co = TypeVar("E_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Seat(Generic[E_co]):
    """A provider: its health, the engine that talks to it, and what is known of that one."""

    member: Member
    engine: E_co
    embedded: bool = False
    kind: str = ""
    voice: str = ""
    language: str = ""

    def is_called(self, name: str) -> bool:
        """By its pool's name, or its engine's."""
        return name in {self.member.name, self.kind}


@dataclass(frozen=True, slots=True)
class Lineup(Generic[E_co]):
    """The seats of a stage, in the order of asking. A turn keeps the one that it began with."""

    seats: tuple[Seat[E_co], ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(seat.member for seat in self.seats)

    def seat(self, member: Member) -> Seat[E_co]:
        """The seat of one of its members."""
        return next(seat for seat in self.seats if seat.member is member)


CurrentLineup = Callable[[], Lineup[E_co]]
