"""Chains of two over adapters and sockets: whatever the first server does, the whole answer comes,
once, and the first one's time limits end what it does not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from callfleet_agent.audio import Pcm8k, Pcm24k
from callfleet_agent.audio.resample import resample
from callfleet_agent.chain import Failure, Fault, Limits, Member, MemberSettings
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import (
    Message,
    Prompt,
    ResponderChain,
    SynthesiserChain,
    TranscriberChain,
)
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_elevenlabs import ElevenLabsSynthesiser
from callfleet_agent.providers.synthesiser_openai import OpenAISynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.providers.transcriber_openai import OpenAITranscriber
from callfleet_operator.model.engines import Stage
from fakes.listener import FakeListener
from fakes.model_server import FakeElevenLabs, FakeOpenAI, Trouble, sine

GRAMMAR = Dialog().grammars()[0]
SAID = ["We sell no pizza here.", "We can look for your card."]
HEARD = "where is my credit card"
VOICE = sine(0.6, 24000, 900)
SLOW_S = 100.0
WITHIN_S = 60.0  # on a busy machine
PATIENT = Limits(connect_s=90.0, first_s=90.0, gap_s=90.0, total_s=90.0)
LAST = PATIENT  # nobody comes after it
# The limit that a fault is about; who meets another fault on a busy machine is not late as well.
FIRST = {
    Fault.SLOW_FIRST: replace(PATIENT, first_s=0.7),
    Fault.STALLED: replace(PATIENT, gap_s=0.7),
}

Failures = list[tuple[str, Fault]]
Ask = Callable[[Lineup[Any]], Awaitable[Failures]]
Server = FakeOpenAI | FakeElevenLabs | FakeListener

REFUSALS = {
    "401": (Trouble.error(401), Fault.UNAUTHORISED),
    "429": (Trouble.error(429, "7"), Fault.RATE_LIMITED),
    "500": (Trouble.error(500), Fault.SERVER_ERROR),
    "wrong content": (Trouble.wrong_content(), Fault.MALFORMED),
    "cut at once": (Trouble.cut(0), Fault.TRUNCATED),
}
SILENCE = {"no first byte": (Trouble.stall(0), Fault.SLOW_FIRST)}
SPEECH = {
    **REFUSALS,
    **SILENCE,
    "cut": (Trouble.cut(4), Fault.TRUNCATED),
    "stall": (Trouble.stall(4), Fault.STALLED),
}
ANSWERS = {
    **REFUSALS,
    **SILENCE,
    "nonsense": (Trouble.garbage(), Fault.MALFORMED),
    "cut in the first sentence": (Trouble.cut(3), Fault.TRUNCATED),
    "cut in the second sentence": (Trouble.cut(9), Fault.TRUNCATED),
    "early end in the first sentence": (Trouble.early_end(3), Fault.TRUNCATED),
    "early end in the second sentence": (Trouble.early_end(9), Fault.TRUNCATED),
    "stall in the first sentence": (Trouble.stall(3), Fault.STALLED),
    "stall in the second sentence": (Trouble.stall(9), Fault.STALLED),
}
RECOGNITION = {
    **REFUSALS,
    **SILENCE,
    "nonsense": (Trouble.garbage(), Fault.MALFORMED),
    "cut": (Trouble.cut(1), Fault.TRUNCATED),
    "early end": (Trouble.early_end(1), Fault.MALFORMED),
    "stall": (Trouble.stall(1), Fault.SLOW_FIRST),
}
SLOW = "late first byte"


def cases(faults: dict[str, tuple[Trouble, Fault]]) -> list[Any]:
    """As parameters: what is wrong with the first server, and what is told of it."""
    slow = pytest.param(None, Fault.SLOW_FIRST, id=SLOW)
    return [slow, *(pytest.param(*fault, id=name) for name, fault in faults.items())]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def chain(stack: AsyncExitStack, *engines: Any, limits: Limits, hedge: int = 0) -> Lineup[Any]:
    """Two of them, the first with these limits and a past of quick answers."""
    seats = []
    for name, own, engine in zip(("first", "second"), (limits, LAST), engines, strict=True):
        stack.push_async_callback(engine.stop)
        member = Member(MemberSettings(name=name, limits=own, hedge_percentile=hedge))
        for _ in range(10):
            member.first(0.05)
            member.next_piece(0.01)
        seats.append(Seat(member, engine))
    return Lineup(tuple(seats))


def at(server: FakeOpenAI) -> EngineSettings:
    return EngineSettings(engine="openai", endpoints=(server.base,))


def trouble(server: Server, wrong: Trouble | None, slow_s: float = SLOW_S) -> None:
    """Sets what is wrong; None: it is slow."""
    server.trouble, server.first_s = wrong, slow_s if wrong is None else 0.0


def limits_for(fault: Fault) -> Limits:
    """The limits of a first one that is to meet this fault."""
    return FIRST.get(fault, PATIENT)


def told(into: Failures) -> Callable[[Stage, Failure], None]:
    return lambda _, failure: into.append((failure.member, failure.fault))


async def spoken(lineup: Lineup[Any]) -> Failures:
    """A sentence is heard whole, in the second voice."""
    failures: Failures = []
    voice = SynthesiserChain(lambda: lineup)
    speech = voice.speech("Your card is on its way.", private=True, told=told(failures))
    assert await speech.whole() == resample(Pcm24k(VOICE), Pcm8k)
    return failures


async def answered(lineup: Lineup[Any]) -> Failures:
    """Each sentence of an answer comes once."""
    failures: Failures = []
    prompt = Prompt((Message("user", "Do you sell pizza?"),))
    answer = ResponderChain(lambda: lineup).answer(prompt, told=told(failures))
    assert [sentence async for sentence in answer] == SAID
    return failures


async def understood(lineup: Lineup[Any]) -> Failures:
    """What was said in half a second is understood."""
    failures: Failures = []
    utterance = TranscriberChain(lambda: lineup).begin(GRAMMAR, (), told(failures))
    for _ in range(25):
        utterance.feed(Pcm8k.silence(160))
        await asyncio.sleep(0.001)
    assert (await utterance.recognise()).text == HEARD
    utterance.close()
    return failures


async def in_time(asking: Awaitable[Failures]) -> Failures:
    """What it gives, if it does."""
    async with asyncio.timeout(WITHIN_S):
        return await asking


class OfOpenAI:
    """Two servers of OpenAI's protocol, and chains of one stage over them."""

    def __init__(self, stack: AsyncExitStack, first: FakeOpenAI, second: FakeOpenAI) -> None:
        self._stack = stack
        self.first, self.second = first, second

    def chain(self, engine: Any, limits: Limits = PATIENT, hedge: int = 0) -> Lineup[Any]:
        engines = (engine(at(self.first)), engine(at(self.second)))
        return chain(self._stack, *engines, limits=limits, hedge=hedge)


