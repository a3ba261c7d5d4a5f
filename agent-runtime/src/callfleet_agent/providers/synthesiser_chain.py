"""Speech by a chain, sentence by sentence."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Member, Turn, order
from callfleet_agent.providers.errors import ExhaustedError, SynthesiserError
from callfleet_agent.providers.failures import Told, untold
from callfleet_agent.providers.lineup import CurrentLineup, Lineup
from callfleet_agent.providers.ports import Connected, SynthesiserEngine
from callfleet_agent.providers.resuming import Pace, resumption
from callfleet_agent.providers.speech import Speech
from callfleet_agent.providers.stream import stream
from callfleet_operator.model.engines import Stage

OVERLAP: Final = 1.15  # a word twice rather than one that is missing
MOST_KEPT_SAMPLES: Final = 8000 * 60 * 20  # 20 min of speech, 19 MB


@dataclass(frozen=True, slots=True)
class _Wanted:
    sentence: str
    private: bool
    told: Told


@dataclass(frozen=True, slots=True)
class _Beginning:
    since: int  # character
    after_s: float  # of the voice before, by its pace


class _Telling:
    """Who says a sentence, and from where on."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._begins: dict[str, _Beginning] = {}
        self.speaker: Member | None = None
        self.since = 0
        self.sound = Pcm8k(b"")

    def begun_by(self, member: Member, pace: Pace) -> str:
        """What this one is to say, after what has come of the present speaker."""
        rest = self._sentence[self.since :]
        since = self.since + resumption(rest, self.sound.seconds, pace.each_s)
        self._begins[member.name] = _Beginning(since, (since - self.since) * pace.each_s)
        return self._sentence[since:]

    def said(self, member: Member, sound: Pcm8k, *, anew: bool) -> float:
        """A piece of it. For how many seconds the speaker before is to be heard."""
        begins = self._begins[member.name]
        self.since = begins.since
        self.speaker = member
        self.sound = sound if anew else self.sound + sound
        return begins.after_s * OVERLAP


class SynthesiserChain:
    """The voice of a worker. What was spoken without facts of a caller is kept for each voice, but
    not of embedded engines, which keep it themselves."""

    def __init__(self, lineup: CurrentLineup[SynthesiserEngine]) -> None:
        self._lineup = lineup
        self._kept: OrderedDict[tuple[int, str], Pcm8k] = OrderedDict()
        self._samples = 0
        self._paces: dict[int, Pace] = {}

    def speech(self, sentence: str, *, private: bool, told: Told = untold) -> Speech:
        """Begins to speak a sentence."""
        lineup = self._lineup()
        wanted = _Wanted(sentence, private, told)
        return Speech(lambda speech: self._make(lineup, wanted, speech))

    async def _make(
        self, lineup: Lineup[SynthesiserEngine], wanted: "_Wanted", speech: Speech
    ) -> None:
        sentence, private = wanted.sentence, wanted.private
        units = float(len(sentence))
        if (kept := self._from_kept(lineup, sentence, units)) is not None:
            speech.add(kept, anew=False)
            return

        telling = _Telling(sentence)

        def ask(member: Member, connected: Connected) -> AsyncIterator[Pcm8k]:
            engine = lineup.seat(member).engine
            rest = telling.begun_by(member, self._pace_of(telling.speaker, lineup))
            return engine.speech(rest, connected, private=private)

        turn = Turn(lineup.members, units=units)
        try:
            async with aclosing(stream(turn, ask, lambda: speech.ahead_s)) as pieces:
                async for piece in pieces:
                    keep_s = telling.said(piece.member, piece.value, anew=piece.anew)
                    speech.add(piece.value, anew=piece.anew, since=telling.since, keep_s=keep_s)
        except ExhaustedError as error:
            raise SynthesiserError(str(error)) from None
        finally:
            for failure in turn.failures:
                wanted.told(Stage.TTS, failure)
        speaker = telling.speaker
        if speaker is not None and telling.since == 0:
            whole = telling.sound
            self._pace_of(speaker, lineup).add(whole.seconds, len(sentence))
            if not private:
                self._keep(lineup, speaker, sentence, whole)

    def _pace_of(self, speaker: Member | None, lineup: Lineup[SynthesiserEngine]) -> Pace:
        if speaker is None:
            return Pace()
        return self._paces.setdefault(id(lineup.seat(speaker).engine), Pace())

    def _from_kept(
        self, lineup: Lineup[SynthesiserEngine], sentence: str, units: float
    ) -> Pcm8k | None:
        """What whoever would be asked now has said before."""
        now = asyncio.get_running_loop().time()
        first = next(iter(order(lineup.members, now, units)), None)
        if first is None:
            return None
        key = (id(lineup.seat(first).engine), sentence)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
        return kept

    def _keep(
        self, lineup: Lineup[SynthesiserEngine], speaker: Member, sentence: str, sound: Pcm8k
    ) -> None:
        seat = lineup.seat(speaker)
        key = (id(seat.engine), sentence)
        if seat.embedded or key in self._kept:
            return
        self._kept[key] = sound
        self._samples += len(sound)
        while self._samples > MOST_KEPT_SAMPLES:
            _, dropped = self._kept.popitem(last=False)
            self._samples -= len(dropped)
