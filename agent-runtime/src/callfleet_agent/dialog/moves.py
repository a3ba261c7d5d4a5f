"""The moves of the transition table: what happens on a meaning in a state. All are pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from callfleet_agent.dialog import prompts
from callfleet_agent.dialog.grammar import Grammar
from callfleet_agent.dialog.inputs import CardFound, Earlier
from callfleet_agent.dialog.meaning import expected
from callfleet_agent.dialog.outputs import (
    AskBank,
    Authenticate,
    HangUp,
    Listen,
    Outcome,
    Output,
    QueryCardDelivery,
    Say,
    SendCode,
)
from callfleet_agent.dialog.settings import DialogSettings, Method
from callfleet_agent.dialog.state import CARD_DELIVERY, Memory, State

MAX_CODES = 2  # in one call: the code, and once again


@dataclass(frozen=True, slots=True)
class Step:
    """What one input led to."""

    memory: Memory
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One input, understood: what a move works on."""

    memory: Memory
    settings: DialogSettings
    grammars: Mapping[State, Grammar]
    digits: str | None = None
    found: CardFound | None = None
    customer: str | None = None

    def known(self, **changes: object) -> "Turn":
        """The same turn with changes to the memory."""
        return replace(self, memory=replace(self.memory, **changes))  # type: ignore[arg-type]


Move = Callable[[Turn], Step]


def welcome(turn: Turn) -> Step:
    """The call begins; a caller whose last call broke off is offered to go on."""
    if turn.memory.earlier is not None:
        return _ask(turn, State.CONTINUE, sentences=prompts.welcome_back(turn.settings))
    return _ask(turn, State.INTENT, sentences=prompts.welcome(turn.settings))


def go_on_with_earlier(turn: Turn) -> Step:
    """What was wanted and the customer number are known again; the proof is asked for anew."""
    earlier = turn.memory.earlier or Earlier()
    turn = turn.known(
        customer_number=earlier.customer_number,
        failed_attempts=max(turn.memory.failed_attempts, earlier.failed_attempts),
        earlier=None,
    )
    return want_card(turn) if earlier.intent == CARD_DELIVERY else _ask(turn, State.INTENT)


def begin_anew(turn: Turn) -> Step:
    """What was before is left alone."""
    return _ask(turn.known(earlier=None), State.INTENT)


def want_card(turn: Turn) -> Step:
    """The caller asks for the card: identification and authentication first, if still needed."""
    turn = turn.known(intent=CARD_DELIVERY, earlier=None)
    if turn.memory.customer is not None:
        return _query(turn)
    known = turn.memory.customer_number is not None or _caller_identifies(turn.memory)
    return _prove(turn) if known else _ask(turn, State.IDENTIFY)


def read_back_number(turn: Turn) -> Step:
    """A spoken customer number is confirmed before it is used."""
    return _ask(turn.known(heard=turn.digits), State.CONFIRM_NUMBER)


def take_number(turn: Turn) -> Step:
    """A keyed or confirmed customer number; a credential that waited for it is checked at once."""
    number = turn.digits or turn.memory.heard
    if number is None:  # another process heard it
        return _ask(turn, State.IDENTIFY)
    turn = turn.known(customer_number=number, heard=None)
    if turn.memory.credential is not None:
        return _verify(turn, turn.memory.credential)
    return _prove(turn)


def ask_number(turn: Turn) -> Step:
    """The number was misheard."""
    return _ask(turn.known(heard=None), State.IDENTIFY)


def read_back_credential(turn: Turn) -> Step:
    """A spoken credential counts as a try only after confirmation."""
    return _ask(turn.known(heard=turn.digits), State.CONFIRM_CREDENTIAL)


def take_credential(turn: Turn) -> Step:
    """A keyed or confirmed credential is a try."""
    credential = turn.digits or turn.memory.heard
    if credential is None:
        return _prove(turn)
    return _verify(turn.known(heard=None, attempt=turn.memory.attempt + 1), credential)


def ask_credential(turn: Turn) -> Step:
    """The credential was misheard: no try."""
    return _ask(turn.known(heard=None), State.AUTHENTICATE)


def verified(turn: Turn) -> Step:
    """The bank knows the caller now: the question that led here is asked."""
    return _query(turn.known(credential=None, customer=turn.customer, failed_attempts=0))


def refused(turn: Turn) -> Step:
    """The credential did not match: again, or the end after the last try."""
    failed = turn.memory.failed_attempts + 1
    turn = turn.known(credential=None, failed_attempts=failed)
    if failed >= turn.settings.max_attempts:
        return lock_out(turn)
    return _ask(turn, State.AUTHENTICATE, prompts.NO_MATCHING)


def code_sent(turn: Turn) -> Step:
    """A code is on its way: the caller is asked for it."""
    sent = turn.memory.codes_sent + 1
    turn = turn.known(codes_sent=sent, code_pending=True, bank_failures=0)
    return _ask(turn, State.AUTHENTICATE, prompts.CODE_SENT if sent == 1 else prompts.CODE_AGAIN)


