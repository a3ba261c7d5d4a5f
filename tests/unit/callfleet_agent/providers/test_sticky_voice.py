"""A sentence has one voice. Only a voice that fails in it, or stalls, is followed by another one,
which says it to its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random

import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault, Member, MemberSettings
from callfleet_agent.providers import ProviderError, SynthesiserChain
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.ports import Connected
from fakes.engines import LIMITS
from fakes.virtual_time import run_in_virtual_time

SENTENCE = "Your card was sent on Monday, and it will arrive on Wednesday, if nothing happens."
TURNS, SENTENCES = 8, 6
USUAL_GAP_S, FIRST_S = 0.1, 0.1
STALL_S = 3 * USUAL_GAP_S  # more than this is a stall of such a voice

Step = float | Fault
"""Of a sentence: so many seconds until its next piece, or how it breaks off."""


@dataclass
class FakeScriptedVoice:
    """Says sentences as they are written down, one after another; `number` is in its sound. It
    works on when nobody listens any more, as a server may."""

    number: int
    script: Sequence[Sequence[Step]]
    asked: int = 0

    async def start(self, sentences: Sequence[str]) -> None: ...

    async def stop(self) -> None: ...

    async def speech(
        self,
        sentence: str,
        connected: Connected,
        *,
        private: bool,
    ) -> AsyncIterator[Pcm8k]:
        steps = self.script[self.asked % len(self.script)]
        self.asked += 1
        connected()
        for step in steps:
            if isinstance(step, Fault):
                raise ProviderError(step)
            await asyncio.sleep(step)
            yield Pcm8k(self.number.to_bytes(2, "little") * 640)  # 80 ms


def voices(*scripts: Sequence[Sequence[Step]], hedge: int) -> Lineup[FakeScriptedVoice]:
    """A chain of such voices, numbered from 1, whose usual times are known."""
    seats = []
    for number, script in enumerate(scripts, 1):
        member = Member(
            MemberSettings(name=f"voice {number}", limits=LIMITS, hedge_percentile=hedge)
        )
        for _ in range(20):
            member.first(FIRST_S)
            member.next_piece(USUAL_GAP_S)
        seats.append(Seat(member, FakeScriptedVoice(number, script)))
    return Lineup(tuple(seats))


async def heard(voice: SynthesiserChain) -> list[int]:
    """One sentence, listened to at the pace of speech: whose piece each is."""
    numbers: list[int] = []
    async for piece in voice.speech(SENTENCE, private=True).pieces():
        numbers.append(int.from_bytes(piece.sound.data[:2], "little"))
        await asyncio.sleep(piece.sound.seconds)
    return numbers


async def conversation(voice: SynthesiserChain) -> list[list[int]]:
    return [await heard(voice) for _ in range(SENTENCES)]


def one_after_another(numbers: Sequence[int]) -> list[int]:
    """The voices in the order of speaking, each as often as it begins."""
    return [number for number, _ in groupby(numbers)]


def uneven(random: Random) -> list[Step]:
    """A sentence of twenty pieces that takes its time, and never stalls."""
    gaps = [random.uniform(0.0, STALL_S - 0.02) for _ in range(19)]
    return [random.uniform(0.5, 1.5) * FIRST_S, *gaps]


@pytest.mark.parametrize("hedge", [0, 95, 99])
@pytest.mark.parametrize("seed", range(5))
def test_a_voice_that_is_well_says_all_of_each_sentence(seed: int, hedge: int) -> None:
    """Several callers at once. At 95 the second one may be first in a sentence, and then it is
    that one's to its end."""
    random = Random(seed)
    chain = voices(
        [uneven(random) for _ in range(TURNS * SENTENCES)], [[FIRST_S] * 20], hedge=hedge
    )

    async def talk() -> None:
        voice = SynthesiserChain(lambda: chain)
        spoken = await asyncio.gather(*(conversation(voice) for _ in range(TURNS)))
        sentences = [numbers for turn in spoken for numbers in turn]
        assert {len(numbers) for numbers in sentences} == {20}
        assert {len(set(numbers)) for numbers in sentences} == {1}
        if hedge != 95:
            assert {numbers[0] for numbers in sentences} == {1}

    run_in_virtual_time(talk())


BREAKS: dict[str, Sequence[Step]] = {
    "fails": [0.1] * 8 + [Fault.TRUNCATED],
    "stalls to its limit": [0.1] * 8 + [2 * LIMITS.gap_s] + [0.1] * 8,
    "comes back": [0.1] * 8 + [STALL_S + 0.6] + [0.01] * 8,
}


@pytest.mark.parametrize(
    ("how", "hedge"),
    [
        *((how, hedge) for how in BREAKS for hedge in (95, 99)),
        ("fails", 0),
        ("stalls to its limit", 0),  # who comes back within it goes on
    ],
)
def test_after_a_failure_the_rest_is_said_by_one_other_voice(how: str, hedge: int) -> None:
    """The first one does not come back in it, not even when it has pieces again."""
    chain = voices([BREAKS[how]], [[FIRST_S] * 12], [[FIRST_S] * 12], hedge=hedge)

    async def talk() -> None:
        spoken = await heard(SynthesiserChain(lambda: chain))
        assert one_after_another(spoken) == [1, 2]
        assert spoken.count(2) == 12

    run_in_virtual_time(talk())


BAD: Sequence[Step] = [Fault.TRUNCATED, Fault.STALLED, STALL_S * 2, 3 * LIMITS.gap_s]


@pytest.mark.parametrize("hedge", [0, 95, 99])
def test_no_voice_begins_twice_in_a_sentence_whatever_fails(hedge: int) -> None:
    """Three voices that fail and stall as they please, several callers at once."""
    random = Random(7)

    def whatever() -> list[Step]:
        steps: list[Step] = list(uneven(random))
        at = random.randrange(40)
        bad = random.choice(BAD)
        return [*steps[:at], bad, *steps[at:]] if at < len(steps) else steps

    scripts = [[whatever() for _ in range(50)] for _ in range(3)]
    chain = voices(*scripts, [[FIRST_S] * 20], hedge=hedge)

    async def talk() -> None:
        voice = SynthesiserChain(lambda: chain)
        spoken = await asyncio.gather(*(conversation(voice) for _ in range(TURNS)))
        orders = [one_after_another(numbers) for turn in spoken for numbers in turn]
        assert [order for order in orders if len(order) != len(set(order))] == []
        assert max(map(len, orders)) > 1  # some did change

    run_in_virtual_time(talk())
