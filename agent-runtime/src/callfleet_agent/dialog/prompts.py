"""What the agent says, in English. Facts of a caller come in through functions only."""

from collections.abc import Mapping

from callfleet_agent.dialog.dates import DateOrder, date_of_birth_to_words
from callfleet_agent.dialog.inputs import CardFound, Delivery
from callfleet_agent.dialog.settings import DialogSettings, Method
from callfleet_agent.dialog.spoken import (
    DIGIT_WORDS,
    carrier_to_words,
    date_to_words,
    digits_to_words,
    name_to_words,
)
from callfleet_agent.dialog.state import State

NOT_UNDERSTOOD = "Sorry, I did not understand that."
STILL_THERE = "Are you still there?"
WHERE_WERE_WE = "Sorry, where were we?"
NO_OPERATOR = "I am sorry, there is no operator on this line."
ONE_MOMENT = "One moment, please."
NO_MATCHING = "I am sorry, that does not match our records."
START_AGAIN = "Let us start again."
CUT_OFF = "It seems that we were cut off."
GO_ON = "Shall we go on where we were?"
NO_CARD = "I can find no card on its way to you."
MORE = "Is there anything else I can help you with?"
TRY_AGAIN = "Shall I try again?"
BANK_AWAY = "I am sorry, I cannot reach our records at the moment."
LATER = "Please call again later."
LOCKED_OUT = "I am sorry, I could not verify who you are, so I have to end this call."
LOCKED_ADVICE = "Please visit a branch, and bring your identity card."
NO_ANSWER = "I do not hear you."
GIVE_UP = "I am sorry that I could not help you."
GOOD_BYE = "Thank you for calling. Good bye."
IS_THAT_RIGHT = "Is that right?"
HELP_INTENT = "You can ask me where your card is."
HELP_DIGITS = "You can say the digits one by one, or press the keys of your telephone."
HELP_CODE = "If no code has come, say send it again."
NO_DATE = "I need the day, the month and the year."
CODE_SENT = "I have sent you a code."
CODE_AGAIN = "I have sent you another code."
CODE_EXPIRED = "That code is no longer valid."
NO_OTHER_CODE = "I cannot send you another code."
NO_CODE = "I am sorry, I cannot send you a code at the moment."
HELP_YES_NO = "Please answer yes or no."
KEYS_MENU = (
    "For the status of your card, press one. For help, press two. To end the call, press three."
)
KEYS_CODE = "If no code has come, press one, and then the hash key."
KEYS_YES_NO = "For yes, press one. For no, press two."


def welcome(settings: DialogSettings) -> tuple[str, ...]:
    """The first words of a call."""
    return (f"Welcome to {name_to_words(settings.bank_name)}.", "How can I help you?")


def welcome_back(settings: DialogSettings) -> tuple[str, ...]:
    """The first words of a call after one that broke off: nothing of it is said."""
    return (welcome(settings)[0], CUT_OFF, GO_ON)


def question(state: State, settings: DialogSettings) -> tuple[str, ...]:
    """What a listening state asks; while there are digits to confirm, `confirm` is asked."""
    return _questions(settings)[state]


def by_keys(state: State, settings: DialogSettings) -> tuple[str, ...]:
    """What a state asks after two misunderstandings: keys."""
    if state is State.INTENT:
        return (KEYS_MENU,)
    if state in {State.IDENTIFY, State.AUTHENTICATE}:
        code = state is State.AUTHENTICATE and settings.method is Method.ONE_TIME_CODE
        return (_keyed(state, settings), *((KEYS_CODE,) if code else ()))
    return (*question(state, settings), KEYS_YES_NO)


def help_for(state: State, settings: DialogSettings) -> tuple[str, ...]:
    """A sentence or two of help."""
    if state is State.INTENT:
        return (HELP_INTENT,)
    if state is State.AUTHENTICATE and settings.method is Method.DATE_OF_BIRTH:
        return (HELP_DIGITS, _DATE_EXAMPLES[settings.date_order])
    if state is State.AUTHENTICATE and settings.method is Method.ONE_TIME_CODE:
        return (HELP_DIGITS, HELP_CODE)
    return (HELP_DIGITS if state in {State.IDENTIFY, State.AUTHENTICATE} else HELP_YES_NO,)


def confirm(heard: str) -> tuple[str, ...]:
    """Reads digits or a date back."""
    said = digits_to_words(heard) if heard.isdecimal() else date_of_birth_to_words(heard)
    return (f"I heard {said}.", IS_THAT_RIGHT)


def wrong_length(count: int) -> str:
    """Asks for the right number of digits."""
    return f"I need {_count(count)} digits."


