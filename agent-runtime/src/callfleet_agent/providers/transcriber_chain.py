"""Recognition by a chain: what was said is kept until the turn is over, so that the next provider
hears all of it when one fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Member, Turn, order
from callfleet_agent.dialog import Grammar
from callfleet_agent.providers.errors import ExhaustedError, TranscriberError
from callfleet_agent.providers.failures import Told, untold
from callfleet_agent.providers.lineup import CurrentLineup, Lineup, Seat
from callfleet_agent.providers.ports import (
    Connected,
    Recognition,
    Telling,
    TranscriberEngine,
    Transcription,
)
from callfleet_agent.providers.stream import stream
from callfleet_operator.model.engines import Stage


class ChainUtterance:
    """One stretch of speech. Whoever would be asked now hears it from its beginning on."""

    def __init__(
        self,
        lineup: Lineup[TranscriberEngine],
        grammar: Grammar,
        channel: tuple[float, ...],
        told: Told,
    ) -> None:
        self._lineup = lineup
        self._grammar = grammar
        self._channel = channel
        self._told = told
        self._sounds: list[Pcm8k] = []
        self._open: dict[str, Transcription] = {}
        self._by: Member | None = None
        first = next(iter(order(lineup.members, asyncio.get_running_loop().time(), 0.0)), None)
        if first is not None:
            self._transcription(first)

    def feed(self, sound: Pcm8k) -> None:
        """More of it; never blocks."""
        self._sounds.append(sound)
        for transcription in self._open.values():
            transcription.feed(sound)

    async def recognise(self) -> Recognition:
        """What was said up to here. Raises TranscriberError when the whole chain failed."""
        found: Recognition | None = None
        seconds = sum(sound.seconds for sound in self._sounds)
        turn = Turn(self._lineup.members, units=seconds)
        try:
            async with aclosing(stream(turn, self._ask)) as pieces:
                async for piece in pieces:
                    found, self._by = piece.value, piece.member
        except ExhaustedError as error:
            raise TranscriberError(str(error)) from None
        finally:
            for failure in turn.failures:
                self._told(Stage.ASR, failure)
                self._drop(failure.member)
        if found is None:
            raise TranscriberError("no provider answered")
        return found

    @property
    def by(self) -> Seat[TranscriberEngine] | None:
        """Who answered last; None before that."""
        return None if self._by is None else self._lineup.seat(self._by)

    @property
    def partial(self) -> str | None:
        """What was understood so far by whoever tells that while it listens; None: nobody does."""
        for transcription in self._open.values():
            if isinstance(transcription, Telling):
                return transcription.partial
        return None

    def close(self) -> None:
        """Done; may be called at any time, and twice."""
        for name in list(self._open):
            self._drop(name)

    async def _ask(self, member: Member, connected: Connected) -> AsyncIterator[Recognition]:
        yield await self._transcription(member).recognise(connected)

    def _transcription(self, member: Member) -> Transcription:
        found = self._open.get(member.name)
        if found is None:
            found = self._lineup.seat(member).engine.begin(self._grammar, self._channel)
            self._open[member.name] = found
            for sound in self._sounds:
                found.feed(sound)
        return found

    def _drop(self, name: str) -> None:
        transcription = self._open.pop(name, None)
        if transcription is not None:
            transcription.close()


class TranscriberChain:
    """The transcriber of a worker."""

    def __init__(self, lineup: CurrentLineup[TranscriberEngine]) -> None:
        self._lineup = lineup

    def begin(
        self, grammar: Grammar, channel: tuple[float, ...], told: Told = untold
    ) -> ChainUtterance:
        """A new utterance, by the chain as it is now."""
        return ChainUtterance(self._lineup(), grammar, channel, told)
