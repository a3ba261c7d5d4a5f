"""What the pipeline needs from outside: a link for each call, and who hears, answers and speaks.

Behind these stand chains of engines; the engines' own protocols are in `providers.ports`.
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Grammar, Input, Output
from callfleet_agent.link import Hello, Message, Tick
from callfleet_agent.pipeline.guarded import Models
from callfleet_agent.pipeline.model_prompt import Question
from callfleet_agent.providers import Recognition, Speech
from callfleet_agent.providers.errors import (
    EngineError,
    ResponderError,
    SynthesiserError,
    TranscriberError,
)
from callfleet_agent.providers.failures import Told, untold

__all__ = [
    "CallLink", "Conversation", "Ear", "EngineError", "LinkListener", "ListenForCalls", "Models",
    "Recognition", "Reply", "Responder", "ResponderError", "Synthesiser", "SynthesiserError",
    "Transcriber", "TranscriberError", "Utterance", "Work",
]  # fmt: skip


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


Work = Coroutine[Any, Any, None]


class Ear(Protocol):
    """A stage that follows the line. Ticks come to it by themselves, not as frames: fifty a second
    come of a call in which nothing happens, and a frame costs more than what is done for it."""

    def tick(self, tick: Tick) -> Work | None:
        """20 ms of the line; what is to be done about it, where anything is."""
        ...


class LinkListener(Protocol):
    """Listens for calls until stopped; stopping cancels the calls and waits for them."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


ListenForCalls = Callable[[str, Callable[[CallLink], Awaitable[None]]], LinkListener]


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

    def begin(self, grammar: Grammar, channel: tuple[float, ...], told: Told = untold) -> Utterance:
        """A new utterance, heard with this grammar. `told` hears of providers that fail."""
        ...


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

    def question(self, given: Input) -> Question | None:
        """What a model is to be asked, where the conversation leaves an answer open."""
        ...

    def charge(self, tokens: int) -> int:
        """Counts what a question costs; what all of them have cost."""
        ...

    def answered(self, given: Input, said: Sequence[str]) -> Reply:
        """A model answered with these sentences, which have been said."""
        ...

    def listens(self) -> Reply:
        """Waits for the caller where the conversation is; changes nothing."""
        ...

    def completes(self, text: str) -> bool:
        """Whether nothing more need be awaited after these words."""
        ...

    def context(self, channel: tuple[float, ...]) -> bytes:
        """The conversation for another worker to go on with."""
        ...

    @property
    def customer(self) -> str | None:
        """The bank's reference of who was authenticated in this conversation."""
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

    def speech(self, sentence: str, *, private: bool, told: Told = untold) -> Speech:
        """Begins to speak a sentence. Private ones are not kept."""
        ...
