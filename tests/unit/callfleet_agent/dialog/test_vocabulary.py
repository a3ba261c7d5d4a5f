"""What the grammar of a date of birth lets be heard digit by digit."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as some

from callfleet_agent.dialog import DateOrder, DialogSettings, Method, State
from callfleet_agent.dialog.dates import EARLIEST, LATEST
from callfleet_agent.dialog.vocabulary import grammars

NAMES: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS: Final = re.compile(r"<(\w+)>|([a-z']+)|([()|\[\]])")
SIGNS: Final = {"(": "(?:", ")": ")", "|": "|", "[": "(?:", "]": ")?"}


def pattern(order: DateOrder) -> re.Pattern[str]:
    """The grammar as a regular expression over words that each end in a space."""
    settings = DialogSettings(method=Method.DATE_OF_BIRTH, date_order=order)
    grammar = grammars(settings)[State.AUTHENTICATE]
    rules = dict(grammar.rules)

    def expanded(expression: str) -> str:
        said = ""
        for name, word, sign in PARTS.findall(expression):
            said += f"(?:{expanded(rules[name])})" if name else f"{word} " if word else SIGNS[sign]
        return said

    return re.compile(expanded(f"<{grammar.root}>"))


HEARS: Final[Mapping[DateOrder, re.Pattern[str]]] = {order: pattern(order) for order in DateOrder}
FORMS: Final = {DateOrder.DAY_FIRST: "%d%m%Y", DateOrder.MONTH_FIRST: "%m%d%Y"}


def hears(order: DateOrder, digits: str, zero: str = "zero") -> bool:
    said = "".join(f"{zero if digit == '0' else NAMES[int(digit)]} " for digit in digits)
    return HEARS[order].fullmatch(said) is not None


@pytest.mark.parametrize("order", DateOrder)
class TestDigitsOfADateOfBirth:
    @given(born=some.dates(EARLIEST, LATEST), zero=some.sampled_from(["oh", "zero"]))
    def test_every_day_is_heard_in_its_order_and_with_the_year_in_front(
        self, order: DateOrder, born: date, zero: str
    ) -> None:
        assert hears(order, born.strftime(FORMS[order]), zero)
        assert hears(order, born.strftime("%Y%m%d"), zero)

    @pytest.mark.parametrize(
        "digits",
        ["12031584", "12032184", "32031984", "00031984", "12131984", "12001984", "1984", "120384"],
    )
    def test_what_nobody_was_born_on_is_not(self, order: DateOrder, digits: str) -> None:
        day_first = (
            digits if order is DateOrder.DAY_FIRST else digits[2:4] + digits[:2] + digits[4:]
        )
        assert not hears(order, day_first)

    def test_words_are(self, order: DateOrder) -> None:
        assert HEARS[order].fullmatch("the twelfth of march nineteen eighty four ")
        assert HEARS[order].fullmatch("start again ")
