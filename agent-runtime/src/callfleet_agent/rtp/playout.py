"""What is to be said to the caller: one queue, whose epochs follow one another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k

CREDIT_SAMPLES: Final = 1600  # 200 ms


@dataclass(slots=True)
class PlayoutQueue:
    """Positions are samples from the beginning of the epoch. `played` counts samples that were
    taken, and an underrun does not move it."""

    epoch: int = 0
    end: int = 0
    played: int = 0
    underruns: int = 0
    _pieces: deque[bytes] = field(default_factory=deque)
    _marks: deque[int] = field(default_factory=deque)
    _speaking: bool = False

    @property
    def credit_position(self) -> int:
        """How far the worker may send in this epoch."""
        return self.played + CREDIT_SAMPLES

    def push(self, epoch: int, position: int, sound: Pcm8k) -> bool:
        """Adds sound; False for sound of an older epoch, which is dropped. Raises ValueError for
        an epoch that has not begun and for a gap."""
        if epoch > self.epoch:
            raise ValueError(f"epoch {epoch} has not begun, {self.epoch} has")
        if epoch < self.epoch:
            return False
        if position != self.end:
            raise ValueError(f"sound at {position} does not continue at {self.end}")
        self._pieces.append(sound.data)
        self.end += len(sound)
        return True

    def end_of_speech(self, epoch: int, position: int) -> None:
        """What was pushed up to `position` is an utterance; older epochs are ignored."""
        if epoch == self.epoch:
            self._marks.append(position)

    def interrupt(self, epoch: int) -> tuple[int, int]:
        """Drops what is queued and begins `epoch`; the epoch that ended and what of it was
        played. Raises ValueError for an epoch that is not higher."""
        if epoch <= self.epoch:
            raise ValueError(f"epoch {epoch} does not raise {self.epoch}")
        ended = (self.epoch, self.played)
        self.epoch, self.end, self.played = epoch, 0, 0
        self._pieces.clear()
        self._marks.clear()
        self._speaking = False
        return ended

    def has_played(self, epoch: int, position: int) -> bool:
        """True when everything up to this point was played, or never will be."""
        return epoch < self.epoch or (epoch == self.epoch and self.played >= position)

    def take(self) -> bytes:
        """The next samples as s16le, a frame of 160 or fewer where the queue ends."""
        wanted = 2 * FRAME_SAMPLES
        data = b""
        while self._pieces and len(data) < wanted:
            piece = self._pieces.popleft()
            missing = wanted - len(data)
            data += piece[:missing]
            if len(piece) > missing:
                self._pieces.appendleft(piece[missing:])
        self.played += len(data) // 2
        self._count_underrun(whole=len(data) == wanted)
        return data

    def finished(self) -> tuple[tuple[int, int], ...]:
        """The ends of utterances that were reached since the last call."""
        reached = []
        while self._marks and self._marks[0] <= self.played:
            reached.append((self.epoch, self._marks.popleft()))
            self._speaking = self.played > reached[-1][1]
        return tuple(reached)

    def _count_underrun(self, *, whole: bool) -> None:
        if whole:
            self._speaking = True
        elif self._speaking and not (self._marks and self._marks[-1] <= self.played):
            self.underruns += 1
            self._speaking = False
