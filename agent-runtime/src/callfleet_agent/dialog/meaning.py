"""From words and keys to the few meanings that the transitions know."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from callfleet_agent.dialog.dates import DateOrder, has_month, keyed_date, spoken_date
from callfleet_agent.dialog.settings import DialogSettings, Method
from callfleet_agent.dialog.spoken import words_to_digits
from callfleet_agent.dialog.state import State


class Meaning(StrEnum):
    """The columns of the transition table."""

    STARTED = "started"
    CARD = "card"
    SPOKEN_DIGITS = "spoken_digits"
    KEYED_DIGITS = "keyed_digits"
    WRONG_LENGTH = "wrong_length"
    SEND_AGAIN = "send_again"
    YES = "yes"
    NO = "no"
    REPEAT = "repeat"
    HELP = "help"
    OPERATOR = "operator"
    START_AGAIN = "start_again"
    GOOD_BYE = "good_bye"
    NO_MATCH = "no_match"
    NO_INPUT = "no_input"
    VERIFIED = "verified"
    REFUSED = "refused"
    LOCKED = "locked"
    UNKNOWN_CALLER = "unknown_caller"
    CODE_SENT = "code_sent"
    NO_CODE = "no_code"
    EXPIRED = "expired"
    CARD_FOUND = "card_found"
    CARD_NOT_FOUND = "card_not_found"
    BANK_SLOW = "bank_slow"
    BANK_FAILED = "bank_failed"


_CONTAINED: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (Meaning.GOOD_BYE, re.compile(r"\b(good ?bye|bye|hang up|that is all|that's all)\b")),
    (Meaning.START_AGAIN, re.compile(r"\b(start (again|over)|different number)\b")),
    (Meaning.REPEAT, re.compile(r"\b(repeat|say (that|it) again|pardon|what did you say)\b")),
    (Meaning.OPERATOR, re.compile(r"\b(operator|agent|human|person|representative)\b")),
    (Meaning.HELP, re.compile(r"\b(help|what can (i|you))\b")),
    (
        Meaning.SEND_AGAIN,
        re.compile(
            r"\b(send|another|new code|no code|(have not|haven't|did not|didn't) (get|got))\b"
        ),
    ),
    (Meaning.CARD, re.compile(r"\b(card|delivery)\b")),
)
_WHOLE: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (
        Meaning.NO,
        re.compile(r"no( thank(s| you))?|nope|(no )?(that is |that's )?(wrong|incorrect)"),
    ),
    (
        Meaning.YES,
        re.compile(r"(yes|yeah|yep)( please)?|((yes )?(that is|that's) )?(right|correct)"),
    ),
)
_DIGIT_STATES = {State.IDENTIFY, State.AUTHENTICATE}
_YES_NO_STATES = {
    State.CONTINUE,
    State.CONFIRM_NUMBER,
    State.CONFIRM_CREDENTIAL,
    State.TRY_AGAIN,
    State.MORE,
}
_CARD_STATES = {State.CONTINUE, State.INTENT, State.MORE}
_KEYS_EVERYWHERE = {"0": Meaning.OPERATOR, "9": Meaning.REPEAT, "*": Meaning.START_AGAIN}
_KEYS_YES_NO = _KEYS_EVERYWHERE | {"1": Meaning.YES, "2": Meaning.NO}
_KEYS_MENU = _KEYS_EVERYWHERE | {"1": Meaning.CARD, "2": Meaning.HELP, "3": Meaning.GOOD_BYE}


_SEND_AGAIN = "1"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a state waits for: so many digits, or a date of birth in this order (then `digits` are
    its keys). `code`: the digits were sent, and can be sent again. `today`: no birth is later."""

    digits: int = 1
    dates: DateOrder | None = None
    code: bool = False
    today: date | None = None


def expected(state: State, settings: DialogSettings, today: date | None = None) -> Expected:
    """What the state waits for: the number, the credential, or one key."""
    if state is State.IDENTIFY:
        return Expected(settings.customer_number_digits)
    if state is not State.AUTHENTICATE:
        return Expected()
    born = settings.method is Method.DATE_OF_BIRTH
    return Expected(
        settings.credential_keys,
        settings.date_order if born else None,
        settings.method is Method.ONE_TIME_CODE,
        today,
    )


def of_words(state: State, text: str, waited: Expected) -> tuple[Meaning, str | None]:
    """What the words mean in this state, and the digits or the date in them."""
    said = " ".join(re.findall(r"[a-z0-9']+", text.lower()))
    if state in _DIGIT_STATES and (answer := _answer(said, waited)) is not None:
        return answer
    if state in _YES_NO_STATES:
        for meaning, pattern in _WHOLE:
            if pattern.fullmatch(said):
                return meaning, None
    for meaning, pattern in _CONTAINED:
        if pattern.search(said) and _is_offered(meaning, state, waited):
            return meaning, None
    return Meaning.NO_MATCH, None


def of_keys(state: State, keys: str, waited: Expected) -> tuple[Meaning, str | None]:
    """What the pressed keys mean in this state."""
    if "*" in keys:
        return Meaning.START_AGAIN, None
    if state in _DIGIT_STATES:
        if waited.code and keys == _SEND_AGAIN:
            return Meaning.SEND_AGAIN, None
        if waited.dates is not None:
            born = keyed_date(keys, waited.dates, waited.today)
            return (Meaning.KEYED_DIGITS, born) if born else (Meaning.WRONG_LENGTH, None)
        kind = Meaning.KEYED_DIGITS if len(keys) == waited.digits else Meaning.WRONG_LENGTH
        return kind, keys
    table = _KEYS_YES_NO if state in _YES_NO_STATES else _KEYS_MENU
    return table.get(keys, Meaning.NO_MATCH), None


def _answer(said: str, waited: Expected) -> tuple[Meaning, str | None] | None:
    """The digits or the date that were asked for, or something near it."""
    found = words_to_digits(said)
    if waited.dates is not None:
        born = spoken_date(said, waited.dates, waited.today)
        if born is not None:
            return Meaning.SPOKEN_DIGITS, born
        return (Meaning.WRONG_LENGTH, None) if found or has_month(said) else None
    if not found:
        return None
    kind = Meaning.SPOKEN_DIGITS if len(found) == waited.digits else Meaning.WRONG_LENGTH
    return kind, found


def _is_offered(meaning: Meaning, state: State, waited: Expected) -> bool:
    if meaning is Meaning.SEND_AGAIN:
        return waited.code
    return meaning is not Meaning.CARD or state in _CARD_STATES