@pytest.fixture
async def servers(stack: AsyncExitStack) -> OfOpenAI:
    first = await stack.enter_async_context(FakeOpenAI(" ".join(SAID), heard=HEARD))
    second = await stack.enter_async_context(FakeOpenAI(" ".join(SAID), heard=HEARD))
    first.speech, second.speech = sine(0.6, 24000, 440), VOICE
    first.gap_s = second.gap_s = 0.005
    return OfOpenAI(stack, first, second)


@pytest.mark.parametrize(("wrong", "fault"), cases(SPEECH))
async def test_a_sentence(servers: OfOpenAI, wrong: Trouble | None, fault: Fault) -> None:
    trouble(servers.first, wrong)
    failures = await in_time(spoken(servers.chain(OpenAISynthesiser, limits_for(fault))))
    assert failures == [("first", fault)]
    assert len(servers.second.requests) == 1


@pytest.mark.parametrize(("wrong", "fault"), cases(SPEECH))
async def test_a_sentence_of_elevenlabs(
    servers: OfOpenAI, stack: AsyncExitStack, wrong: Trouble | None, fault: Fault
) -> None:
    first = await stack.enter_async_context(FakeElevenLabs())
    trouble(first, wrong)
    there = EngineSettings(engine="elevenlabs", endpoints=(f"{first.url}/v1",))
    engines = (ElevenLabsSynthesiser(there), OpenAISynthesiser(at(servers.second)))
    lineup = chain(stack, *engines, limits=limits_for(fault))
    assert await in_time(spoken(lineup)) == [("first", fault)]
    assert len(servers.second.requests) == 1


