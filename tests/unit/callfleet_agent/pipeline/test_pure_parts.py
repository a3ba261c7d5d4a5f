"""The pipeline's pure parts: keys, endpointing, playout, rejection, echo."""

import numpy as np
import pytest

from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k
from callfleet_agent.pipeline.echo import EchoGuard
from callfleet_agent.pipeline.endpointing import Advice, Endpointing
from callfleet_agent.pipeline.keys import KeyCollector
from callfleet_agent.pipeline.playout import Playout
from callfleet_agent.pipeline.rejection import Segment, confidence, signs_of
from callfleet_agent.pipeline.settings import EndpointingSettings


class TestKeys:
    def test_enough_keys_are_complete(self) -> None:
        keys = KeyCollector(4, 100)
        assert [keys.press(key) for key in "4271"] == [None, None, None, "4271"]

    def test_a_hash_ends_early_and_alone_is_nothing(self) -> None:
        keys = KeyCollector(4, 100)
        assert [keys.press(key) for key in "#12#"] == [None, None, None, "12"]

    def test_a_star_is_an_answer_of_its_own(self) -> None:
        keys = KeyCollector(4, 100)
        assert [keys.press(key) for key in "12*"] == [None, None, "*"]
        assert not keys.started

    def test_letters_are_nothing(self) -> None:
        assert KeyCollector(1, 100).press("A") is None

    def test_keys_that_stop_are_taken_after_a_while(self) -> None:
        keys = KeyCollector(4, 3)
        assert keys.tick() is None
        keys.press("7")
        assert keys.started
        assert [keys.tick() for _ in range(3)] == [None, None, "7"]
        assert keys.tick() is None


class TestEndpointing:
    @pytest.fixture
    def end(self) -> Endpointing:
        return Endpointing(EndpointingSettings(look_ms=96, min_ms=200, max_ms=1200), 15_000)

    def test_it_looks_once_in_each_quiet(self, end: Endpointing) -> None:
        found = [end.voice(20, quiet) for quiet in (0, 64, 96, 128)]
        assert found == [Advice.WAIT, Advice.WAIT, Advice.LOOK, Advice.WAIT]

    def test_what_is_complete_ends_after_the_short_time(self, end: Endpointing) -> None:
        end.voice(20, 96)
        assert end.looked(complete=True) is Advice.WAIT
        assert end.voice(20, 192) is Advice.WAIT
        assert end.voice(20, 224) is Advice.COMMIT

    def test_what_is_not_complete_ends_after_the_long_time(self, end: Endpointing) -> None:
        end.voice(20, 96)
        end.looked(complete=False)
        assert end.voice(20, 1184) is Advice.WAIT
        assert end.voice(20, 1216) is Advice.COMMIT

    def test_a_late_look_commits_by_itself(self, end: Endpointing) -> None:
        end.voice(20, 96)
        assert end.voice(20, 300) is Advice.WAIT
        assert end.looked(complete=True) is Advice.COMMIT

    def test_speech_that_goes_on_begins_anew(self, end: Endpointing) -> None:
        end.voice(20, 96)
        end.looked(complete=True)
        assert end.voice(20, 0) is Advice.WAIT
        assert (end.complete, end.looking) == (None, False)
        assert end.looked(complete=True) is Advice.WAIT
        assert end.complete is None
        assert end.voice(20, 96) is Advice.LOOK

    def test_nobody_speaks_for_ever(self, end: Endpointing) -> None:
        assert end.voice(15_000, 0) is Advice.COMMIT


