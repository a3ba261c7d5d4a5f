"""A caller proves who they are with a date of birth, or with a code that is sent to them."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pocketsphinx
import pytest

from callfleet_agent.dialog import (
    AskBank,
    Authenticate,
    Authenticated,
    BankFailed,
    BankSlow,
    Caller,
    CardFound,
    DateOrder,
    Delivery,
    Dialog,
    DialogSettings,
    HangUp,
    Heard,
    Input,
    Interrupted,
    Keyed,
    Listen,
    Memory,
    Method,
    NoMatch,
    Outcome,
    Resumed,
    Say,
    SendCode,
    Started,
    State,
    Step,
    Verdict,
)

TODAY = date(2026, 11, 26)
BIRTH = Dialog(DialogSettings(method=Method.DATE_OF_BIRTH, date_order=DateOrder.DAY_FIRST))
MONTHS = Dialog(DialogSettings(method=Method.DATE_OF_BIRTH, date_order=DateOrder.MONTH_FIRST))
CODE = Dialog(DialogSettings(method=Method.ONE_TIME_CODE, credential_digits=6))
KNOWN = Caller("+15550123", trusted=True)
SENT, NOT_SENT = Authenticated(Verdict.PENDING), Authenticated(Verdict.NOT_SENT)
EXPIRED, REFUSED = Authenticated(Verdict.EXPIRED), Authenticated(Verdict.REFUSED)
TO_PROOF: tuple[Input, ...] = (
    Started(today=TODAY), Heard("where is my credit card"), Keyed("200417"),
)  # fmt: skip
TO_CODE = (*TO_PROOF, SENT)
SPOKEN = Heard("the twenty ninth of february nineteen eighty")


def run(dialog: Dialog, *inputs: Input, memory: Memory | None = None) -> Step:
    """The last step of a conversation."""
    step = Step(memory or Memory())
    for given in inputs:
        step = dialog.step(step.memory, given)
    return step


def said(step: Step) -> str:
    return " ".join(output.text for output in step.outputs if isinstance(output, Say))


def question(step: Step) -> object:
    return next((o.operation for o in step.outputs if isinstance(o, AskBank)), None)


class TestDateOfBirth:
    @pytest.mark.parametrize(
        ("dialog", "order"),
        [
            (BIRTH, "two digits for the day, two for the month, and four for the year"),
            (MONTHS, "two digits for the month, two for the day, and four for the year"),
        ],
    )
    def test_the_question_says_in_which_order_to_key_it(self, dialog: Dialog, order: str) -> None:
        step = run(dialog, *TO_PROOF)
        assert said(step) == f"Please say or key in your date of birth, with {order}."
        listen = step.outputs[-1]
        assert isinstance(listen, Listen)
        assert (listen.digits, listen.grammar.name) == (8, "authenticate")

    @pytest.mark.parametrize(
        ("dialog", "keys"), [(BIRTH, "29021980"), (MONTHS, "02291980"), (BIRTH, "19800229")]
    )
    def test_a_keyed_one_is_asked_of_the_bank_at_once(self, dialog: Dialog, keys: str) -> None:
        step = run(dialog, *TO_PROOF, Keyed(keys))
        assert question(step) == Authenticate(1, "1980-02-29", "200417", None)

    def test_a_spoken_one_counts_only_after_confirmation(self) -> None:
        heard = run(BIRTH, *TO_PROOF, SPOKEN)
        assert heard.memory.state is State.CONFIRM_CREDENTIAL
        assert said(heard) == ("I heard February the twenty-ninth, nineteen eighty. Is that right?")
        assert (question(heard), heard.memory.attempt) == (None, 0)
        confirmed = BIRTH.step(heard.memory, Heard("yes"))
        assert question(confirmed) == Authenticate(1, "1980-02-29", "200417", None)
        misheard = BIRTH.step(heard.memory, Heard("no"))
        assert (misheard.memory.state, misheard.memory.attempt) == (State.AUTHENTICATE, 0)

    @pytest.mark.parametrize(
        "given",
        [
            Keyed("31021980"), Keyed("2902"), Keyed("27112026"), Heard("one two three four"),
            Heard("the thirtieth of february nineteen eighty"), Heard("sometime in february"),
        ],
    )  # fmt: skip
    def test_what_is_no_date_is_said_to_be_none_and_is_no_try(self, given: Input) -> None:
        step = run(BIRTH, *TO_PROOF, given)
        assert said(step).startswith("I need the day, the month and the year. Please say or key in")
        assert (step.memory.state, step.memory.attempt) == (State.AUTHENTICATE, 0)

    def test_today_is_the_last_day_that_somebody_can_be_born_on(self) -> None:
        assert question(run(BIRTH, *TO_PROOF, Keyed("26112026"))) is not None
        without = run(BIRTH, Started(), *TO_PROOF[1:], Keyed("27112026"))
        assert question(without) is not None

    def test_after_two_misunderstandings_keys_are_asked_for(self) -> None:
        step = run(BIRTH, *TO_PROOF, NoMatch(), Heard("february"))
        assert (
            "Please use the keys of your telephone to enter your date of birth, with two"
            in said(step)
        )

    def test_three_wrong_ones_lock_out(self) -> None:
        again: tuple[Input, ...] = (REFUSED, Keyed("01011990"))
        step = run(BIRTH, *TO_PROOF, Keyed("29021980"), *again, *again, REFUSED)
        assert step.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    def test_help_gives_an_example(self) -> None:
        for dialog, digits in ((BIRTH, "zero one zero five"), (MONTHS, "zero five zero one")):
            helped = said(run(dialog, *TO_PROOF, Heard("help")))
            assert f"The first of May nineteen sixty is {digits} one nine six zero." in helped

    def test_words_of_everywhere_are_no_dates(self) -> None:
        assert "no operator" in said(run(BIRTH, *TO_PROOF, Heard("operator")))
        assert "did not understand" in said(run(BIRTH, *TO_PROOF, Heard("good morning")))

    def test_it_completes_what_is_awaited(self) -> None:
        memory = run(BIRTH, *TO_PROOF).memory
        assert BIRTH.completes(memory, "the twenty ninth of february nineteen eighty")
        assert not BIRTH.completes(memory, "the twenty ninth of february")

    def test_it_is_private_and_nowhere_in_what_is_kept(self) -> None:
        step = run(BIRTH, *TO_PROOF, SPOKEN)
        assert all(say.private for say in step.outputs if isinstance(say, Say))
        cut = BIRTH.step(step.memory, Interrupted("I heard February the twenty"))
        for memory in (step.memory, cut.memory, BIRTH.step(step.memory, Heard("yes")).memory):
            kept = (str(BIRTH.dump(memory)) + repr(memory)).lower()
            assert not any(word in kept for word in ("ninth", "eighty", "1980", "twenty"))


class TestOneTimeCode:
    def test_it_is_sent_before_it_is_asked_for(self) -> None:
        wish = run(CODE, *TO_PROOF)
        assert (wish.memory.state, question(wish)) == (State.SENDING, SendCode(1, "200417", None))
        sent = CODE.step(wish.memory, SENT)
        assert said(sent) == "I have sent you a code. Please say or key in the six digit code."
        assert sent.memory.state is State.AUTHENTICATE

    def test_a_keyed_one_is_asked_of_the_bank_at_once(self) -> None:
        step = run(CODE, *TO_CODE, Keyed("918273"))
        assert question(step) == Authenticate(1, "918273", "200417", None)

    def test_a_spoken_one_counts_only_after_confirmation(self) -> None:
        heard = run(CODE, *TO_CODE, Heard("nine one eight two seven three"))
        assert said(heard) == "I heard nine one eight, two seven three. Is that right?"
        assert question(heard) is None
        confirmed = CODE.step(heard.memory, Heard("yes"))
        assert question(confirmed) == Authenticate(1, "918273", "200417", None)

    def test_to_a_trusted_caller_it_is_sent_without_a_number(self) -> None:
        step = run(CODE, Started(KNOWN), Heard("card status"))
        assert question(step) == SendCode(1, None, "+15550123")

    def test_an_unknown_caller_id_leads_to_the_number_and_the_code_to_whom_it_names(self) -> None:
        unknown = run(CODE, Started(KNOWN), Heard("card status"),
                      Authenticated(Verdict.UNKNOWN_CALLER))  # fmt: skip
        assert unknown.memory.state is State.IDENTIFY
        assert question(CODE.step(unknown.memory, Keyed("200417"))) == SendCode(1, "200417", None)

    @pytest.mark.parametrize("given", [Heard("send it again"), Heard("no code came"), Keyed("1")])
    def test_it_is_sent_again_once(self, given: Input) -> None:
        again = run(CODE, *TO_CODE, given)
        assert question(again) == SendCode(2, "200417", None)
        sent = CODE.step(again.memory, SENT)
        assert said(sent).startswith("I have sent you another code.")
        third = CODE.step(sent.memory, given)
        assert question(third) is None
        assert said(third).startswith("I cannot send you another code. Please say or key in")

    def test_the_keys_for_it_are_told_when_keys_are_asked_for(self) -> None:
        step = run(CODE, *TO_CODE, NoMatch(), NoMatch())
        assert "If no code has come, press one, and then the hash key." in said(step)
        assert "say send it again" in said(run(CODE, *TO_CODE, Heard("help")))

    def test_a_wrong_one_may_be_tried_again_and_no_other_is_sent(self) -> None:
        step = run(CODE, *TO_CODE, Keyed("000000"), REFUSED)
        assert "does not match" in said(step)
        assert (step.memory.state, question(step)) == (State.AUTHENTICATE, None)
        again: tuple[Input, ...] = (REFUSED, Keyed("000001"))
        locked = run(CODE, *TO_CODE, Keyed("000000"), *again, *again, REFUSED)
        assert locked.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    def test_one_that_came_too_late_is_no_try_and_another_is_sent(self) -> None:
        late = run(CODE, *TO_CODE, Keyed("918273"), EXPIRED)
        assert said(late) == "That code is no longer valid."
        assert question(late) == SendCode(2, "200417", None)
        assert (late.memory.failed_attempts, late.memory.credential) == (0, None)
        ended = run(CODE, SENT, Keyed("918273"), EXPIRED, memory=late.memory)
        assert "I cannot send you another code." in said(ended)
        assert ended.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    def test_a_bank_that_sends_none_ends_it_unless_one_is_on_its_way(self) -> None:
        none = run(CODE, *TO_PROOF, NOT_SENT)
        assert "I cannot send you a code at the moment" in said(none)
        assert none.outputs[-1] == HangUp(Outcome.LOCKED_OUT)
        other = run(CODE, *TO_CODE, Heard("send it again"), NOT_SENT)
        assert said(other).startswith("I cannot send you another code.")
        assert other.memory.state is State.AUTHENTICATE

    def test_a_locked_customer_gets_none(self) -> None:
        step = run(CODE, *TO_PROOF, Authenticated(Verdict.LOCKED))
        assert step.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    def test_a_bank_that_is_away_is_asked_again_for_the_same_one(self) -> None:
        failed = run(CODE, *TO_PROOF, BankSlow(), BankFailed())
        assert failed.memory.state is State.TRY_AGAIN
        assert question(CODE.step(failed.memory, Heard("yes"))) == SendCode(1, "200417", None)

    @pytest.mark.parametrize("odd", [Verdict.VERIFIED, Verdict.REFUSED, Verdict.EXPIRED])
    def test_what_answers_no_wish_is_a_failure(self, odd: Verdict) -> None:
        assert run(CODE, *TO_PROOF, Authenticated(odd)).memory.state is State.TRY_AGAIN

    @pytest.mark.parametrize("odd", [SENT, NOT_SENT])
    def test_what_answers_no_proof_is_a_failure(self, odd: Input) -> None:
        assert run(CODE, *TO_CODE, Keyed("918273"), odd).memory.state is State.TRY_AGAIN

    def test_it_leads_to_the_card(self) -> None:
        step = run(CODE, *TO_CODE, Keyed("918273"), Authenticated(Verdict.VERIFIED, "c-1"),
                   CardFound(Delivery.LOST))  # fmt: skip
        assert "your card was lost" in said(step)

    def test_who_starts_again_gets_a_code_of_their_own(self) -> None:
        step = run(CODE, *TO_CODE, Keyed("*"), Heard("card status"), Keyed("318265"))
        assert question(step) == SendCode(2, "318265", None)
        ended = run(CODE, SENT, Keyed("*"), Heard("card status"), Keyed("200417"),
                    memory=step.memory)  # fmt: skip
        assert ended.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    @pytest.mark.parametrize(
        ("inputs", "asked", "words"),
        [
            (TO_PROOF, SendCode(1, "200417", None), "where were we?"),
            (TO_CODE, None, "where were we? Please say or key in the six digit code."),
            ((*TO_CODE, Keyed("918273")), None, "where were we? Please say or key in the six"),
            ((*TO_CODE, Heard("send it again")), None, "where were we? Please say or key in"),
        ],
    )
    def test_another_process_goes_on(
        self, inputs: Sequence[Input], asked: object, words: str
    ) -> None:
        stored = CODE.load(CODE.dump(run(CODE, *inputs).memory))
        step = CODE.step(stored, Resumed())
        assert (question(step), stored.today) == (asked, TODAY)
        assert words in said(step)

    def test_a_dump_of_a_former_release_has_sent_none(self) -> None:
        stored = CODE.dump(run(CODE, *TO_CODE).memory)
        for later in ("today", "codes_sent", "code_pending"):
            del stored[later]
        step = CODE.step(CODE.load(stored), Resumed())
        assert question(step) == SendCode(1, "200417", None)

    def test_nothing_of_it_is_kept(self) -> None:
        heard = run(CODE, *TO_CODE, Heard("nine one eight two seven three"))
        for memory in (heard.memory, CODE.step(heard.memory, Heard("yes")).memory):
            kept = str(CODE.dump(memory)) + repr(memory)
            assert "nine" not in kept
            assert "918273" not in kept


@pytest.mark.parametrize("dialog", [BIRTH, MONTHS, CODE])
class TestBoth:
    def test_the_words_are_in_the_recognisers_dictionary(self, dialog: Dialog) -> None:
        path = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
        known = {line.split(" ", 1)[0] for line in path.read_text(encoding="utf-8").splitlines()}
        for grammar in dialog.grammars():
            assert grammar.words <= known

    def test_sentences_without_a_fact_are_rendered_ahead(self, dialog: Dialog) -> None:
        fixed = set(dialog.fixed_sentences())
        conversations: list[tuple[Input, ...]] = [
            (*TO_PROOF, SENT, NoMatch(), NoMatch()), (*TO_PROOF, SENT, Keyed("12")),
            (*TO_PROOF, SENT, Heard("help")), (*TO_PROOF, SENT, Heard("send it again"), SENT),
            (*TO_PROOF, SENT, Heard("send it again"), NOT_SENT), (*TO_PROOF, NOT_SENT),
            (*TO_PROOF, SENT, Keyed("918273"), EXPIRED),
        ]  # fmt: skip
        for inputs in conversations:
            for output in run(dialog, *inputs).outputs:
                if isinstance(output, Say):
                    assert set(output.sentences) <= fixed

    def test_a_model_is_never_asked_in_the_middle_of_a_proof(self, dialog: Dialog) -> None:
        open_words = Heard("do you sell pizza")
        for inputs in (TO_PROOF, (*TO_PROOF, SENT), (*TO_PROOF, SENT, SPOKEN)):
            assert not dialog.leaves_open(run(dialog, *inputs).memory, open_words)