def send_again(turn: Turn) -> Step:
    """No code came, says the caller: once more, and then no more."""
    if turn.memory.codes_sent < MAX_CODES:
        return _send_code(turn)
    return _ask(turn, State.AUTHENTICATE, prompts.NO_OTHER_CODE)


def no_code(turn: Turn) -> Step:
    """The bank sends no other code now: the one before may still come."""
    if turn.memory.code_pending:
        return _ask(turn, State.AUTHENTICATE, prompts.NO_OTHER_CODE)
    return _end(turn, Outcome.LOCKED_OUT, prompts.NO_CODE, prompts.LATER)


def expired(turn: Turn) -> Step:
    """The code came too late, which was no try: another one."""
    return _send_code(turn.known(credential=None, code_pending=False), prompts.CODE_EXPIRED)


def lock_out(turn: Turn) -> Step:
    """No more tries."""
    turn = turn.known(credential=None)
    return _end(turn, Outcome.LOCKED_OUT, prompts.LOCKED_OUT, prompts.LOCKED_ADVICE)


def unknown_caller(turn: Turn) -> Step:
    """No customer has this caller id: the number is asked for, the credential kept."""
    return _ask(turn.known(caller_id_unknown=True), State.IDENTIFY)


def tell_delivery(turn: Turn) -> Step:
    """The answer that the caller called for."""
    text = prompts.delivery(turn.found) if turn.found else prompts.NO_CARD
    turn = turn.known(bank_failures=0)
    return _ask(turn, State.MORE, text, prompts.MORE, sentences=(), private=True)


def bank_slow(turn: Turn) -> Step:
    """Silence would be odd; nothing else changes."""
    return Step(turn.memory, (Say((prompts.ONE_MOMENT,), barge_in=False),))


def bank_failed(turn: Turn) -> Step:
    """Once: shall I try again; twice: the end."""
    turn = turn.known(bank_failures=turn.memory.bank_failures + 1)
    if turn.memory.bank_failures > 1:
        return _end(turn, Outcome.BANK_AWAY, prompts.BANK_AWAY, prompts.LATER)
    return _ask(turn, State.TRY_AGAIN, prompts.BANK_AWAY)


def try_again(turn: Turn) -> Step:
    """The same question to the bank again, with the same attempt."""
    if turn.memory.customer is not None:
        return _query(turn)
    if turn.memory.credential is not None:
        return _verify(turn, turn.memory.credential)
    return _prove(turn)


def anything_else(turn: Turn) -> Step:
    """The caller has another question."""
    return _ask(turn, State.INTENT)


def repeat(turn: Turn) -> Step:
    """What was said last, again."""
    memory = turn.memory
    sentences = memory.said or _question(turn, memory.state)
    return _ask(turn, memory.state, sentences=sentences, private=True)


def explain(turn: Turn) -> Step:
    """Help, and the question again."""
    return _ask(turn, turn.memory.state, *prompts.help_for(turn.memory.state, turn.settings))


def no_operator(turn: Turn) -> Step:
    """There is nobody to connect to."""
    return _ask(turn, turn.memory.state, prompts.NO_OPERATOR)


def start_again(turn: Turn) -> Step:
    """Back to the first question; tries stay counted."""
    turn = turn.known(
        customer_number=None, heard=None, credential=None, customer=None, intent="", earlier=None,
        code_pending=False,
    )  # fmt: skip
    return _ask(turn, State.INTENT, prompts.START_AGAIN)


def good_bye(turn: Turn) -> Step:
    """The caller is done."""
    return _end(turn, Outcome.COMPLETED)


def wrong_length(turn: Turn) -> Step:
    """Digits, but not as many as are needed, or no date: a misunderstanding that can be named."""
    waited = expected(turn.memory.state, turn.settings)
    if waited.dates is not None:
        return _misunderstood(turn, prompts.NO_DATE)
    return _misunderstood(turn, prompts.wrong_length(waited.digits))


def not_understood(turn: Turn) -> Step:
    """Speech that the state has no meaning for."""
    return _misunderstood(turn, prompts.NOT_UNDERSTOOD)


def go_on(turn: Turn, said: tuple[str, ...]) -> Step:
    """Somebody else answered; the caller's next words are awaited in the same state."""
    turn = turn.known(said=said, no_matches=0, silences=0)
    return Step(turn.memory, (_listen(turn, turn.memory.state),))


def silence(turn: Turn) -> Step:
    """Nothing came: ask again, then ask for keys, then end."""
    silences = turn.memory.silences + 1
    turn = turn.known(silences=silences)
    if silences >= turn.settings.max_silences:
        return _end(turn, Outcome.SILENT, prompts.NO_ANSWER)
    if silences > 1:
        return _ask_for_keys(turn, prompts.STILL_THERE)
    return _ask(turn, turn.memory.state, prompts.STILL_THERE)