class TestPlayout:
    def test_it_speaks_until_the_end_was_played(self) -> None:
        playout = Playout()
        playout.add("Hello there.", epoch=0, start=0, samples=800, barge_in=True)
        assert not playout.finished(0, 800)
        playout.complete(0, 800)
        assert not playout.finished(0, 799)
        assert playout.speaking is True
        assert playout.finished(0, 800)
        assert bool(playout.speaking) is False
        assert not playout.finished(0, 800)

    @pytest.mark.parametrize(
        ("position", "words"),
        [(0, ""), (400, "Hello"), (800, "Hello there."), (1000, "Hello there. How"),
         (9999, "Hello there. How are you today?")],
    )  # fmt: skip
    def test_what_was_heard(self, position: int, words: str) -> None:
        playout = Playout()
        playout.add("Hello there.", epoch=3, start=0, samples=800, barge_in=True)
        playout.add("How are you today?", epoch=3, start=800, samples=800, barge_in=True)
        assert playout.heard(3, position) == words
        assert playout.heard(2, position) == ""

    @pytest.mark.parametrize(
        ("position", "words"),
        [(600, "Sent"), (1600, "Sent on Monday,"), (2400, "Sent on Monday, it arrives"),
         (9999, "Sent on Monday, it arrives on Friday.")],
    )  # fmt: skip
    def test_a_sentence_in_two_voices_is_heard_once(self, position: int, words: str) -> None:
        playout, text = Playout(), "Sent on Monday, it arrives on Friday."
        playout.add(text, epoch=0, start=0, samples=1600, barge_in=True, whole=False)
        playout.broke_off(text[:16])
        playout.add(text[16:], epoch=0, start=1600, samples=1600, barge_in=True)
        assert playout.heard(0, position) == words

    def test_a_sentence_that_is_said_again_is_heard_once(self) -> None:
        playout = Playout()
        playout.add("Hello there.", epoch=0, start=0, samples=800, barge_in=True, whole=False)
        playout.broke_off("")
        playout.add("Hello there.", epoch=0, start=800, samples=1600, barge_in=True)
        assert playout.heard(0, 9999) == "Hello there."

    def test_an_interruption_ends_it(self) -> None:
        playout = Playout()
        playout.add("Hello", epoch=0, start=0, samples=8, barge_in=False)
        assert not playout.barge_in
        playout.interrupted()
        playout.complete(0, 8)
        assert not playout.finished(0, 8)

    def test_a_new_prompt_forgets_the_last(self) -> None:
        playout = Playout()
        playout.add("One", epoch=0, start=0, samples=8, barge_in=True)
        playout.complete(0, 8)
        assert playout.finished(0, 8)
        playout.add("Two", epoch=0, start=8, samples=8, barge_in=True)
        assert playout.heard(0, 16) == "Two"


SPELLED = {"yes": ("Y", "EH", "S")}


class TestRejection:
    def test_a_perfect_word(self) -> None:
        phones = [Segment("Y", 0, 8, 0), Segment("EH", 9, 17, 0), Segment("S", 18, 26, 0)]
        signs = signs_of([Segment("yes", 0, 26, 0.0)], phones, SPELLED)
        assert (signs.fit, signs.coverage, signs.phones, signs.pace, signs.length) == (
            0,
            1,
            0,
            0,
            0,
        )
        assert confidence(signs) > 0.9

    def test_a_word_forced_on_other_sounds(self) -> None:
        phones = [Segment(name, 9 * n, 9 * n + 8, 0.0) for n, name in enumerate("ABCDEFGH")]
        signs = signs_of([Segment("yes", 0, 26, -180.0)], phones, SPELLED)
        assert signs.coverage == pytest.approx(27 / 72)
        assert signs.phones == -1
        assert confidence(signs) < 0.1

    def test_nothing_at_all(self) -> None:
        signs = signs_of([], [], {})
        assert (signs.worst_word, signs.coverage) == (-10.0, 0)


class TestEcho:
    @staticmethod
    def run(inbound: np.ndarray, reference: np.ndarray) -> bool:
        guard = EchoGuard()
        for at in range(0, len(inbound), FRAME_SAMPLES):
            piece = slice(at, at + FRAME_SAMPLES)
            guard.feed(Pcm8k.from_samples(inbound[piece]), Pcm8k.from_samples(reference[piece]))
        return guard.is_echo()

    @staticmethod
    def speech(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        noise = rng.normal(0, 1, 9600)
        return np.convolve(noise, np.ones(8), "same") * np.repeat(rng.uniform(200, 900, 60), 160)

    @pytest.mark.parametrize("delay", [0, 480, 1600, 2600])
    @pytest.mark.parametrize("gain", [1.0, 0.3, 0.02])
    def test_what_was_played_comes_back(self, delay: int, gain: float) -> None:
        played = self.speech(1)
        back = np.concatenate((np.zeros(delay), played))[: len(played)] * gain
        assert self.run(back, played)

    def test_somebody_else_speaks(self) -> None:
        assert not self.run(self.speech(2), self.speech(1))

    def test_somebody_else_speaks_over_a_quiet_echo(self) -> None:
        played = self.speech(1)
        assert not self.run(self.speech(2) + 0.15 * np.roll(played, 800), played)

    def test_nothing_is_played(self) -> None:
        assert not self.run(self.speech(2), np.zeros(9600))
        assert not EchoGuard().is_echo()
