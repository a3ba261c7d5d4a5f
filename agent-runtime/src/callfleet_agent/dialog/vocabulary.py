"""The grammar of each listening state: what may be said there."""

from collections.abc import Mapping

from callfleet_agent.dialog.dates import TEENS, TENS, DateOrder
from callfleet_agent.dialog.grammar import (
    Grammar,
    one_of,
    optional,
    phrase,
    reference,
    sequence,
    times,
)
from callfleet_agent.dialog.settings import DialogSettings, Method
from callfleet_agent.dialog.spoken import DIGIT_WORDS, MONTHS, ORDINALS
from callfleet_agent.dialog.state import LISTENING, State

_GLOBAL = {
    "global": one_of(*(reference(name) for name in ("repeat", "help", "operator", "again", "bye"))),
    "repeat": one_of(phrase("repeat"), phrase("please repeat that"), phrase("say that again")),
    "help": one_of(phrase("help"), phrase("help me please")),
    "operator": one_of(
        phrase("operator"), phrase("agent"), phrase("speak to an agent"), phrase("talk to a person")
    ),
    "again": one_of(phrase("start again"), phrase("start over")),
    "bye": one_of(phrase("good bye"), phrase("hang up"), phrase("that is all")),
}
_YES_NO = {
    "yes": one_of(
        phrase("yes"), phrase("yes please"), phrase("yes that is right"), phrase("that is correct"),
        phrase("correct"),
    ),
    "no": one_of(
        phrase("no"), phrase("no thank you"), phrase("no thanks"), phrase("no that is wrong"),
        phrase("that is wrong"),
    ),
}  # fmt: skip
_CARD = {
    "kind": one_of(phrase("credit card"), phrase("debit card"), phrase("bank card"),
                   phrase("new card"), phrase("card")),
    "card": one_of(
        sequence(phrase("where is"), one_of(phrase("my"), phrase("the")), reference("kind")),
        sequence(phrase("where's"), phrase("my"), reference("kind")),
        sequence(phrase("when will"), phrase("my"), reference("kind"),
                 one_of(phrase("arrive"), phrase("be delivered"), phrase("come"))),
        sequence(phrase("has"), phrase("my"), reference("kind"), phrase("been"),
                 one_of(phrase("sent"), phrase("shipped"), phrase("delivered"))),
        sequence(phrase("i have not received"), phrase("my"), reference("kind")),
        sequence(optional(phrase("the")), phrase("status of"), phrase("my"), reference("kind")),
        sequence(optional(phrase("my")), reference("kind"), one_of(phrase("status"),
                 phrase("delivery"))),
        sequence(phrase("track"), phrase("my"), reference("kind")),
    ),
}  # fmt: skip


def _intent() -> Grammar:
    root = one_of(reference("card"), reference("global"))
    return Grammar.of("intent", {"main": root, **_CARD, **_GLOBAL}, root="main")


_DIGIT = {"digit": one_of(*(phrase(word) for word in (*DIGIT_WORDS, "oh")))}


def _number(count: int) -> dict[str, str]:
    return {"number": times(reference("digit"), count), **_DIGIT}


def _digits(name: str, count: int) -> Grammar:
    rules = {"main": one_of(reference("number"), reference("global")), **_number(count), **_GLOBAL}
    return Grammar.of(name, rules, root="main")


_SEND_AGAIN = one_of(
    phrase("send it again"), phrase("send another code"), phrase("i have not got a code"),
)  # fmt: skip


def _code(name: str, count: int) -> Grammar:
    root = one_of(reference("number"), reference("send"), reference("global"))
    rules = {"main": root, **_number(count), "send": _SEND_AGAIN, **_GLOBAL}
    return Grammar.of(name, rules, root="main")


