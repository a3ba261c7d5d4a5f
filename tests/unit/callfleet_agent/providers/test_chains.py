"""The three chains, in virtual time: failover, replay, and what the caller hears of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Failure, Fault
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import (
    Message,
    Prompt,
    ResponderChain,
    ResponderError,
    SynthesiserChain,
    SynthesiserError,
    TranscriberChain,
    TranscriberError,
)
from callfleet_agent.providers.failures import Told
from callfleet_agent.providers.lineup import Lineup
from callfleet_agent.providers.ports import Cut
from callfleet_operator.model.engines import Stage
from fakes.engines import FakeEngine, lineup
from fakes.virtual_time import in_virtual_time

GRAMMAR = Dialog().grammars()[0]
PROMPT = Prompt((Message("user", "Hello?"),))


def sound(value: int, samples: int = 800) -> Pcm8k:
    return Pcm8k(value.to_bytes(2, "little") * samples)


def told(into: list[tuple[Stage, str, Fault]]) -> Told:
    def tell(stage: Stage, failure: Failure) -> None:
        into.append((stage, failure.member, failure.fault))

    return tell


class TestRecognition:
    @in_virtual_time
    async def test_the_next_one_hears_all_of_it(self) -> None:
        first, second = FakeEngine([Fault.REFUSED]), FakeEngine(["yes"])
        chain = lineup(first, second)
        failures: list[tuple[Stage, str, Fault]] = []
        utterance = TranscriberChain(lambda: chain).begin(GRAMMAR, (1.0,), told(failures))
        utterance.feed(sound(1))
        utterance.feed(sound(2))
        assert first.sounds == [sound(1), sound(2)]
        assert second.sounds == []
        assert (await utterance.recognise()).text == "yes"
        assert second.sounds == [sound(1), sound(2)]
        assert second.asked == [(1.0,)]
        assert failures == [(Stage.ASR, "a", Fault.REFUSED)]

    @in_virtual_time
    async def test_one_that_stalls_costs_its_limit_and_no_more(self) -> None:
        chain = lineup(FakeEngine([None]), FakeEngine(["yes"]))
        utterance = TranscriberChain(lambda: chain).begin(GRAMMAR, ())
        began = asyncio.get_running_loop().time()
        assert (await utterance.recognise()).text == "yes"
        assert asyncio.get_running_loop().time() - began == pytest.approx(1.1)

    @in_virtual_time
    async def test_more_may_be_fed_after_a_look(self) -> None:
        first = FakeEngine(["yes"])
        chain = lineup(first)
        utterance = TranscriberChain(lambda: chain).begin(GRAMMAR, ())
        utterance.feed(sound(1))
        await utterance.recognise()
        utterance.feed(sound(2))
        await utterance.recognise()
        assert first.sounds == [sound(1), sound(2)]
        utterance.close()
        utterance.close()
        assert first.closed == 1

    @in_virtual_time
    async def test_nobody_hears(self) -> None:
        chain = lineup(FakeEngine([Fault.REFUSED]), FakeEngine([Fault.SERVER_ERROR]))
        with pytest.raises(TranscriberError, match="server_error"):
            await TranscriberChain(lambda: chain).begin(GRAMMAR, ()).recognise()

    @in_virtual_time
    async def test_nobody_is_there(self) -> None:
        empty: Lineup[FakeEngine] = Lineup()
        with pytest.raises(TranscriberError, match="no_provider"):
            await TranscriberChain(lambda: empty).begin(GRAMMAR, ()).recognise()

    @in_virtual_time
    async def test_a_look_that_is_given_up_is_nobodys_failure(self) -> None:
        chain = lineup(FakeEngine([None]))
        utterance = TranscriberChain(lambda: chain).begin(GRAMMAR, ())
        look = asyncio.ensure_future(utterance.recognise())
        await asyncio.sleep(0.5)
        look.cancel()
        await asyncio.gather(look, return_exceptions=True)
        assert chain.members[0].running == 0

    @in_virtual_time
    async def test_an_adapter_that_is_broken_is_a_provider_that_fails(self) -> None:
        chain = lineup(FakeEngine([ZeroDivisionError()]), FakeEngine(["yes"]))
        utterance = TranscriberChain(lambda: chain).begin(GRAMMAR, ())
        assert (await utterance.recognise()).text == "yes"


class TestSpeech:
    @in_virtual_time
    async def test_pieces_come_as_they_are_made(self) -> None:
        chain = lineup(FakeEngine([sound(1), sound(2)]))
        speech = SynthesiserChain(lambda: chain).speech("Hello.", private=True)
        loop, times = asyncio.get_running_loop(), []
        async for piece in speech.pieces():
            times.append((piece.sound, piece.anew, round(loop.time(), 3)))  # noqa: PERF401
        assert times == [(sound(1), False, 0.1), (sound(2), False, 0.2)]

    @in_virtual_time
    async def test_a_voice_that_fails_before_it_speaks_is_not_noticed(self) -> None:
        chain = lineup(FakeEngine([Fault.REFUSED]), FakeEngine([sound(2)]))
        speech = SynthesiserChain(lambda: chain).speech("Hello.", private=True)
        pieces = [piece async for piece in speech.pieces()]
        assert [(piece.sound, piece.anew) for piece in pieces] == [(sound(2), False)]

    @in_virtual_time
    async def test_a_sentence_that_breaks_off_is_said_anew_by_one_voice(self) -> None:
        broken = FakeEngine([sound(1), sound(1), Fault.TRUNCATED])
        chain = lineup(broken, FakeEngine([sound(2), sound(2)]))
        speech = SynthesiserChain(lambda: chain).speech("Hello.", private=False)
        heard = [piece.sound async for piece in speech.pieces()]
        assert heard == [sound(1), sound(1), sound(2), sound(2)]

    @in_virtual_time
    async def test_what_of_it_was_not_sent_is_dropped(self) -> None:
        broken = FakeEngine([sound(1), sound(1), sound(1), Fault.TRUNCATED])
        chain = lineup(broken, FakeEngine([sound(2)]))
        speech = SynthesiserChain(lambda: chain).speech("Hello.", private=True)
        pieces = speech.pieces()
        first = await anext(pieces)
        await asyncio.sleep(2)  # the line is slower than the voice
        rest = [piece async for piece in pieces]
        assert first.sound == sound(1)
        assert [(piece.sound, piece.anew) for piece in rest] == [(sound(2), True)]
        assert speech.done

    @in_virtual_time
    async def test_a_long_sentence_goes_on_at_the_clause_that_was_not_heard(self) -> None:
        """The first voice makes sound faster than it is heard: what is good of it is used."""
        broken = FakeEngine([sound(1, 8000)] * 4 + [Fault.TRUNCATED])
        second = FakeEngine([sound(2), Fault.TRUNCATED])
        third = FakeEngine([sound(3)])
        chain = lineup(broken, second, third)
        sentence = "Your card was sent on Monday, and it will arrive on Wednesday."
        speech = SynthesiserChain(lambda: chain).speech(sentence, private=False)
        heard: list[tuple[bool, str, float]] = []
        async for piece in speech.pieces():
            heard.append((piece.anew, sentence[piece.since :], round(piece.sound.seconds, 1)))
            await asyncio.sleep(piece.sound.seconds)
        rest = "and it will arrive on Wednesday."
        assert heard == [
            (False, sentence, 1.0), (False, sentence, 1.0), (False, sentence, 0.3),
            (True, rest, 0.1),
        ]  # fmt: skip
        assert (broken.asked, second.asked, third.asked) == ([sentence], [rest], [rest])

    @in_virtual_time
    async def test_what_is_short_is_said_again(self) -> None:
        broken, second = FakeEngine([sound(1), sound(1), Fault.TRUNCATED]), FakeEngine([sound(2)])
        chain = lineup(broken, second)
        sentence = "Your card was sent on Monday, and it will arrive on Wednesday."
        speech = SynthesiserChain(lambda: chain).speech(sentence, private=False)
        assert await speech.whole() == sound(2)
        assert second.asked == [sentence]

    @in_virtual_time
    async def test_what_was_said_by_two_voices_is_not_kept(self) -> None:
        broken = FakeEngine([sound(1, 32000), Fault.TRUNCATED])
        second = FakeEngine([sound(2)])
        chain = lineup(broken, second)
        voice = SynthesiserChain(lambda: chain)
        sentence = "Your card was sent on Monday, and it will arrive on Wednesday."
        async for piece in voice.speech(sentence, private=False).pieces():
            await asyncio.sleep(piece.sound.seconds)
        broken.pieces = [Fault.REFUSED]
        assert await voice.speech(sentence, private=False).whole() == sound(2)
        assert second.asked[-1] == sentence

    @in_virtual_time
    async def test_a_voice_that_stalls_is_followed_before_the_caller_notices(self) -> None:
        """Pieces last 1 s and come every 0.1 s; the next voice needs 0.1 s to begin."""
        stalls = FakeEngine([sound(1, 8000), sound(1, 8000), None])
        chain = lineup(stalls, FakeEngine([sound(2)]), hedge_percentile=95)
        for member in chain.members:
            for _ in range(10):
                member.first(0.1)
                member.next_piece(0.1)
        speech = SynthesiserChain(lambda: chain).speech("Hello there.", private=True)
        loop, silence_s, until = asyncio.get_running_loop(), 0.0, 0.1
        async for piece in speech.pieces():
            silence_s += max(0.0, loop.time() - until)
            until = max(until, loop.time()) + piece.sound.seconds
            await asyncio.sleep(until - 0.2 - loop.time())
        assert piece.anew
        assert silence_s < 0.01

    @in_virtual_time
    async def test_the_whole_is_what_the_last_voice_said(self) -> None:
        chain = lineup(FakeEngine([sound(1), Fault.STALLED]), FakeEngine([sound(2), sound(3)]))
        speech = SynthesiserChain(lambda: chain).speech("Hello.", private=True)
        assert await speech.whole() == sound(2) + sound(3)

    @in_virtual_time
    async def test_what_is_not_private_is_paid_for_once(self) -> None:
        engine = FakeEngine([sound(1)])
        chain = lineup(engine)
        voice = SynthesiserChain(lambda: chain)
        for private in (False, False, True):
            assert await voice.speech("Hello.", private=private).whole() == sound(1)
        assert engine.asked == ["Hello."]
        await voice.speech("Secret.", private=True).whole()
        await voice.speech("Secret.", private=True).whole()
        assert engine.asked == ["Hello.", "Secret.", "Secret."]

    @in_virtual_time
    async def test_what_one_voice_said_is_not_given_for_another(self) -> None:
        first, second = FakeEngine([sound(1)]), FakeEngine([sound(2)])
        chain = lineup(first, second)
        voice = SynthesiserChain(lambda: chain)
        await voice.speech("Hello.", private=False).whole()
        chain.members[0].breaker.trip(asyncio.get_running_loop().time())
        assert await voice.speech("Hello.", private=False).whole() == sound(2)

    @in_virtual_time
    async def test_nobody_speaks(self) -> None:
        chain = lineup(FakeEngine([Fault.REFUSED]))
        failures: list[tuple[Stage, str, Fault]] = []
        speech = SynthesiserChain(lambda: chain).speech(
            "Hello.",
            private=True,
            told=told(failures),
        )
        with pytest.raises(SynthesiserError, match="refused"):
            await speech.whole()
        assert failures == [(Stage.TTS, "a", Fault.REFUSED)]

    @in_virtual_time
    async def test_nobody_is_there(self) -> None:
        empty: Lineup[FakeEngine] = Lineup()
        with pytest.raises(SynthesiserError):
            await SynthesiserChain(lambda: empty).speech("Hello.", private=True).whole()


async def sentences(chain: Lineup[FakeEngine]) -> list[str | Cut]:
    return [text async for text in ResponderChain(lambda: chain).answer(PROMPT)]


class TestAnswers:
    @in_virtual_time
    async def test_sentences_come_when_they_are_whole(self) -> None:
        chain = lineup(FakeEngine(["Your card ", "is on its way. It", " comes ", "today"]))
        loop, found = asyncio.get_running_loop(), []
        async for sentence in ResponderChain(lambda: chain).answer(PROMPT):
            found.append((sentence, round(loop.time(), 3)))  # noqa: PERF401
        assert found == [("Your card is on its way.", 0.2), ("It comes today", 0.4)]

    @in_virtual_time
    async def test_what_was_said_is_not_said_again_by_the_next(self) -> None:
        first = FakeEngine(["Your card is on its way. It comes ", Fault.TRUNCATED])
        second = FakeEngine(["Your card is on its way! It comes ", "today. Good bye."])
        found = await sentences(lineup(first, second))
        assert found == ["Your card is on its way.", "It comes today.", "Good bye."]
        asked = [(line.role, line.text) for line in second.asked[0].messages]
        assert asked[0] == ("user", "Hello?")
        assert asked[1] == ("assistant", "Your card is on its way.")
        assert asked[2][0] == "user"

    @in_virtual_time
    async def test_before_a_whole_sentence_the_question_is_asked_as_it_was(self) -> None:
        second = FakeEngine(["It comes today."])
        found = await sentences(lineup(FakeEngine(["Your ca", Fault.STALLED]), second))
        assert found == ["It comes today."]
        assert second.asked == [PROMPT]

    @in_virtual_time
    async def test_a_model_that_finds_nothing_missing_adds_nothing(self) -> None:
        first = FakeEngine(["All is said. ", Fault.TRUNCATED])
        assert await sentences(lineup(first, FakeEngine(["."]))) == ["All is said."]

    @in_virtual_time
    async def test_nobody_answers(self) -> None:
        with pytest.raises(ResponderError, match="malformed"):
            await sentences(lineup(FakeEngine([Fault.MALFORMED])))

    @in_virtual_time
    async def test_an_answer_without_end_is_ended(self) -> None:
        chain = lineup(FakeEngine([f"Number {'x' * n}. " for n in range(1, 20)]))
        found = await sentences(chain)
        assert len(found) == 7
        assert found[-1] is Cut.LENGTH

    @pytest.mark.parametrize(
        ("came", "spoken"),
        [
            (["We do not. You may do so if"], ["We do not."]),
            (["We do not. That is a"], ["We do not."]),
            (["We do not. That is all."], ["We do not.", "That is all."]),
            (['We do not. Say "yes."'], ["We do not.", 'Say "yes."']),
            (["You may do so if"], []),
            ([], []),
        ],
    )
    @pytest.mark.parametrize("why", list(Cut))
    @in_virtual_time
    async def test_one_that_was_cut_off_ends_with_a_whole_sentence(
        self, came: list[str], spoken: list[str], why: Cut
    ) -> None:
        assert await sentences(lineup(FakeEngine([*came, why]))) == [*spoken, why]

    @in_virtual_time
    async def test_a_whole_answer_of_the_next_model_is_not_cut_off(self) -> None:
        first = FakeEngine(["All is ", Cut.LENGTH, Fault.TRUNCATED])
        assert await sentences(lineup(first, FakeEngine(["All is said"]))) == ["All is said"]

    @in_virtual_time
    async def test_who_stops_listening_stops_the_model(self) -> None:
        chain = lineup(FakeEngine(["One. ", "Two. ", "Three. "]))
        models = ResponderChain(lambda: chain)
        assert not models.empty

        async def first_of(answer: AsyncIterator[str | Cut]) -> str | Cut:
            return await anext(answer)

        async with aclosing(models.answer(PROMPT)) as answer:
            assert await first_of(answer) == "One."
        assert chain.members[0].running == 0


@in_virtual_time
async def test_the_first_token_of_an_answer_is_told_once_with_its_pool() -> None:
    chain = lineup(FakeEngine([Fault.REFUSED]), FakeEngine(["We ", "do not. ", "Never."]))
    loop, heard = asyncio.get_running_loop(), []

    def first(pool: str) -> None:
        heard.append((pool, round(loop.time() - began, 3)))

    began = loop.time()
    answer = ResponderChain(lambda: chain).answer(PROMPT, first=first)
    assert [sentence async for sentence in answer] == ["We do not.", "Never."]
    assert heard == [("b", 0.2)]
