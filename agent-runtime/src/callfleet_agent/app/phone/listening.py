"""What is heard in a call: onsets of the agent's speech, its words, and which turn they answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from callfleet_agent.app.errors import AppError
from callfleet_agent.app.phone.fillers import answers_in
from callfleet_agent.app.phone.hearing import Heard, Hears
from callfleet_agent.app.phone.measure import Run, Segments, SpeechArrivals, TurnTimes
from callfleet_agent.app.phone.report import CallReport
from callfleet_agent.app.phone.transcript import Transcript
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k
from callfleet_agent.time_limit import at_most

RECOGNISE_LIMIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that the agent said: its sound, when it ended, the onsets of speech, its words."""

    sound: Pcm8k
    ended_at: float
    onsets: list[float]
    heard: asyncio.Task[Heard]

    @property
    def began_at(self) -> float:
        """When its first sample came, quiet before the speech included."""
        if not self.onsets:
            return self.ended_at - self.sound.seconds
        within = SpeechArrivals()
        for start in range(0, len(self.sound), FRAME_SAMPLES):
            within.receive(self.sound.slice(start, start + FRAME_SAMPLES), start / self.sound.rate)
        return self.onsets[0] - (within.onsets[0] if within.onsets else 0.0)


class Listening:
    """Collects what the agent says and, when the call is over, writes it into the report."""

    def __init__(self, transcript: Transcript) -> None:
        self.ear: Hears | None = None
        self._transcript = transcript
        self._segments = Segments()
        self._onsets: list[float] = []
        self._assigned = 0
        self._utterances: list[Utterance] = []

    def onset(self, at: float) -> None:
        """Speech of the agent began."""
        self._onsets.append(at)

    def spoke_since(self, since: float) -> float | None:
        """When the agent first began to speak after `since`."""
        return next((onset for onset in self._onsets if onset > since), None)

    def hear(self, pcm: Pcm8k, now: float) -> None:
        """A frame from the jitter buffer."""
        utterance = self._segments.add(pcm)
        if utterance is not None:
            # Packets arrive before their sound leaves the jitter buffer: what began in the quiet
            # that ended this utterance belongs to the next one.
            self._heard(utterance, now - self._segments.quiet_s)

    def finish(self, now: float) -> None:
        """The call is over: what was not cut yet is the last utterance."""
        rest = self._segments.flush()
        if rest is not None:
            self._heard(rest, now)

    def _heard(self, utterance: Pcm8k, ended_at: float) -> None:
        later = self._onsets[self._assigned :]
        onsets = [onset for onset in later if onset <= ended_at]
        self._assigned += len(onsets)
        heard = asyncio.ensure_future(self._recognise(utterance))
        self._utterances.append(Utterance(utterance, ended_at, onsets, heard))
        if self.ear is not None:
            self._transcript.heard("agent", asyncio.ensure_future(_text_of(heard)))

    async def _recognise(self, utterance: Pcm8k) -> Heard:
        if self.ear is None:
            return Heard()
        try:
            return await self.ear.recognise(utterance)
        except AppError:
            return Heard()

    async def write_down(
        self, report: CallReport, turns: Sequence[TurnTimes], runs: list[Run]
    ) -> None:
        """Wait for the recogniser and give every turn its answer."""
        for utterance in self._utterances:
            try:
                async with at_most(RECOGNISE_LIMIT_S):
                    heard = await utterance.heard
            except TimeoutError:
                heard = Heard()
            began_at = utterance.began_at
            for onset in answers_in(heard, utterance.onsets, began_at):
                for times in turns:
                    times.heard(onset)
            _place(report, turns, next(iter(utterance.onsets), began_at), heard.text)
        for told, times in zip(report.turns, turns, strict=True):
            told.answer_ms = _rounded(times.answer_ms)
            told.interrupted_ms = _rounded(times.interrupted_ms(runs))


async def _text_of(heard: asyncio.Task[Heard]) -> str:
    return (await heard).text


def _place(report: CallReport, turns: Sequence[TurnTimes], began_at: float, text: str) -> None:
    """Put an utterance's text under the turn that it follows."""
    if not text:
        return
    turn = sum(began_at > times.began_at for times in turns) - 1
    lines = report.turns[turn].heard if turn >= 0 else report.greeting
    lines.append(text)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
