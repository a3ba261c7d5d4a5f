"""What a server needs of its engine. All of it blocks, and runs in threads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from callfleet_agent.audio import Pcm, Pcm16k
from callfleet_agent.services.errors import ServicesError


class EngineMissingError(ServicesError):
    """The engine's library, program or model is not there; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What was understood; `text` empty: nothing."""

    text: str = field(repr=False)
    confidence: float


class Hearing(Protocol):
    """One stream of speech."""

    def partial(self, sound: Pcm16k) -> str | None:
        """More of it; what was understood so far, when that is known anew."""
        ...

    def final(self) -> Understood:
        """The end of it."""
        ...


class Recogniser(Protocol):
    """An engine with its model loaded."""

    @property
    def language(self) -> str: ...
    @property
    def version(self) -> str:
        """The engine's, for people."""
        ...

    def begin(self) -> Hearing: ...
    def close(self) -> None: ...


class Voice(Protocol):
    """An engine with its voice loaded."""

    @property
    def version(self) -> str:
        """The engine's, for people."""
        ...

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        """Sound at the voice's own rate, as it is made."""
        ...

    def close(self) -> None: ...
