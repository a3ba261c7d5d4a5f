"""What is being played to the caller: sentences, where they lie in their epoch, and what of them
was heard. Positions are samples of 8 kHz."""

from dataclasses import dataclass, replace
from typing import Final

SAMPLES_PER_CHARACTER: Final = 540  # of 8 kHz, in usual speech


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    epoch: int
    start: int
    end: int
    whole: bool = True

    @property
    def samples(self) -> int:
        """How long it is; guessed while it is still being made."""
        made = self.end - self.start
        return made if self.whole else max(made, len(self.text) * SAMPLES_PER_CHARACTER)


@dataclass(slots=True)
class Playout:
    """One call's playout. `speaking` from the first sentence until the end has been played."""

    speaking: bool = False
    barge_in: bool = True
    _sentences: tuple[_Sentence, ...] = ()
    _end: tuple[int, int] | None = None

    def add(
        self, text: str, *, epoch: int, start: int, samples: int, barge_in: bool, whole: bool = True
    ) -> None:
        """A sentence is about to be sent, or the beginning of one."""
        if not self.speaking:
            self._sentences, self._end = (), None
        self.speaking = True
        self.barge_in = barge_in
        self._sentences = (*self._sentences, _Sentence(text, epoch, start, start + samples, whole))

    def more(self, samples: int) -> None:
        """The next piece of the last sentence is about to be sent."""
        *before, last = self._sentences
        self._sentences = (*before, replace(last, end=last.end + samples))

    def whole(self) -> None:
        """The last sentence has no more pieces."""
        if self._sentences:
            *before, last = self._sentences
            self._sentences = (*before, replace(last, whole=True))

    def broke_off(self, text: str) -> None:
        """The last sentence broke off, and goes on in another voice after this much of it."""
        *before, last = self._sentences
        said = (replace(last, text=text, whole=True),) if text else ()
        self._sentences = (*before, *said)

    def complete(self, epoch: int, position: int) -> None:
        """Everything has been sent, up to this position."""
        self._end = (epoch, position)

    def finished(self, epoch: int, position: int) -> bool:
        """Whether this report of what was played is the first to reach the end."""
        if not self.speaking or self._end is None:
            return False
        done = (epoch, position) >= self._end
        self.speaking = not done
        return done

    def interrupted(self) -> None:
        """Nothing more of it will be played."""
        self.speaking = False

    def heard(self, epoch: int, position: int) -> str:
        """The words that had been played at `position` of `epoch`."""
        words: list[str] = []
        for sentence in self._sentences:
            if sentence.epoch != epoch or sentence.start >= position:
                continue
            spoken = sentence.text.split()
            share = (position - sentence.start) / max(1, sentence.samples)
            words += spoken[: round(len(spoken) * min(1.0, share))]
        return " ".join(words)
