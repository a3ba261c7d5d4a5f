"""When a caller began and stopped speaking, when the answer came, and when the agent fell silent.

Begin and end of speech: the times at which the packets were sent that hold the first and the last
sample above -40 dBFS, or the first packet of a key and the first that tells its end.
Answer: the time at which the first packet was received of speech that goes on for 60 ms, taken as
packets arrive, before any jitter buffer.
Interruption: from the begin of the caller's speech, when the agent was speaking then, to the last
packet received of the agent's speech that was running. A pause of less than 250 ms between words
does not end it, so an answer that follows sooner than that counts as more of the same speech.
Frames are 20 ms of 8 kHz sound, times are seconds.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import dbfs, last_above

SPEECH_DBFS: Final = -40.0
SUSTAINED_S: Final = 0.060
PAUSE_S: Final = 0.250


@dataclass(slots=True)
class Run:
    """Speech of the agent without a pause: its first packet's time and its last's."""

    began_at: float
    ended_at: float


@dataclass(slots=True)
class SpeechArrivals:
    """Speech in what is received: when runs of it that last 60 ms began and ended."""

    speaking: bool = False
    began_at: float | None = None
    last_speech_at: float | None = None
    onsets: list[float] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    _run_s: float = 0.0
    _run_began_at: float | None = None

    def receive(self, pcm: Pcm8k, at: float) -> bool:
        """Take in a packet's sound; True if it makes a run of speech long enough to count."""
        if dbfs(pcm) <= SPEECH_DBFS:
            self._run_s, self._run_began_at = 0.0, None
            self.speaking = False
            return False
        if self._run_began_at is None:
            self._run_began_at = at
        self._lengthen(at)
        before, self._run_s = self._run_s, self._run_s + pcm.seconds
        if self._run_s < SUSTAINED_S - 1e-9:
            return False
        self.speaking = True
        self.last_speech_at = at
        if before >= SUSTAINED_S - 1e-9:
            return False
        self.began_at = self._run_began_at
        self.onsets.append(self._run_began_at)
        if not self._lengthen(at):
            self.runs.append(Run(self._run_began_at, at))
        return True

    def _lengthen(self, at: float) -> bool:
        """Whether sound at this time belongs to the last run, which then goes on until now."""
        if not self.runs or at - self.runs[-1].ended_at >= PAUSE_S:
            return False
        self.runs[-1].ended_at = at
        return True

    def silent_for(self, now: float, since: float) -> float:
        """Seconds without speech, not counting before `since`."""
        return now - max(self.last_speech_at or since, since)


@dataclass(slots=True)
class TurnTimes:
    """One turn of the caller and the answer to it."""

    began_at: float
    speech_began_at: float | None = None
    speech_ended_at: float | None = None
    answered_at: float | None = None

    def sent(self, pcm: Pcm8k, at: float) -> None:
        """A frame of the turn was sent."""
        if last_above(pcm, SPEECH_DBFS) is not None:
            self._begin(at)
            self.speech_ended_at = at

    def key_began(self, at: float) -> None:
        """A packet of a key was sent."""
        self._begin(at)

    def key_sent(self, at: float) -> None:
        """The first packet that tells the end of a key was sent."""
        self.speech_ended_at = at

    def _begin(self, at: float) -> None:
        if self.speech_began_at is None:
            self.speech_began_at = at

    def heard(self, onset: float) -> None:
        """Speech of the agent began; the first after the end of ours is the answer."""
        ended = self.speech_ended_at
        if self.answered_at is None and ended is not None and onset > ended:
            self.answered_at = onset

    @property
    def answer_ms(self) -> float | None:
        """From the end of speech to the answer, None without an answer."""
        if self.answered_at is None or self.speech_ended_at is None:
            return None
        return (self.answered_at - self.speech_ended_at) * 1000

    def interrupted_ms(self, runs: list[Run]) -> float | None:
        """From our first word or key to the end of what the agent said then, None if nothing."""
        began = self.speech_began_at
        if began is None:
            return None
        ended = (run.ended_at for run in runs if run.began_at <= began <= run.ended_at)
        return next(((at - began) * 1000 for at in ended), None)


@dataclass(slots=True)
class Segments:
    """Cuts what is heard into utterances, for recognition: speech with its surroundings."""

    quiet_s: float = 0.5
    lead_s: float = 0.2
    _lead: deque[Pcm8k] = field(default_factory=deque)
    _speech: list[Pcm8k] = field(default_factory=list)
    _quiet: float = 0.0

    def add(self, pcm: Pcm8k) -> Pcm8k | None:
        """Take in a frame; an utterance when one is complete."""
        loud = dbfs(pcm) > SPEECH_DBFS
        if not self._speech and not loud:
            self._lead.append(pcm)
            while sum(frame.seconds for frame in self._lead) > self.lead_s:
                self._lead.popleft()
            return None
        if not self._speech:
            self._speech.extend(self._lead)
            self._lead.clear()
        self._speech.append(pcm)
        self._quiet = 0.0 if loud else self._quiet + pcm.seconds
        return self.flush() if self._quiet >= self.quiet_s else None

    def flush(self) -> Pcm8k | None:
        """What is left, as an utterance."""
        speech, self._speech, self._quiet = self._speech, [], 0.0
        if not speech:
            return None
        return Pcm8k(b"".join(frame.data for frame in speech))
