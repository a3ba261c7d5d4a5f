"""Engines whose answers are written down: what comes, when, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault, Limits, Member, MemberSettings
from callfleet_agent.providers import ProviderError, Recognition
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.ports import Connected, Prompt

LIMITS = Limits(connect_s=0.5, first_s=1.0, gap_s=1.0, total_s=10.0)  # in virtual time
PATIENT = Limits(connect_s=60.0, first_s=60.0, gap_s=60.0, total_s=60.0)  # on a busy machine


@dataclass
class FakeEngine:
    """Gives `pieces`, `pause_s` before each; a Fault among them is raised, None never comes.

    One engine for all three protocols; a recognition is its first piece.
    """

    pieces: Sequence[Any] = ()
    pause_s: float = 0.1
    asked: list[Any] = field(default_factory=list)
    sounds: list[Pcm8k] = field(default_factory=list)
    started: int = 0
    stopped: int = 0
    closed: int = 0

    async def start(self, *_: object) -> None:
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1

    async def _come(self, connected: Connected) -> AsyncIterator[Any]:
        connected()
        for piece in self.pieces:
            await asyncio.sleep(self.pause_s)
            if piece is None:
                await asyncio.Event().wait()
            if isinstance(piece, Fault):
                raise ProviderError(piece)
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def answer(self, prompt: Prompt, connected: Connected) -> AsyncIterator[str]:
        self.asked.append(prompt)
        async for piece in self._come(connected):
            yield piece

    async def speech(
        self, sentence: str, connected: Connected, *, private: bool
    ) -> AsyncIterator[Pcm8k]:
        self.asked.append(sentence)
        async for piece in self._come(connected):
            yield piece

    def begin(self, grammar: object, channel: object) -> "FakeEngine":
        self.asked.append(channel)
        return self

    def feed(self, sound: Pcm8k) -> None:
        self.sounds.append(sound)

    async def recognise(self, connected: Connected) -> Recognition:
        async for piece in self._come(connected):
            return Recognition(piece, 0.9)
        raise ProviderError(Fault.EMPTY)

    def close(self) -> None:
        self.closed += 1


def lineup(*engines: FakeEngine, limits: Limits = LIMITS, **settings: Any) -> Lineup[Any]:
    """A chain of them, named a, b, c."""
    return Lineup(
        tuple(
            Seat(Member(MemberSettings(name=name, limits=limits, **settings)), engine)
            for name, engine in zip("abcd", engines, strict=False)
        )
    )