def give_up(turn: Turn) -> Step:
    """This leads nowhere."""
    return _end(turn, Outcome.LOST, prompts.GIVE_UP)


def resumed(turn: Turn) -> Step:
    """Another process goes on: what it cannot know (digits, a pending question) is asked again."""
    memory = turn.memory
    if memory.state is State.NEW:
        return welcome(turn)
    if memory.state is State.ENDED:
        return _end(turn, memory.outcome or Outcome.COMPLETED)
    if memory.state is State.QUERYING and memory.customer is not None:
        step = _query(turn)
        return Step(step.memory, (Say((prompts.WHERE_WERE_WE,)), *step.outputs))
    state = _RESUMED_AS.get(memory.state, memory.state)
    if state is State.AUTHENTICATE:
        return _prove(turn, prompts.WHERE_WERE_WE)
    return _ask(turn, state, prompts.WHERE_WERE_WE)


_RESUMED_AS = {
    State.CONFIRM_NUMBER: State.IDENTIFY,
    State.SENDING: State.AUTHENTICATE,
    State.CONFIRM_CREDENTIAL: State.AUTHENTICATE,
    State.VERIFYING: State.AUTHENTICATE,
    State.QUERYING: State.INTENT,
}


def _caller_identifies(memory: Memory) -> bool:
    return memory.caller.identifies and not memory.caller_id_unknown


def _question(turn: Turn, state: State) -> tuple[str, ...]:
    if state in {State.CONFIRM_NUMBER, State.CONFIRM_CREDENTIAL} and turn.memory.heard:
        return prompts.confirm(turn.memory.heard)
    return prompts.question(state, turn.settings)


def _ask(
    turn: Turn,
    state: State,
    *before: str,
    sentences: tuple[str, ...] | None = None,
    private: bool = False,
) -> Step:
    asked = _question(turn, state) if sentences is None else sentences
    spoken = (*before, *asked)
    private = private or turn.memory.heard is not None
    say = Say(spoken, barge_in=turn.settings.barge_in, private=private)
    memory = replace(turn.memory, state=state, said=spoken)
    return Step(memory, (say, _listen(turn, state)))


def _listen(turn: Turn, state: State) -> Listen:
    settings = turn.settings
    digits = expected(state, settings).digits
    return Listen(turn.grammars[state], digits, settings.no_input_s, settings.inter_digit_s)


def _ask_for_keys(turn: Turn, before: str) -> Step:
    state = turn.memory.state
    asked = prompts.by_keys(state, turn.settings)
    if turn.memory.heard is not None:
        asked = (*prompts.confirm(turn.memory.heard), prompts.KEYS_YES_NO)
    return _ask(turn, state, before, sentences=asked)


def _misunderstood(turn: Turn, reason: str) -> Step:
    count = turn.memory.no_matches + 1
    turn = turn.known(no_matches=count)
    if count >= turn.settings.max_no_matches:
        return give_up(turn)
    if count > 1:
        return _ask_for_keys(turn, reason)
    return _ask(turn, turn.memory.state, reason)


def _prove(turn: Turn, *before: str) -> Step:
    if turn.settings.method is Method.ONE_TIME_CODE and not turn.memory.code_pending:
        return _send_code(turn, *before)
    return _ask(turn, State.AUTHENTICATE, *before)


def _send_code(turn: Turn, *before: str) -> Step:
    if turn.memory.codes_sent >= MAX_CODES:
        return _end(turn, Outcome.LOCKED_OUT, *before, prompts.NO_OTHER_CODE, prompts.LOCKED_ADVICE)
    memory = replace(turn.memory, state=State.SENDING)
    question = SendCode(memory.codes_sent + 1, *_whose(memory))
    said = (Say(before, barge_in=False),) if before else ()
    return Step(memory, (*said, AskBank(question)))


def _verify(turn: Turn, credential: str) -> Step:
    memory = replace(turn.memory, state=State.VERIFYING, credential=credential)
    question = Authenticate(memory.attempt, credential, *_whose(memory))
    return Step(memory, (AskBank(question),))


def _whose(memory: Memory) -> tuple[str | None, str | None]:
    number = memory.customer_number
    return number, memory.caller.id if number is None else None


def _query(turn: Turn) -> Step:
    memory = replace(turn.memory, state=State.QUERYING)
    return Step(memory, (AskBank(QueryCardDelivery(memory.customer or "")),))


def _end(turn: Turn, outcome: Outcome, *before: str) -> Step:
    said = (*before, prompts.GOOD_BYE)
    memory = replace(
        turn.memory, state=State.ENDED, outcome=outcome, said=said, heard=None, credential=None
    )
    return Step(memory, (Say(said, barge_in=False), HangUp(outcome)))
