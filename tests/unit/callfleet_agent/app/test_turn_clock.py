"""From the end of the caller's speech to the first sound of the answer."""

from callfleet_agent.app.turn_clock import TurnClock

HEARD = {"endpointing_ms": 200.0, "dialog_ms": 10.0, "result": "heard"}


def test_sound_that_follows_a_turn_ends_the_wait() -> None:
    clock = TurnClock()
    assert clock.turn(HEARD, 10.0) is None
    voice, first = clock.sound(10.05)
    assert (round(voice or 0, 3), round(first or 0, 3)) == (0.26, 0.05)
    assert clock.sound(10.07) == (None, None)  # more of the same


def test_a_wait_goes_on_through_a_question_to_the_bank() -> None:
    clock = TurnClock()
    clock.turn(HEARD, 10.0)
    clock.turn({"result": "cardfound", "bank_ms": 700}, 10.7)
    voice, first = clock.sound(10.75)
    assert (round(voice or 0, 3), round(first or 0, 3)) == (0.96, 0.05)


def test_sound_that_was_made_ahead_may_come_before_its_turn() -> None:
    clock = TurnClock()
    assert clock.sound(10.0) == (None, None)
    assert round(clock.turn({"endpointing_ms": 200}, 10.01) or 0, 3) == 0.19
    clock.silence()
    assert clock.sound(12.0)[0] is None


def test_sound_long_before_a_turn_is_not_its_answer() -> None:
    clock = TurnClock()
    clock.sound(5.0)
    clock.silence()
    assert clock.turn(HEARD, 10.0) is None
    assert round(clock.sound(10.0)[0] or 0, 3) == 0.21


def test_sound_from_before_the_caller_fell_silent_is_no_answer() -> None:
    clock = TurnClock()
    clock.sound(9.95)
    assert clock.turn({"endpointing_ms": 20}, 10.0) is None


def test_a_greeting_and_keys_are_no_answer_to_a_voice() -> None:
    clock = TurnClock()
    assert clock.sound(1.0) == (None, None)
    clock.silence()
    assert clock.turn({"result": "keyed", "dialog_ms": 1}, 2.0) is None
    voice, first = clock.sound(2.1)
    assert voice is None
    assert round(first or 0, 3) == 0.1
