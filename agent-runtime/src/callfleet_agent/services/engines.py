"""What the services of speech need of engines; the process that serves them brings these."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from callfleet_agent.audio import Pcm8k


class Ear(Protocol):
    """Voice activity of one stream."""

    def feed(self, sound: Pcm8k) -> list[float]:
        """The probability of speech in each window that this sound completes."""
        ...


@dataclass(frozen=True, slots=True)
class Ears:
    """Where ears come from, and how long a window is."""

    new: Callable[[], Ear]
    window_ms: int


@dataclass(frozen=True, slots=True)
class Understood:
    """What was said; `text` None: nothing that is expected."""

    text: str | None = field(repr=False)
    confidence: float


class Listening(Protocol):
    """One utterance while it is recognised."""

    def feed(self, sound: Pcm8k) -> None:
        """More of it; never blocks."""
        ...

    async def understood(self) -> Understood:
        """What was said up to here. Raises EngineFailedError."""
        ...

    def close(self) -> None:
        """Done; may be called twice."""
        ...


class Recogniser(Protocol):
    """Speech to text."""

    @property
    def name(self) -> str:
        """The provider's name."""
        ...

    @property
    def language(self) -> str:
        """BCP 47."""
        ...

    def begin(self) -> Listening:
        """A new utterance."""
        ...


class Speaker(Protocol):
    """Text to speech."""

    def knows(self, voice: str) -> bool:
        """Whether there is such a voice."""
        ...

    async def speech(self, text: str, voice: str, speed: float) -> Pcm8k:
        """A sentence as sound; "" is the default voice. Raises EngineFailedError."""
        ...


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    GOODBYE = "goodbye"


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of an answer; `finish` in the last one."""

    text: str = field(repr=False)
    intent: str = ""
    finish: Finish | None = None


class Answerer(Protocol):
    """Answers what a session's caller says, and remembers the conversation."""

    @property
    def name(self) -> str:
        """The provider's name."""
        ...

    def answer(self, session_id: UUID, text: str) -> AsyncIterator[Answer]:
        """The answer, piece by piece. Raises the stores' and the bank's errors."""
        ...
