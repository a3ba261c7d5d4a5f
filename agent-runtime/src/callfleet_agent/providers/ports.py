"""The three small protocols of engines. An engine is one file that implements one of them.

Each call is one attempt of a turn: `connected` is called once the engine can be talked to, and
ProviderError is raised for everything that goes wrong. Time limits are the chain's.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol, runtime_checkable

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Grammar

Connected = Callable[[], None]
First = Callable[[str], None]
"""Called with the name of a member when the first piece of its answer has come."""


def nobody(_: str) -> None:
    """For those who do not want to know."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What an engine made of an utterance. `text` None: nothing that the grammar has was said.

    `channel` is the engine's estimate of the line, to be given to the next utterance of the call.
    """

    text: str | None = field(repr=False)
    confidence: float
    channel: tuple[float, ...] = ()


class Transcription(Protocol):
    """One utterance at one engine."""

    def feed(self, sound: Pcm8k) -> None:
        """More of it; never blocks."""
        ...

    async def recognise(self, connected: Connected) -> Recognition:
        """What was said up to here; more may be fed afterwards. Raises ProviderError."""
        ...

    def close(self) -> None:
        """Done; may be called at any time, and twice."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A transcription that tells what it understands while it listens."""

    @property
    def partial(self) -> str:
        """What was understood so far."""
        ...


class TranscriberEngine(Protocol):
    """Speech to text."""

    async def start(self, grammars: Sequence[Grammar]) -> None:
        """Loads what is to be loaded. Raises EngineError."""
        ...

    def begin(self, grammar: Grammar, channel: tuple[float, ...]) -> Transcription:
        """A new utterance; an engine without grammars takes no notice of it."""
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a conversation; `role` is system, user or assistant."""

    role: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a language model is asked."""

    messages: tuple[Message, ...] = field(repr=False)
    max_tokens: int = 160

    @property
    def characters(self) -> int:
        """How long it is."""
        return sum(len(message.text) for message in self.messages)


class Cut(Enum):
    """Why an answer ended before its end: the last piece of one that did."""

    LENGTH = auto()  # it may not be longer
    FILTER = auto()  # the provider holds the rest back


class ResponderEngine(Protocol):
    """Text to the text of an answer."""

    async def start(self) -> None: ...

    def answer(self, prompt: Prompt, connected: Connected) -> AsyncIterator[str | Cut]:
        """The answer in pieces of any length. Raises ProviderError."""
        ...

    async def stop(self) -> None: ...


class SynthesiserEngine(Protocol):
    """Text to speech."""

    async def start(self, sentences: Sequence[str]) -> None:
        """Loads what is to be loaded; these sentences will be needed often. Raises EngineError."""
        ...

    def speech(self, sentence: str, connected: Connected, *, private: bool) -> AsyncIterator[Pcm8k]:
        """A sentence in pieces of any length. Private ones are not kept. Raises ProviderError."""
        ...

    async def stop(self) -> None: ...


@runtime_checkable
class Warmable(Protocol):
    """An engine to which a connection can be made ahead of being needed."""

    async def warm(self) -> None:
        """Leaves one open; raises nothing."""
        ...


Engine = TranscriberEngine | ResponderEngine | SynthesiserEngine