@pytest.mark.parametrize(("wrong", "fault"), cases(ANSWERS))
async def test_an_answer(servers: OfOpenAI, wrong: Trouble | None, fault: Fault) -> None:
    trouble(servers.first, wrong)
    failures = await in_time(answered(servers.chain(OpenAIResponder, limits_for(fault))))
    assert failures == [("first", fault)]
    assert len(servers.second.requests) == 1


@pytest.mark.parametrize(("wrong", "fault"), cases(RECOGNITION))
async def test_an_utterance(servers: OfOpenAI, wrong: Trouble | None, fault: Fault) -> None:
    trouble(servers.first, wrong)
    failures = await in_time(understood(servers.chain(OpenAITranscriber, limits_for(fault))))
    assert failures == [("first", fault)]
    assert len(servers.second.requests) == 1


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        pytest.param(None, Fault.SLOW_FIRST, id="late text"),
        pytest.param(Trouble.stall(0), Fault.SLOW_FIRST, id="no text"),
        pytest.param(Trouble.cut(10), Fault.REFUSED, id="dies in the utterance"),
        pytest.param(Trouble.cut(1000), Fault.REFUSED, id="dies at its end"),
    ],
)
async def test_an_utterance_that_is_streamed(
    stack: AsyncExitStack, wrong: Trouble | None, fault: Fault
) -> None:
    ears = [await stack.enter_async_context(FakeListener(HEARD)) for _ in range(2)]
    trouble(ears[0], wrong)
    engines = [
        GrpcTranscriber(EngineSettings(engine="whisper", endpoints=(ear.url,))) for ear in ears
    ]
    lineup = chain(stack, *engines, limits=limits_for(fault))
    assert await in_time(understood(lineup)) == [("first", fault)]
    assert ears[1].chunks == [25]  # all of it


@pytest.mark.parametrize("wrong", [None, Trouble.stall(0), Trouble.stall(3)], ids=str)
@pytest.mark.parametrize(
    ("engine", "asked"),
    [(OpenAISynthesiser, spoken), (OpenAIResponder, answered), (OpenAITranscriber, understood)],
)
async def test_who_is_hedged_is_not_waited_for_until_the_limits(
    servers: OfOpenAI, engine: Any, asked: Ask, wrong: Trouble | None
) -> None:
    if wrong is not None and engine is OpenAITranscriber:
        wrong = Trouble.stall(min(wrong.after, 1))
    trouble(servers.first, wrong, slow_s=SLOW_S)
    failures = await in_time(asked(servers.chain(engine, PATIENT, hedge=99)))
    assert [name for name, _ in failures] == ["first"]
    assert len(servers.second.requests) == 1


@pytest.mark.parametrize("wrong", [Trouble.error(429, "600"), Trouble.error(401)], ids=str)
@pytest.mark.parametrize(
    ("engine", "asked"),
    [(OpenAISynthesiser, spoken), (OpenAIResponder, answered), (OpenAITranscriber, understood)],
)
async def test_who_is_not_to_be_asked_again_soon_is_not(
    servers: OfOpenAI, engine: Any, asked: Ask, wrong: Trouble
) -> None:
    trouble(servers.first, wrong)
    lineup = servers.chain(engine)
    await asked(lineup)
    assert await asked(lineup) == []
    assert (len(servers.first.requests), len(servers.second.requests)) == (1, 2)
