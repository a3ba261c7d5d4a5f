"""What the services of speech need of engines; the process that serves them brings these."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from callfleet_agent.audio import Pcm8k
from callfleet_agent.context.conversation import Exchange


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
    """What was said; `text` None: nothing that is expected. `provider` and `language` are told
    where they are others than the recogniser's."""

    text: str | None = field(repr=False)
    confidence: float
    provider: str = ""
    language: str = ""


class Listening(Protocol):
    """One utterance while it is recognised."""

    def feed(self, sound: Pcm8k) -> None:
        """More of it; never blocks."""
        ...

    async def understood(self) -> Understood:
        """What was said up to here. Raises EngineFailedError."""
        ...

    async def so_far(self) -> Understood:
        """What is understood while more is said. Raises EngineFailedError."""
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


class Recognisers(Protocol):
    """All that there are now: they may change while a service runs."""

    def has(self, name: str) -> bool:
        """Whether there is one of this name."""
        ...

    def named(self, names: Sequence[str]) -> Recogniser:
        """The first of these that is there, and the others for when it fails; without any, or when
        all are gone, the usual one."""
        ...


@dataclass(frozen=True, slots=True)
class OneRecogniser:
    """The Recognisers of a process with one engine."""

    recogniser: Recogniser

    def has(self, name: str) -> bool:
        """Whether it is the one."""
        return name == self.recogniser.name

    def named(self, names: Sequence[str]) -> Recogniser:  # noqa: ARG002 - there is no other
        """The one."""
        return self.recogniser


class Speaker(Protocol):
    """Text to speech."""

    def offers(self, provider: str) -> bool:
        """Whether there is such a provider."""
        ...

    def knows(self, voice: str, provider: str = "") -> bool:
        """Whether there is such a voice, at this provider where one is named."""
        ...

    async def speech(self, text: str, voice: str, speed: float) -> Pcm8k:
        """A sentence as sound; "" is the default voice. Raises EngineFailedError, and
        InvalidRequestError for a speed that the voice does not have."""
        ...


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    GOODBYE = "goodbye"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a session's caller said. `history`: what was said before, where the client brings it;
    None: what is stored. `intent` is what is known already; `language` that of the answer as a
    BCP 47 tag. Each may be empty."""

    session_id: UUID
    text: str = field(repr=False)
    history: tuple[Exchange, ...] | None = field(default=None, repr=False)
    intent: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of an answer, and who gave it; `intent` and `finish` in the last one."""

    text: str = field(repr=False)
    provider: str
    intent: str = ""
    confidence: float = 0.0
    finish: Finish | None = None


class Answerer(Protocol):
    """Answers what a session's caller says, and remembers the conversation."""

    def answer(self, asked: Asked) -> AsyncGenerator[Answer, None]:
        """The answer, piece by piece; to be closed when not read to its end.

        Raises the stores' errors, InvalidRequestError for an intent or a language that is not
        known, and EngineFailedError when nobody can answer.
        """
        ...
