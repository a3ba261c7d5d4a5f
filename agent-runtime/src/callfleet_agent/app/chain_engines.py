"""The chains of providers as the services of speech want them: all pools that the file names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from callfleet_agent.app.speech_engines import EspeakSpeaker
from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Grammar
from callfleet_agent.providers import SynthesiserChain, TranscriberChain
from callfleet_agent.providers.errors import SynthesiserError, TranscriberError
from callfleet_agent.providers.lineup import CurrentLineup, Lineup, Seat
from callfleet_agent.providers.transcriber_chain import ChainUtterance
from callfleet_agent.services.engines import Understood
from callfleet_agent.services.errors import EngineFailedError, InvalidRequestError, Violation

LANGUAGE: Final = "en-US"


class ChainListening:
    """One utterance."""

    def __init__(self, utterance: ChainUtterance, *, embedded: bool) -> None:
        self._utterance = utterance
        self._embedded = embedded

    def feed(self, sound: Pcm8k) -> None:
        """More of it."""
        self._utterance.feed(sound)

    async def understood(self) -> Understood:
        """What was said up to here."""
        try:
            found = await self._utterance.recognise()
        except TranscriberError as error:
            raise EngineFailedError(str(error)) from error
        seat = self._utterance.by
        provider, language = (seat.member.name, seat.language) if seat else ("", "")
        return Understood(found.text, found.confidence, provider, language)

    async def so_far(self) -> Understood:
        """What a pool says while it listens. The embedded engine may be asked at any time; another
        that says nothing by itself would hear everything once more for each answer."""
        if self._embedded:
            return await self.understood()
        return Understood(self._utterance.partial, 0.0)

    def close(self) -> None:
        """Done."""
        self._utterance.close()


@dataclass(frozen=True, slots=True)
class ChainRecogniser:
    """Some seats of a chain, the first of which is asked first."""

    lineup: Lineup[Any]
    grammar: Grammar

    @property
    def name(self) -> str:
        """Of whoever is asked first."""
        return self.lineup.seats[0].member.name if self.lineup.seats else ""

    @property
    def language(self) -> str:
        """Of whoever is asked first."""
        return (self.lineup.seats[0].language if self.lineup.seats else "") or LANGUAGE

    def begin(self) -> ChainListening:
        """A new utterance."""
        lineup = self.lineup
        utterance = TranscriberChain(lambda: lineup).begin(self.grammar, ())
        return ChainListening(utterance, embedded=bool(lineup.seats) and lineup.seats[0].embedded)


@dataclass(frozen=True, slots=True)
class ChainRecognisers:
    """Every pool of the chain by its name or its engine's; without a choice, the chain."""

    lineup: CurrentLineup[Any]
    grammar: Grammar

    def has(self, name: str) -> bool:
        """Whether it is in the chain now."""
        return any(seat.is_called(name) for seat in self.lineup().seats)

    def named(self, names: Sequence[str]) -> ChainRecogniser:
        """Those of these names, in the order of the names."""
        seats = self.lineup().seats
        found = {id(s): s for name in names for s in seats if s.is_called(name)}
        return ChainRecogniser(Lineup(tuple(found.values()) or seats), self.grammar)


class ChainSpeaker:
    """Every pool of the chain as a voice: by its own name, by its pool's, or the chain without a
    choice; and the voices of the embedded engine where that is in the chain."""

    def __init__(self, lineup: CurrentLineup[Any], embedded: EspeakSpeaker) -> None:
        self._lineup = lineup
        self._embedded = embedded

    def offers(self, provider: str) -> bool:
        """Whether it is in the chain now."""
        return any(seat.is_called(provider) for seat in self._lineup().seats)

    def knows(self, voice: str, provider: str = "") -> bool:
        """Whether a pool of the chain has it."""
        seats = [s for s in self._lineup().seats if not provider or s.is_called(provider)]
        return bool(_with(seats, voice)) or (_embedded(seats) and self._embedded.knows(voice))

    async def speech(self, text: str, voice: str, speed: float) -> Pcm8k:
        """A sentence; it is kept nowhere."""
        everybody = self._lineup().seats
        seats = _with(everybody, voice) if voice else everybody
        if _embedded(everybody) and self._embedded.knows(voice) and not seats:
            return await self._embedded.speech(text, voice, speed)
        if speed != 1.0:
            if _embedded(seats):
                return await self._embedded.speech(text, "", speed)
            raise InvalidRequestError(Violation("speed", "is not what this voice can change"))
        if not seats:
            raise EngineFailedError("the voice is gone")
        speaking = SynthesiserChain(lambda: Lineup(tuple(seats))).speech(text, private=True)
        try:
            return await speaking.whole()
        except SynthesiserError as error:
            raise EngineFailedError(str(error)) from error
        finally:
            speaking.cancel()


def _with(seats: Sequence[Seat[Any]], voice: str) -> tuple[Seat[Any], ...]:
    return tuple(seat for seat in seats if voice in {seat.voice, seat.member.name})


def _embedded(seats: Sequence[Seat[Any]]) -> bool:
    return any(seat.embedded for seat in seats)
