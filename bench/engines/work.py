"""What each engine is given to do once, and what counts as its result."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Caller, Dialog, DialogSettings, Heard, Started
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.voice_activity import VoiceActivity, VoiceActivityModel
from callfleet_agent.providers import Message, Prompt
from callfleet_agent.providers.ports import ResponderEngine, SynthesiserEngine, TranscriberEngine

QUESTION: Final = "where is my credit card"
SENTENCE: Final = "Your card was shipped on monday, with royal mail."
SOUND: Final = "second of sound"
ANSWER: Final = "answer"
TOKENS: Final = 64
RULED: Final = 100  # answers by rules at a time: one is too fast for a clock of CPU time
GRAMMAR: Final = Dialog().grammars()[0]


@dataclass(frozen=True, slots=True)
class Done:
    """Seconds until the first result; and how much was done, in seconds of sound or answers."""

    first_s: float
    amount: float


Once = Callable[[], Awaitable[Done]]


def nothing() -> None:
    """A connection stands."""


def recognising(engine: TranscriberEngine, sound: Pcm8k) -> Once:
    """One utterance, fed at once; the result is its text."""

    async def once() -> Done:
        utterance = engine.begin(GRAMMAR, ())
        try:
            utterance.feed(sound)
            began = time.monotonic()
            await utterance.recognise(nothing)
            return Done(time.monotonic() - began, sound.seconds)
        finally:
            utterance.close()

    return once


def speaking(engine: SynthesiserEngine) -> Once:
    """One sentence; the first result is its first sound."""

    async def once() -> Done:
        began, first, seconds = time.monotonic(), 0.0, 0.0
        async for sound in engine.speech(SENTENCE, nothing, private=True):
            first = first or time.monotonic() - began
            seconds += sound.seconds
        return Done(first, seconds)

    return once


def answering(engine: ResponderEngine) -> Once:
    """One answer of 64 tokens; the first result is its first piece."""
    prompt = Prompt((Message("user", QUESTION),), max_tokens=TOKENS)

    async def once() -> Done:
        began, first = time.monotonic(), 0.0
        async for _ in engine.answer(prompt, nothing):
            first = first or time.monotonic() - began
        return Done(first, 1)

    return once


def ruling() -> Once:
    """Answers by the rules, one after the other in one conversation."""
    responder = RuleResponder(DialogSettings())

    async def once() -> Done:
        conversation = responder.converse(None)
        conversation.take(Started(Caller()))
        began = time.monotonic()
        for _ in range(RULED):
            conversation.take(Heard("help"))
        return Done((time.monotonic() - began) / RULED, RULED)

    return once


def hearing(sound: Pcm8k) -> Once:
    """Voice activity of one utterance; the first result is that of its first window."""
    model = VoiceActivityModel()

    async def once() -> Done:
        ear, began, first = VoiceActivity(model), time.monotonic(), 0.0
        for at in range(0, len(sound), 160):
            if ear.feed(sound.slice(at, at + 160), awake=True):
                first = first or time.monotonic() - began
        return Done(first, sound.seconds)

    return once
