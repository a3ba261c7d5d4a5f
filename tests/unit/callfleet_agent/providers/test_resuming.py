"""Where another voice goes on."""

import pytest

from callfleet_agent.providers.resuming import USUAL_PACE_S, Pace, resumption

LONG = "Your card was sent on Monday, and it will arrive on Wednesday, if nothing happens."
PLAIN = "Your credit card was handed to the post office in the early morning of yesterday."


@pytest.mark.parametrize(
    ("heard", "goes_on"),
    [
        (0, LONG),
        (14, LONG),  # less than a second
        (30, LONG),  # it may not have come to the comma
        (45, "and it will arrive on Wednesday, if nothing happens."),
        (75, "and it will arrive on Wednesday, if nothing happens."),
        (200, "if nothing happens."),
    ],
)
def test_it_goes_on_where_a_clause_begins_that_was_not_heard(heard: int, goes_on: str) -> None:
    assert LONG[resumption(LONG, heard * USUAL_PACE_S, USUAL_PACE_S) :] == goes_on


@pytest.mark.parametrize(
    ("heard", "goes_on"),
    [
        (30, PLAIN),  # short: all of it again
        (60, "office in the early morning of yesterday."),
        (60 * 60, "yesterday."),
    ],
)
def test_a_long_stretch_without_clauses_goes_on_a_few_words_before(
    heard: int, goes_on: str
) -> None:
    assert PLAIN[resumption(PLAIN, heard * USUAL_PACE_S, USUAL_PACE_S) :] == goes_on


@pytest.mark.parametrize("sentence", ["", "Yes.", "1,234,567.89", "Well,"])
def test_there_is_always_something_left_to_say(sentence: str) -> None:
    assert resumption(sentence, 60.0, USUAL_PACE_S) == 0


def test_a_slow_voice_has_said_less() -> None:
    assert resumption(LONG, 2.9, 0.05) > resumption(LONG, 2.9, 0.15) == 0


class TestPace:
    def test_it_is_what_was_measured(self) -> None:
        pace = Pace()
        assert pace.each_s == USUAL_PACE_S
        pace.add(2.0, 20)
        pace.add(1.0, 20)
        assert pace.each_s == 3 / 40

    @pytest.mark.parametrize(("seconds", "each_s"), [(0.1, 0.03), (60.0, 0.15)])
    def test_it_stays_within_what_people_speak(self, seconds: float, each_s: float) -> None:
        pace = Pace()
        pace.add(seconds, 40)
        assert pace.each_s == each_s
