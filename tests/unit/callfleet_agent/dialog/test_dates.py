"""Dates of birth: keyed in either order, said in many ways, read back."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.dialog.dates import (
    EARLIEST,
    LATEST,
    DateOrder,
    date_of_birth_to_words,
    has_month,
    keyed_date,
    spoken_date,
)
from callfleet_agent.dialog.history import BLANK, blanked

DAY, MONTH = DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST
births = st.dates(EARLIEST, LATEST)


@pytest.mark.parametrize(
    ("digits", "order", "born"),
    [
        ("29021980", DAY, "1980-02-29"),
        ("02291980", MONTH, "1980-02-29"),
        ("19800229", DAY, "1980-02-29"),
        ("19800229", MONTH, "1980-02-29"),
        ("05041990", DAY, "1990-04-05"),
        ("05041990", MONTH, "1990-05-04"),
        ("19121980", DAY, "1980-12-19"),
        ("29021981", DAY, None),  # no leap year
        ("31041990", DAY, None),
        ("29021980", MONTH, None),
        ("00000000", DAY, None),
        ("01011899", DAY, None),
        ("2902198", DAY, None),
        ("290219800", DAY, None),
        ("٢٩٠٢١٩٨٠", DAY, None),
        ("", DAY, None),
    ],
)
def test_keyed(digits: str, order: DateOrder, born: str | None) -> None:
    assert keyed_date(digits, order) == born


@pytest.mark.parametrize(
    ("text", "born"),
    [
        ("the twenty ninth of february nineteen eighty", "1980-02-29"),
        ("february the twenty-ninth nineteen eighty", "1980-02-29"),
        ("February 29th, 1980.", "1980-02-29"),
        ("29 February 1980", "1980-02-29"),
        ("i was born on the first of may nineteen sixty", "1960-05-01"),
        ("my date of birth is may one nineteen oh five", "1905-05-01"),
        ("march twenty two thousand", "2000-03-20"),
        ("march twenty two two thousand", "2000-03-22"),
        ("march twenty second two thousand and five", "2005-03-22"),
        ("march third two thousand five", "2005-03-03"),
        ("thirty one december twenty ten", "2010-12-31"),
        ("twelve july nineteen hundred", "1900-07-12"),
        ("july twelve nineteen hundred and eighteen", "1918-07-12"),
        ("june fifth one nine nine zero", "1990-06-05"),
        ("june fifth 19 90", "1990-06-05"),
        ("two nine oh two one nine eight zero", "1980-02-29"),
        ("29/02/1980", "1980-02-29"),
        ("1980-02-29", "1980-02-29"),
        ("february thirtieth nineteen eighty", None),
        ("february twenty ninth", None),
        ("february nineteen eighty", None),
        ("february nineteen eighty one", None),
        ("twenty ninth of february", None),
        ("the twenty ninth of february eighty", None),
        ("the fortieth of may nineteen eighty", None),
        ("may first nineteen", None),
        ("may first nineteen five", None),
        ("may first nineteen oh ten", None),
        ("may first twenty hundred and zero", None),
        ("may first two thousand and nothing", None),
        ("may", None),
        ("good morning", None),
        ("", None),
    ],
)
def test_spoken(text: str, born: str | None) -> None:
    assert spoken_date(text, DAY) == born


def test_nobody_is_born_tomorrow() -> None:
    today = date(2026, 11, 26)
    tomorrow = today + timedelta(days=1)
    assert keyed_date(today.strftime("%d%m%Y"), DAY, today) == "2026-11-26"
    assert keyed_date(tomorrow.strftime("%d%m%Y"), DAY, today) is None
    assert spoken_date("november twenty seventh twenty twenty six", DAY, today) is None


@pytest.mark.parametrize(
    ("iso", "words"),
    [
        ("1980-02-29", "February the twenty-ninth, nineteen eighty"),
        ("1900-01-01", "January the first, nineteen hundred"),
        ("1905-03-02", "March the second, nineteen oh five"),
        ("1913-03-02", "March the second, nineteen thirteen"),
        ("1999-12-31", "December the thirty-first, nineteen ninety nine"),
        ("2000-01-01", "January the first, two thousand"),
        ("2007-01-01", "January the first, two thousand and seven"),
        ("2021-01-01", "January the first, twenty twenty one"),
    ],
)
def test_read_back(iso: str, words: str) -> None:
    assert date_of_birth_to_words(iso) == words


@given(births)
def test_what_is_read_back_is_understood_as_the_same_day(born: date) -> None:
    assert spoken_date(date_of_birth_to_words(born.isoformat()), MONTH) == born.isoformat()


@given(births, st.sampled_from(DateOrder))
def test_every_day_can_be_keyed_in_both_orders_and_with_the_year_in_front(
    born: date, order: DateOrder
) -> None:
    first, second = ("%d", "%m") if order is DAY else ("%m", "%d")
    for form in (f"{first}{second}%Y", "%Y%m%d"):
        assert keyed_date(born.strftime(form), order) == born.isoformat()


@given(births)
def test_no_date_of_birth_stays_in_a_history(born: date) -> None:
    said = date_of_birth_to_words(born.isoformat())
    assert blanked(f"I heard {said}.") == f"I heard {BLANK}."
    assert blanked(said.replace("-", " ").lower()) == BLANK


@pytest.mark.parametrize(
    "text",
    [
        "i was born on the {} you know", "my birthday is {}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "born",
    [
        "twenty ninth of february nineteen eighty", "february twenty ninth nineteen eighty",
        "29 February 1980", "February 29, 1980", "29.02.1980", "nineteen eighty",
    ],
)  # fmt: skip
def test_what_callers_say_of_their_birth_is_blanked(text: str, born: str) -> None:
    kept = blanked(text.format(born), also_days=True).lower()
    assert not any(word in kept for word in ("twenty", "ninth", "eighty", "29", "80", "february"))


def test_the_day_of_a_card_stays_and_that_of_a_caller_does_not() -> None:
    shipped = "Your card was shipped on November the twentieth with Royal Mail."
    assert blanked(shipped) == shipped
    assert blanked("february twenty ninth", also_days=True) == BLANK
    assert blanked("the twenty-ninth of february", also_days=True) == BLANK


def test_a_month_is_a_word_that_is_nothing_else() -> None:
    assert has_month("it was in february")
    assert not has_month("may i march on")
