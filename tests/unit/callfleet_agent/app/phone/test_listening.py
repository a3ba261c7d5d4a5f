"""What counts as the answer to a turn: the first speech after it that is no filler."""

import asyncio

import numpy as np
import pytest

from callfleet_agent.app.errors import AppError
from callfleet_agent.app.phone.hearing import Heard, Hears
from callfleet_agent.app.phone.listening import Listening
from callfleet_agent.app.phone.measure import SpeechArrivals, TurnTimes
from callfleet_agent.app.phone.report import CallReport, TurnReport
from callfleet_agent.app.phone.transcript import Transcript
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k

LOUD = Pcm8k.from_samples(np.full(FRAME_SAMPLES, 4000))
QUIET = Pcm8k.from_samples(np.full(FRAME_SAMPLES, 30))
FRAME_S, DELAY_S = 0.02, 0.06
FILLER = "one moment please"
# Its last word ends with the 30th frame after 10 frames of quiet, which is 0.8 s.
SAID = "#" * 12 + ".." + "#" * 6 + "." + "#" * 9
FILLER_ENDS = (0.3, 0.62, 0.8)
PAUSE = "." * 30  # more than what ends an utterance


class FakeEar:
    """Has its answers written down, one for each utterance; None: it cannot recognise."""

    def __init__(self, *answers: Heard | None) -> None:
        self._answers = list(answers)

    async def recognise(self, utterance: Pcm8k) -> Heard:
        heard = self._answers.pop(0)
        if heard is None:
            raise AppError("the recogniser ended")
        return heard


async def report_of(pattern: str, ear: Hears | None) -> tuple[CallReport, list[str]]:
    """What is reported of one turn that ended at 0.0, and shown, where the agent is then heard:
    `#` is a frame of speech, `.` is none. The jitter buffer gives a frame back after 60 ms."""
    shown: list[str] = []
    listening = Listening(Transcript(lambda who, text: shown.append(f"{who}: {text}")))
    listening.ear = ear
    arrivals = SpeechArrivals()
    turn = TurnTimes(began_at=-1.0, speech_began_at=-1.0, speech_ended_at=0.0)
    for number, kind in enumerate(pattern + PAUSE):
        sound, at = (LOUD if kind == "#" else QUIET), FRAME_S * number
        if arrivals.receive(sound, at) and arrivals.began_at is not None:
            listening.onset(arrivals.began_at)
        listening.hear(sound, at + DELAY_S)
    listening.finish(FRAME_S * len(pattern + PAUSE))
    report = CallReport(turns=[TurnReport("say", "where is my card")])
    await listening.write_down(report, [turn], arrivals.runs)
    await asyncio.sleep(0)
    return report, shown


def frames(milliseconds: float | None) -> int | None:
    """A time as the number of the frame that came then."""
    return None if milliseconds is None else round(milliseconds / 1000 / FRAME_S)


async def test_an_answer_is_what_is_said_first() -> None:
    ear = FakeEar(Heard("your card was lost", (0.3, 0.4, 0.5, 0.6)))
    report, shown = await report_of("." * 20 + SAID, ear)
    assert frames(report.turns[0].answer_ms) == 20
    assert report.turns[0].heard == ["your card was lost"]
    assert shown == ["agent: your card was lost"]


async def test_a_filler_alone_is_no_answer() -> None:
    report, shown = await report_of("." * 20 + SAID, FakeEar(Heard(FILLER, FILLER_ENDS)))
    assert report.turns[0].answer_ms is None
    assert report.turns[0].heard == [FILLER]
    assert shown == [f"agent: {FILLER}"]


async def test_the_answer_is_what_follows_a_filler_after_a_while() -> None:
    ear = FakeEar(Heard(FILLER, FILLER_ENDS), Heard("your card was lost", (0.3, 0.4, 0.5, 0.6)))
    report, _ = await report_of("." * 20 + SAID + PAUSE + SAID, ear)
    assert frames(report.turns[0].answer_ms) == 20 + len(SAID) + len(PAUSE)
    assert report.turns[0].heard == [FILLER, "your card was lost"]


@pytest.mark.parametrize("pause", [2, 5, 20])
@pytest.mark.parametrize("late_s", [0.0, 0.09])
@pytest.mark.parametrize("quiet", [4, 20])
async def test_the_answer_is_found_in_one_utterance_with_its_filler(
    pause: int, late_s: float, quiet: int
) -> None:
    """However long it was quiet before, and where the last word's end is heard a little late."""
    early = (10 - min(quiet, 10)) * FRAME_S
    ends = (*FILLER_ENDS[:2], FILLER_ENDS[2] + late_s, 1.1, 1.2, 1.3, 1.5)
    ear = FakeEar(Heard(f"{FILLER} your card was lost", tuple(end - early for end in ends)))
    report, _ = await report_of("." * quiet + SAID + "." * pause + SAID, ear)
    assert frames(report.turns[0].answer_ms) == quiet + len(SAID) + pause


async def test_an_answer_without_a_pause_begins_as_its_filler_ends() -> None:
    ends = (*FILLER_ENDS, 0.9, 1.0, 1.1, 1.2)
    ear = FakeEar(Heard(f"{FILLER} your card was lost", ends))
    report, _ = await report_of("." * 20 + SAID + "#" * 20, ear)
    assert frames(report.turns[0].answer_ms) == 20 + len(SAID)


async def test_a_filler_that_is_said_twice_is_no_answer_either() -> None:
    second = tuple(end + 0.8 for end in FILLER_ENDS)
    ear = FakeEar(Heard(f"{FILLER} {FILLER} good bye", (*FILLER_ENDS, *second, 1.8, 2.0)))
    report, _ = await report_of("." * 20 + SAID + "." * 10 + SAID + "." * 5 + "#" * 10, ear)
    assert frames(report.turns[0].answer_ms) == 20 + 2 * len(SAID) + 15


async def test_what_no_word_is_known_of_after_a_filler_is_an_answer() -> None:
    ear = FakeEar(Heard(FILLER, FILLER_ENDS))
    report, _ = await report_of("." * 20 + SAID + "." * 10 + SAID, ear)
    assert frames(report.turns[0].answer_ms) == 20 + len(SAID) + 10


async def test_words_of_a_filler_inside_an_answer_are_the_answer() -> None:
    text = f"your card was lost {FILLER}"
    ear = FakeEar(Heard(text, (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)))
    report, _ = await report_of("." * 20 + SAID, ear)
    assert frames(report.turns[0].answer_ms) == 20


@pytest.mark.parametrize("ear", [None, FakeEar(None), FakeEar(Heard())])
async def test_without_its_words_a_filler_counts(ear: Hears | None) -> None:
    report, shown = await report_of("." * 20 + SAID, ear)
    assert frames(report.turns[0].answer_ms) == 20
    assert report.turns[0].heard == []
    assert shown == ([] if ear is None else ["agent: (speech)"])


async def test_a_click_is_no_speech() -> None:
    report, _ = await report_of("." * 20 + "#", FakeEar(Heard()))
    assert report.turns[0].answer_ms is None
