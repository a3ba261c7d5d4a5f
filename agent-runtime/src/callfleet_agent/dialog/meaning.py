"""From words and keys to the few meanings that the transitions know."""

import re
from enum import StrEnum

from callfleet_agent.dialog.spoken import words_to_digits
from callfleet_agent.dialog.state import State


class Meaning(StrEnum):
    """The columns of the transition table."""

    STARTED = "started"
    CARD = "card"
    SPOKEN_DIGITS = "spoken_digits"
    KEYED_DIGITS = "keyed_digits"
    WRONG_LENGTH = "wrong_length"
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
_YES_NO_STATES = {State.CONFIRM_NUMBER, State.CONFIRM_CREDENTIAL, State.TRY_AGAIN, State.MORE}
_CARD_STATES = {State.INTENT, State.MORE}
_KEYS_EVERYWHERE = {"0": Meaning.OPERATOR, "9": Meaning.REPEAT, "*": Meaning.START_AGAIN}
_KEYS_YES_NO = _KEYS_EVERYWHERE | {"1": Meaning.YES, "2": Meaning.NO}
_KEYS_MENU = _KEYS_EVERYWHERE | {"1": Meaning.CARD, "2": Meaning.HELP, "3": Meaning.GOOD_BYE}


def expected_digits(state: State, customer_number: int, credential: int) -> int:
    """How many keys the state waits for: the number's, the credential's, or one."""
    if state is State.IDENTIFY:
        return customer_number
    return credential if state is State.AUTHENTICATE else 1


def of_words(state: State, text: str, digits: int) -> tuple[Meaning, str | None]:
    """What the words mean in this state, and the digits in them; `digits` are expected."""
    said = " ".join(re.findall(r"[a-z0-9']+", text.lower()))
    if state in _DIGIT_STATES and (found := words_to_digits(said)):
        kind = Meaning.SPOKEN_DIGITS if len(found) == digits else Meaning.WRONG_LENGTH
        return kind, found
    if state in _YES_NO_STATES:
        for meaning, pattern in _WHOLE:
            if pattern.fullmatch(said):
                return meaning, None
    for meaning, pattern in _CONTAINED:
        if pattern.search(said) and (meaning is not Meaning.CARD or state in _CARD_STATES):
            return meaning, None
    return Meaning.NO_MATCH, None


def of_keys(state: State, keys: str, digits: int) -> tuple[Meaning, str | None]:
    """What the pressed keys mean in this state."""
    if "*" in keys:
        return Meaning.START_AGAIN, None
    if state in _DIGIT_STATES:
        kind = Meaning.KEYED_DIGITS if len(keys) == digits else Meaning.WRONG_LENGTH
        return kind, keys
    table = _KEYS_YES_NO if state in _YES_NO_STATES else _KEYS_MENU
    return table.get(keys, Meaning.NO_MATCH), None
