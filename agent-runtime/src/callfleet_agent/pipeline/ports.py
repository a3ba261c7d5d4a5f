"""What the pipeline needs from outside: a link for each call, and the three kinds of engine.

An engine is one file that implements one of these protocols.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Grammar, Input, Output
from callfleet_agent.link import Hello, Message


class CallLink(Protocol):
    """One call's connection to the connector, as transport.link_server.WorkerLink has it."""

    context: bytes | None
    played_epoch: int
    played_position: int

    @property
    def call(self) -> UUID: ...
    @property
    def hello(self) -> Hello: ...
    @property
    def epoch(self) -> int: ...
    @property
    def sent_position(self) -> int: ...
    def accept(self) -> None: ...
    def refuse(self, reason: str) -> None: ...
    async def speak(self, sound: Pcm8k) -> bool: ...
    def end_of_speech(self) -> tuple[int, int]: ...
    def interrupt(self) -> int: ...
    def hangup(self, reason: str) -> None: ...
    def hand_over(self, context: bytes) -> None: ...
    def event(self, name: str, **fields: str | int | float | bool | None) -> None: ...
    def __aiter__(self) -> AsyncIterator[Message]: ...


class LinkListener(Protocol):
    """Listens for calls until stopped; stopping cancels the calls and waits for them."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


ListenForCalls = Callable[[str, Callable[[CallLink], Awaitable[None]]], LinkListener]


@dataclass(frozen=True, slots=True)
class Recognition:
    """What an engine made of an utterance. `text` None: nothing that the grammar has was said.

    `channel` is the engine's estimate of the line, to be given to the next utterance of the call.
    """

    text: str | None = field(repr=False)
    confidence: float
    channel: tuple[float, ...] = ()


class Utterance(Protocol):
    """One stretch of speech while it is being recognised."""

    def feed(self, sound: Pcm8k) -> None:
        """More of it; never blocks."""
        ...

    async def recognise(self) -> Recognition:
        """What was said up to here. More may be fed afterwards. Raises TranscriberError."""
        ...

    def close(self) -> None:
        """Done; may be called at any time, and twice."""
        ...


class Transcriber(Protocol):
    """Speech to text."""

    async def start(self, grammars: Sequence[Grammar]) -> None:
        """Loads models; afterwards the first utterance is as fast as any other."""
        ...

    def begin(self, grammar: Grammar, channel: tuple[float, ...]) -> Utterance:
        """A new utterance, heard with this grammar."""
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What a responder wants done, in order; `state` names where the conversation is now."""

    outputs: tuple[Output, ...]
    state: str


class Conversation(Protocol):
    """One call's conversation."""

    def take(self, given: Input) -> Reply:
        """Goes on with an input."""
        ...

    def foresee(self, given: Input) -> Reply:
        """What `take` would answer; changes nothing."""
        ...

    def completes(self, text: str) -> bool:
        """Whether nothing more need be awaited after these words."""
        ...

    def context(self, channel: tuple[float, ...]) -> bytes:
        """The conversation for another worker to go on with."""
        ...

    @property
    def channel(self) -> tuple[float, ...]:
        """The channel estimate that a resumed conversation came with."""
        ...


class Responder(Protocol):
    """Decides what is said."""

    def converse(self, context: bytes | None) -> Conversation:
        """A new conversation, or the one that a context holds."""
        ...

    def grammars(self) -> Sequence[Grammar]: ...
    def fixed_sentences(self) -> Sequence[str]: ...


class Synthesiser(Protocol):
    """Text to speech."""

    async def start(self, sentences: Sequence[str]) -> None:
        """Loads voices and renders these ahead."""
        ...

    async def speech(self, sentence: str, *, private: bool) -> Pcm8k:
        """A sentence as sound. Private ones are not kept. Raises SynthesiserError."""
        ...

    async def stop(self) -> None: ...


class EngineError(Exception):
    """An engine failed; the call goes on as well as it can."""


class TranscriberError(EngineError):
    """Recognition failed: as if nothing had been understood."""


class SynthesiserError(EngineError):
    """A sentence could not be spoken."""
