"""The grammar of each listening state: what may be said there."""

from collections.abc import Mapping

from callfleet_agent.dialog.grammar import (
    Grammar,
    one_of,
    optional,
    phrase,
    reference,
    sequence,
    times,
)
from callfleet_agent.dialog.settings import DialogSettings
from callfleet_agent.dialog.spoken import DIGIT_WORDS
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


def _digits(name: str, count: int) -> Grammar:
    digit = one_of(*(phrase(word) for word in (*DIGIT_WORDS, "oh")))
    rules = {"main": one_of(reference("number"), reference("global")),
             "number": times(reference("digit"), count), "digit": digit, **_GLOBAL}  # fmt: skip
    return Grammar.of(name, rules, root="main")


def _yes_no(name: str) -> Grammar:
    root = one_of(reference("yes"), reference("no"), reference("global"))
    return Grammar.of(name, {"main": root, **_YES_NO, **_GLOBAL}, root="main")


def _more() -> Grammar:
    root = one_of(*(reference(name) for name in ("yes", "no", "card", "global")))
    return Grammar.of("more", {"main": root, **_YES_NO, **_CARD, **_GLOBAL}, root="main")


def grammars(settings: DialogSettings) -> Mapping[State, Grammar]:
    """The grammar of every listening state."""
    found = {
        State.INTENT: _intent(),
        State.IDENTIFY: _digits("identify", settings.customer_number_digits),
        State.CONFIRM_NUMBER: _yes_no("confirm"),
        State.AUTHENTICATE: _digits("authenticate", settings.credential_digits),
        State.CONFIRM_CREDENTIAL: _yes_no("confirm"),
        State.TRY_AGAIN: _yes_no("confirm"),
        State.MORE: _more(),
    }
    return {state: found[state] for state in State if state in LISTENING}