def _date_rules() -> dict[str, str]:
    """A day with the month before or after it, and a year of four digits."""
    units = DIGIT_WORDS[1:]
    days = [*units, *TEENS, "twenty", *(f"twenty {unit}" for unit in units), "thirty", "thirty one"]
    nth = [text.replace("-", " ") for text in ORDINALS if text]
    the, day, month, year = optional(phrase("the")), *map(reference, ("day", "month", "year"))
    unit = optional(reference("unit"))
    return {
        "date": one_of(
            sequence(the, day, optional(phrase("of")), month, year),
            sequence(month, the, day, year),
        ),
        "day": one_of(*map(phrase, (*nth, *days))),
        "month": one_of(*(phrase(name.lower()) for name in MONTHS if name)),
        "unit": one_of(*map(phrase, units)),
        "small": one_of(
            *map(phrase, TEENS), sequence(one_of(*map(phrase, TENS)), unit)
        ),
        "year": one_of(
            sequence(phrase("nineteen"), reference("small")),
            # The twenties of a century that has no thirties yet: "nineteen" is heard as "twenty".
            sequence(
                phrase("twenty"), one_of(*map(phrase, TEENS), sequence(phrase("twenty"), unit))
            ),
            sequence(one_of(phrase("nineteen"), phrase("twenty")), phrase("oh"), reference("unit")),
            phrase("nineteen hundred"),
            sequence(
                phrase("two thousand"),
                optional(sequence(optional(phrase("and")),
                                  one_of(reference("unit"), reference("small")))),
            ),
        ),
    }  # fmt: skip


def _date_digits(order: DateOrder) -> dict[str, str]:
    """Eight digits that can be a day on which somebody was born, the year last or first: of two
    that sound alike, "nine" and "five", often one alone makes a year."""
    zero, any_digit = one_of(phrase("zero"), phrase("oh")), reference("digit")
    tail = one_of(*map(phrase, DIGIT_WORDS[1:]))
    day, month, year = map(reference, ("dd", "mm", "yyyy"))
    short = (day, month) if order is DateOrder.DAY_FIRST else (month, day)
    return {
        "digits": one_of(sequence(*short, year), sequence(year, month, day)),
        "dd": one_of(
            sequence(zero, tail), sequence(one_of(phrase("one"), phrase("two")), any_digit),
            sequence(phrase("three"), one_of(zero, phrase("one"))),
        ),
        "mm": one_of(
            sequence(zero, tail),
            sequence(phrase("one"), one_of(zero, phrase("one"), phrase("two"))),
        ),
        "yyyy": sequence(
            one_of(phrase("one nine"), sequence(phrase("two"), zero)), times(any_digit, 2)
        ),
    }  # fmt: skip


def _date(name: str, order: DateOrder) -> Grammar:
    root = one_of(reference("date"), reference("digits"), reference("global"))
    rules = {"main": root, **_date_rules(), **_date_digits(order), **_DIGIT, **_GLOBAL}
    return Grammar.of(name, rules, root="main")


def _credential(settings: DialogSettings) -> Grammar:
    if settings.method is Method.DATE_OF_BIRTH:
        return _date("authenticate", settings.date_order)
    kind = _code if settings.method is Method.ONE_TIME_CODE else _digits
    return kind("authenticate", settings.credential_keys)


def _yes_no(name: str) -> Grammar:
    root = one_of(reference("yes"), reference("no"), reference("global"))
    return Grammar.of(name, {"main": root, **_YES_NO, **_GLOBAL}, root="main")


def _more() -> Grammar:
    root = one_of(*(reference(name) for name in ("yes", "no", "card", "global")))
    return Grammar.of("more", {"main": root, **_YES_NO, **_CARD, **_GLOBAL}, root="main")


def grammars(settings: DialogSettings) -> Mapping[State, Grammar]:
    """The grammar of every listening state."""
    found = {
        State.CONTINUE: _more(),
        State.INTENT: _intent(),
        State.IDENTIFY: _digits("identify", settings.customer_number_digits),
        State.CONFIRM_NUMBER: _yes_no("confirm"),
        State.AUTHENTICATE: _credential(settings),
        State.CONFIRM_CREDENTIAL: _yes_no("confirm"),
        State.TRY_AGAIN: _yes_no("confirm"),
        State.MORE: _more(),
    }
    return {state: found[state] for state in State if state in LISTENING}
