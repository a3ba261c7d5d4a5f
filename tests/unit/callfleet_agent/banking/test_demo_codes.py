"""One-time codes: good once, for five minutes and three tries; so many are made and no more."""

import pytest

from callfleet_agent.banking.demo_codes import (
    DIGITS,
    GOOD_FOR_S,
    MOST_SENT,
    SENT_WITHIN_S,
    Judged,
    OneTimeCodes,
    drawn_code,
)


class Now:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def codes(now: Now) -> OneTimeCodes:
    drawn = iter(f"{number:06}" for number in range(100))
    return OneTimeCodes(now, lambda: next(drawn))


def test_it_is_good_once(codes: OneTimeCodes) -> None:
    code = codes.make("c-1")
    assert code == "000000"
    assert codes.judge("c-1", code) is Judged.RIGHT
    assert codes.judge("c-1", code) is Judged.EXPIRED


def test_it_is_good_for_whom_it_was_made(codes: OneTimeCodes) -> None:
    code = codes.make("c-1")
    codes.make("c-2")
    assert code is not None
    assert codes.judge("c-2", code) is Judged.WRONG
    assert codes.judge("c-3", code) is Judged.EXPIRED


def test_it_is_good_for_so_long(codes: OneTimeCodes, now: Now) -> None:
    code = codes.make("c-1") or ""
    now.s = GOOD_FOR_S - 1
    assert codes.judge("c-1", "999999") is Judged.WRONG
    now.s = GOOD_FOR_S
    assert codes.judge("c-1", code) is Judged.EXPIRED


def test_after_three_tries_the_right_one_is_worth_nothing(codes: OneTimeCodes) -> None:
    code = codes.make("c-1") or ""
    assert [codes.judge("c-1", "999999") for _ in range(3)] == [Judged.WRONG] * 3
    assert codes.judge("c-1", code) is Judged.EXPIRED


def test_a_new_one_replaces_the_one_before(codes: OneTimeCodes) -> None:
    first, second = codes.make("c-1") or "", codes.make("c-1") or ""
    assert codes.judge("c-1", first) is Judged.WRONG
    assert codes.judge("c-1", second) is Judged.RIGHT


def test_so_many_are_made_in_a_quarter_of_an_hour(codes: OneTimeCodes, now: Now) -> None:
    assert None not in [codes.make("c-1") for _ in range(MOST_SENT)]
    assert codes.make("c-1") is None
    assert codes.make("c-2") is not None
    now.s = SENT_WITHIN_S
    assert codes.make("c-1") is not None


def test_those_that_nobody_asked_about_for_long_are_forgotten(codes: OneTimeCodes) -> None:
    codes.draw = lambda: "123456"
    for number in range(10_001):
        codes.make(f"c-{number}")
    assert codes.judge("c-0", "123456") is Judged.EXPIRED
    assert codes.judge("c-1", "123456") is Judged.RIGHT


def test_they_are_drawn_by_chance_and_in_no_repr(codes: OneTimeCodes) -> None:
    drawn = {drawn_code() for _ in range(200)}
    assert len(drawn) > 190
    assert all(len(code) == DIGITS and code.isdecimal() for code in drawn)
    assert (codes.make("c-1") or "") not in repr(codes)