def delivery(found: CardFound) -> str:
    """Where a card is, in words; date and carrier where they are known."""
    day, expected = date_to_words(found.date), date_to_words(found.expected)
    carrier = carrier_to_words(found.carrier)
    on, by = f" on {day}" if day else "", f" with {carrier}" if carrier else ""
    arrives = f", and should reach you by {expected}" if expected else ""
    texts: Mapping[Delivery, str] = {
        Delivery.ORDERED: f"Your card was ordered{on}, and has not been printed yet",
        Delivery.PRINTED: f"Your card was printed{on}, and is waiting to be sent",
        Delivery.SHIPPED: f"Your card was shipped{on}{by}{arrives}",
        Delivery.OUT_FOR_DELIVERY: f"Your card is out for delivery{by}, and should arrive today",
        Delivery.DELIVERED: f"Your card was delivered{on}{by}",
        Delivery.RETURNED: f"Your card was returned to us{on}, because it could not be delivered",
        Delivery.LOST: f"I am sorry, your card was lost{by}. We will send you a new one",
        Delivery.BLOCKED: "Your card is blocked. Please visit a branch to have it released",
    }
    return texts[found.delivery] + "."


def fixed(settings: DialogSettings) -> tuple[str, ...]:
    """Every sentence that holds nothing of a caller, for rendering ahead, the likeliest first."""
    sentences = [*welcome(settings)]
    for texts in _questions(settings).values():
        sentences.extend(texts)
    sentences += [
        IS_THAT_RIGHT, NOT_UNDERSTOOD, MORE, GOOD_BYE, NO_MATCHING, NO_CARD, ONE_MOMENT,
        STILL_THERE, NO_OPERATOR, START_AGAIN, HELP_INTENT, HELP_DIGITS, HELP_YES_NO, KEYS_MENU,
        KEYS_YES_NO, BANK_AWAY, TRY_AGAIN, LATER, LOCKED_OUT, LOCKED_ADVICE, NO_ANSWER, GIVE_UP,
        WHERE_WERE_WE, CUT_OFF,
        wrong_length(settings.customer_number_digits), _keyed(State.IDENTIFY, settings),
        _keyed(State.AUTHENTICATE, settings), *_of_the_method(settings),
    ]  # fmt: skip
    return tuple(dict.fromkeys(sentences))


def _of_the_method(settings: DialogSettings) -> tuple[str, ...]:
    if settings.method is Method.DATE_OF_BIRTH:
        return (NO_DATE, _DATE_EXAMPLES[settings.date_order])
    length = wrong_length(settings.credential_digits)
    if settings.method is Method.ONE_TIME_CODE:
        return (
            length, CODE_SENT, CODE_AGAIN, CODE_EXPIRED, NO_OTHER_CODE, NO_CODE, HELP_CODE,
            KEYS_CODE,
        )  # fmt: skip
    return (length,)


def _count(count: int) -> str:
    return DIGIT_WORDS[count] if count < len(DIGIT_WORDS) else str(count)


def _credential(settings: DialogSettings) -> str:
    count = _count(settings.credential_digits)
    if settings.method is Method.PIN:
        return f"your {count} digit pin"
    if settings.method is Method.ONE_TIME_CODE:
        return f"the {count} digit code"
    if settings.method is Method.DATE_OF_BIRTH:
        return f"your date of birth, with {_DATE_KEYS[settings.date_order]}"
    return f"the last {count} digits of your card"


_DATE_KEYS: Mapping[DateOrder, str] = {
    DateOrder.DAY_FIRST: "two digits for the day, two for the month, and four for the year",
    DateOrder.MONTH_FIRST: "two digits for the month, two for the day, and four for the year",
}


_DATE_EXAMPLES: Mapping[DateOrder, str] = {
    DateOrder.DAY_FIRST: "The first of May nineteen sixty is zero one zero five one nine six zero.",
    DateOrder.MONTH_FIRST: (
        "The first of May nineteen sixty is zero five zero one one nine six zero."
    ),
}


def _number(settings: DialogSettings) -> str:
    return f"your {_count(settings.customer_number_digits)} digit customer number"


def _keyed(state: State, settings: DialogSettings) -> str:
    what = _number(settings) if state is State.IDENTIFY else _credential(settings)
    return f"Please use the keys of your telephone to enter {what}."


def _questions(settings: DialogSettings) -> Mapping[State, tuple[str, ...]]:
    return {
        State.INTENT: ("How can I help you?",),
        State.CONTINUE: (GO_ON,),
        State.IDENTIFY: (f"Please say or key in {_number(settings)}.",),
        State.CONFIRM_NUMBER: (IS_THAT_RIGHT,),
        State.AUTHENTICATE: (f"Please say or key in {_credential(settings)}.",),
        State.CONFIRM_CREDENTIAL: (IS_THAT_RIGHT,),
        State.TRY_AGAIN: (TRY_AGAIN,),
        State.MORE: (MORE,),
    }
