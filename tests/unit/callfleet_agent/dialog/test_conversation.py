"""The card-delivery dialog as a specification: what is said, what it leads to."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from callfleet_agent.dialog import (
    LISTENING,
    AskBank,
    Authenticate,
    Authenticated,
    BankFailed,
    BankSlow,
    Caller,
    CardFound,
    CardNotFound,
    Delivery,
    Dialog,
    DialogSettings,
    Earlier,
    HangUp,
    Heard,
    Input,
    Interrupted,
    Keyed,
    Listen,
    Memory,
    Method,
    NoInput,
    NoMatch,
    Outcome,
    QueryCardDelivery,
    Resumed,
    Say,
    Started,
    State,
    Step,
    Utterance,
    Verdict,
)
from callfleet_agent.dialog.meaning import Meaning
from callfleet_agent.dialog.transitions import TABLE

DIALOG = Dialog(DialogSettings())
KNOWN, NOBODY = Caller("+15550123", trusted=True), Caller()
TO_IDENTIFY: tuple[Input, ...] = (Started(), Heard("where is my credit card"))
TO_AUTHENTICATE = (*TO_IDENTIFY, Keyed("200417"))
TO_VERIFYING = (*TO_AUTHENTICATE, Keyed("4271"))
TO_QUERYING = (*TO_VERIFYING, Authenticated(Verdict.VERIFIED, "c-1"))
TO_MORE = (*TO_QUERYING, CardFound(Delivery.SHIPPED, "2026-11-20"))


def run(inputs: Sequence[Input], dialog: Dialog = DIALOG, memory: Memory | None = None) -> Step:
    """The last step of a conversation."""
    step = Step(memory or Memory())
    for given in inputs:
        step = dialog.step(step.memory, given)
    return step


def said(step: Step) -> str:
    return " ".join(output.text for output in step.outputs if isinstance(output, Say))


def question(step: Step) -> object:
    return next((o.operation for o in step.outputs if isinstance(o, AskBank)), None)


@pytest.mark.parametrize(
    ("inputs", "state", "words"),
    [
        ((Started(),), State.INTENT, "Welcome to Example Bank. How can I help you?"),
        (TO_IDENTIFY, State.IDENTIFY, "six digit customer number"),
        ((*TO_IDENTIFY, Heard("two zero zero four one seven")), State.CONFIRM_NUMBER,
         "I heard two zero zero, four one seven. Is that right?"),
        ((*TO_IDENTIFY, Heard("two zero zero four one seven"), Heard("no")), State.IDENTIFY,
         "customer number"),
        ((*TO_IDENTIFY, Heard("two zero zero four one seven"), Heard("yes")), State.AUTHENTICATE,
         "last four digits of your card"),
        (TO_AUTHENTICATE, State.AUTHENTICATE, "last four digits of your card"),
        ((*TO_AUTHENTICATE, Heard("four two seven one")), State.CONFIRM_CREDENTIAL,
         "I heard four two seven one. Is that right?"),
        ((*TO_AUTHENTICATE, Heard("four two seven one"), Heard("no")), State.AUTHENTICATE,
         "last four digits"),
        ((*TO_VERIFYING, BankSlow()), State.VERIFYING, "One moment, please."),
        (TO_MORE, State.MORE, "shipped on November the twentieth. Is there anything else"),
        ((*TO_QUERYING, CardNotFound()), State.MORE, "no card on its way"),
        ((*TO_MORE, Heard("no")), State.ENDED, "Good bye"),
        ((*TO_MORE, Heard("yes")), State.INTENT, "How can I help you?"),
        ((*TO_MORE, Heard("where is my card")), State.QUERYING, ""),
        ((*TO_QUERYING, BankFailed()), State.TRY_AGAIN, "cannot reach our records"),
        ((*TO_QUERYING, BankFailed(), Heard("no")), State.ENDED, "Good bye"),
        ((*TO_QUERYING, BankFailed(), Heard("yes")), State.QUERYING, ""),
        ((*TO_QUERYING, BankFailed(), Heard("yes"), BankFailed()), State.ENDED, "call again later"),
    ],
)  # fmt: skip
def test_each_step_of_the_conversation(inputs: Sequence[Input], state: State, words: str) -> None:
    step = run(inputs)
    assert step.memory.state is state
    assert words in said(step)


class TestAuthentication:
    def test_a_keyed_credential_is_asked_of_the_bank_at_once(self) -> None:
        assert question(run(TO_VERIFYING)) == Authenticate(1, "4271", "200417", None)

    def test_a_spoken_credential_counts_only_after_confirmation(self) -> None:
        heard = run((*TO_AUTHENTICATE, Heard("four two seven one")))
        assert (question(heard), heard.memory.attempt) == (None, 0)
        confirmed = DIALOG.step(heard.memory, Heard("yes"))
        assert question(confirmed) == Authenticate(1, "4271", "200417", None)

    def test_a_refused_credential_is_asked_for_again(self) -> None:
        step = run((*TO_VERIFYING, Authenticated(Verdict.REFUSED)))
        assert step.memory.state is State.AUTHENTICATE
        assert "does not match" in said(step)

    def test_the_last_refusal_locks_out(self) -> None:
        again: tuple[Input, ...] = (Authenticated(Verdict.REFUSED), Keyed("0000"))
        step = run((*TO_VERIFYING, *again, *again, Authenticated(Verdict.REFUSED)))
        assert step.outputs[-1] == HangUp(Outcome.LOCKED_OUT)
        assert "could not verify" in said(step)

    def test_the_bank_may_lock_out_earlier(self) -> None:
        step = run((*TO_VERIFYING, Authenticated(Verdict.LOCKED)))
        assert step.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    def test_a_new_try_is_a_new_attempt_and_a_repeated_question_the_same(self) -> None:
        refused = run((*TO_VERIFYING, Authenticated(Verdict.REFUSED), Keyed("4271")))
        assert question(refused) == Authenticate(2, "4271", "200417", None)
        failed = run((*TO_VERIFYING, BankFailed(), Heard("yes")))
        assert question(failed) == Authenticate(1, "4271", "200417", None)

    def test_trying_again_without_the_credential_asks_for_it(self) -> None:
        failed = run((*TO_VERIFYING, BankFailed()))
        stored = DIALOG.load(DIALOG.dump(failed.memory))
        step = DIALOG.step(stored, Heard("yes"))
        assert (step.memory.state, question(step)) == (State.AUTHENTICATE, None)

    @pytest.mark.parametrize(
        ("state", "asked"),
        [
            (State.CONFIRM_NUMBER, State.IDENTIFY),
            (State.CONFIRM_CREDENTIAL, State.AUTHENTICATE),
        ],
    )
    def test_a_yes_to_what_another_process_heard_is_no_try(
        self, state: State, asked: State
    ) -> None:
        step = DIALOG.step(Memory(state=state, customer_number="200417"), Heard("yes"))
        assert (step.memory.state, question(step), step.memory.attempt) == (asked, None, 0)

    def test_a_verified_caller_is_not_asked_twice(self) -> None:
        step = run((*TO_MORE, Heard("yes"), Heard("card status")))
        assert question(step) == QueryCardDelivery("c-1")

    def test_starting_again_forgets_who_calls_but_not_the_tries(self) -> None:
        refused = run((*TO_VERIFYING, Authenticated(Verdict.REFUSED), Heard("start again")))
        memory = refused.memory
        assert (memory.state, memory.customer_number, memory.failed_attempts) == (
            State.INTENT, None, 1,
        )  # fmt: skip
        assert run((Heard("card status"),), memory=memory).memory.state is State.IDENTIFY

    def test_a_pin_is_asked_for_by_its_name(self) -> None:
        dialog = Dialog(DialogSettings(method=Method.PIN, credential_digits=5))
        assert "your five digit pin" in said(run(TO_AUTHENTICATE, dialog))
        many = Dialog(DialogSettings(method=Method.PIN, credential_digits=12))
        assert "your 12 digit pin" in said(run(TO_AUTHENTICATE, many))


class TestCallerId:
    def test_a_trusted_one_identifies_but_proves_nothing(self) -> None:
        step = run((Started(KNOWN), Heard("card status")))
        assert step.memory.state is State.AUTHENTICATE
        asked = DIALOG.step(step.memory, Keyed("4271"))
        assert question(asked) == Authenticate(1, "4271", None, "+15550123")

    @pytest.mark.parametrize(
        "caller",
        [
            Caller(),
            Caller("+15550123"),
            Caller("+15550123", trusted=True, withheld=True),
            Caller("", trusted=True),
        ],
    )
    def test_withheld_and_untrusted_ones_identify_nobody(self, caller: Caller) -> None:
        assert run((Started(caller), Heard("card status"))).memory.state is State.IDENTIFY

    def test_an_unknown_one_leads_to_the_number_and_the_credential_is_kept(self) -> None:
        unknown = run(
            (Started(KNOWN), Heard("card status"), Keyed("4271"),
             Authenticated(Verdict.UNKNOWN_CALLER))
        )  # fmt: skip
        assert unknown.memory.state is State.IDENTIFY
        step = DIALOG.step(unknown.memory, Keyed("200417"))
        assert question(step) == Authenticate(1, "4271", "200417", None)

    def test_an_unknown_one_is_not_tried_again(self) -> None:
        unknown = run(
            (Started(KNOWN), Heard("card status"), Keyed("4271"),
             Authenticated(Verdict.UNKNOWN_CALLER), Heard("start again"), Heard("card status"))
        )  # fmt: skip
        assert unknown.memory.state is State.IDENTIFY


class TestEverywhere:
    @pytest.mark.parametrize("state", sorted(LISTENING))
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("help", "{question}"),
            ("operator", "no operator on this line"),
            ("good bye", "Good bye"),
            ("start again", "Let us start again"),
        ],
    )
    def test_global_words(self, state: State, words: str, expected: str) -> None:
        step = DIALOG.step(Memory(state=state), Heard(words))
        assert expected.format(question="") in said(step)
        assert step.outputs

    @pytest.mark.parametrize("state", sorted(LISTENING))
    def test_repeat_says_the_same_again(self, state: State) -> None:
        step = DIALOG.step(Memory(state=state, said=("As before.",)), Heard("repeat"))
        assert said(step) == "As before."
        assert DIALOG.step(Memory(state=state), Heard("repeat")).memory.state is state

    @pytest.mark.parametrize("state", sorted(LISTENING))
    def test_every_listening_state_has_a_row_for_no_match_and_silence(self, state: State) -> None:
        assert {Meaning.NO_MATCH, Meaning.NO_INPUT, Meaning.REPEAT} <= TABLE[state].keys()

    @pytest.mark.parametrize("state", sorted(set(State) - LISTENING))
    @pytest.mark.parametrize("given", [Heard("yes"), NoMatch(), NoInput(), Keyed("1")])
    def test_a_state_that_does_not_listen_ignores_the_caller(
        self, state: State, given: Input
    ) -> None:
        memory = Memory(state=state)
        assert DIALOG.step(memory, given) == Step(memory)

    def test_every_state_has_a_row(self) -> None:
        assert set(TABLE) == set(State)

    @pytest.mark.parametrize(
        ("state", "keys", "expected"),
        [
            (State.INTENT, "1", State.IDENTIFY),
            (State.INTENT, "2", State.INTENT),
            (State.INTENT, "3", State.ENDED),
            (State.INTENT, "0", State.INTENT),
            (State.INTENT, "9", State.INTENT),
            (State.INTENT, "7", State.INTENT),
            (State.IDENTIFY, "12", State.IDENTIFY),
            (State.IDENTIFY, "*", State.INTENT),
            (State.TRY_AGAIN, "2", State.ENDED),
            (State.MORE, "1", State.INTENT),
        ],
    )
    def test_keys(self, state: State, keys: str, expected: State) -> None:
        assert DIALOG.step(Memory(state=state), Keyed(keys)).memory.state is expected


class TestMisunderstandings:
    @pytest.mark.parametrize("state", sorted(LISTENING))
    def test_after_two_keys_are_asked_for(self, state: State) -> None:
        once = DIALOG.step(Memory(state=state), NoMatch())
        twice = DIALOG.step(once.memory, NoMatch())
        assert "did not understand" in said(once)
        assert "press" in said(twice) or "keys" in said(twice)

    def test_a_confirmation_by_keys_reads_the_digits_again(self) -> None:
        step = run((*TO_AUTHENTICATE, Heard("four two seven one"), NoMatch(), NoMatch()))
        assert "I heard four two seven one" in said(step)
        assert "For yes, press one." in said(step)

    def test_too_many_end_the_call(self) -> None:
        step = run((Started(), *[NoMatch()] * 5))
        assert step.outputs[-1] == HangUp(Outcome.LOST)

    def test_what_is_understood_begins_the_count_anew(self) -> None:
        step = run((Started(), *[NoMatch()] * 4, Heard("help")))
        assert step.memory.no_matches == 0

    def test_a_wrong_number_of_digits_is_named(self) -> None:
        assert "I need six digits." in said(run((*TO_IDENTIFY, Heard("one two three"))))
        assert "I need four digits." in said(run((*TO_AUTHENTICATE, Keyed("12345"))))

    def test_low_confidence_is_no_match(self) -> None:
        step = run((Started(), Heard("where is my card", 0.1)))
        assert step.memory.no_matches == 1

    @pytest.mark.parametrize("words", ["yes", "banana", "four two seven one", ""])
    def test_words_of_other_states_are_no_match(self, words: str) -> None:
        assert run((Started(), Heard(words))).memory.no_matches == 1

    def test_silence_asks_again_then_for_keys_then_ends(self) -> None:
        first = run((Started(), NoInput()))
        second = DIALOG.step(first.memory, NoInput())
        third = DIALOG.step(second.memory, NoInput())
        assert "Are you still there? How can I help you?" in said(first)
        assert "press one" in said(second)
        assert third.outputs[-1] == HangUp(Outcome.SILENT)

    def test_a_conversation_is_bounded(self) -> None:
        dialog = Dialog(DialogSettings(max_turns=3))
        step = run((Started(), *[Heard("help")] * 4), dialog)
        assert step.outputs[-1] == HangUp(Outcome.LOST)


class TestPrivacyAndHistory:
    def test_spoken_digits_are_blank_in_the_history(self) -> None:
        memory = run((*TO_AUTHENTICATE, Heard("four two seven one"), Heard("yes"))).memory
        text = str(DIALOG.dump(memory)) + repr(memory)
        assert "four two" not in text
        assert "4271" not in text
        assert Utterance("agent", "I heard (digits). Is that right?") in memory.history

    def test_what_holds_facts_of_the_caller_is_private(self) -> None:
        heard = run((*TO_AUTHENTICATE, Heard("four two seven one")))
        assert all(say.private for say in heard.outputs if isinstance(say, Say))
        assert all(say.private for say in run(TO_MORE).outputs if isinstance(say, Say))

    def test_only_what_was_heard_of_a_prompt_stays(self) -> None:
        step = run((Started(), Interrupted("Welcome to Exam")))
        assert step.memory.history == (Utterance("agent", "Welcome to Exam…"),)
        assert step.outputs == ()

    def test_an_interruption_before_the_first_word(self) -> None:
        step = run((*TO_IDENTIFY, Interrupted("")))
        assert step.memory.history[-1] == Utterance("agent", "…")
        assert run((Interrupted("x"),)).memory.history == ()

    def test_an_interruption_finds_the_agents_last_line(self) -> None:
        memory = Memory(history=(Utterance("agent", "All of it."), Utterance("caller", "yes")))
        step = DIALOG.step(memory, Interrupted("All"))
        assert step.memory.history == (Utterance("agent", "All…"), Utterance("caller", "yes"))


class TestResuming:
    @pytest.mark.parametrize(
        ("inputs", "state", "words"),
        [
            ((), State.INTENT, "Welcome"),
            ((Started(),), State.INTENT, "Sorry, where were we? How can I help you?"),
            (TO_IDENTIFY, State.IDENTIFY, "where were we? Please say or key in your six digit"),
            ((*TO_IDENTIFY, Heard("two zero zero four one seven")), State.IDENTIFY, "customer"),
            ((*TO_AUTHENTICATE, Heard("four two seven one")), State.AUTHENTICATE, "last four"),
            (TO_VERIFYING, State.AUTHENTICATE, "last four"),
            (TO_QUERYING, State.QUERYING, "where were we?"),
            (TO_MORE, State.MORE, "anything else"),
            ((*TO_MORE, Heard("no")), State.ENDED, "Good bye"),
        ],
    )
    def test_another_process_goes_on(
        self, inputs: Sequence[Input], state: State, words: str
    ) -> None:
        stored = DIALOG.load(DIALOG.dump(run(inputs).memory))
        step = DIALOG.step(stored, Resumed())
        assert step.memory.state is state
        assert words in said(step)

    def test_a_question_about_nobody_begins_again(self) -> None:
        step = DIALOG.step(Memory(state=State.QUERYING), Resumed())
        assert step.memory.state is State.INTENT

    def test_an_end_without_a_reason_is_an_end(self) -> None:
        step = DIALOG.step(Memory(state=State.ENDED), Resumed())
        assert step.outputs[-1] == HangUp(Outcome.COMPLETED)


class TestGoingOnWithAnEarlierCall:
    EARLIER = Earlier("card_delivery_inquiry", "200417", 1)

    def opened(self, earlier: Earlier = EARLIER, caller: Caller = NOBODY) -> Step:
        return DIALOG.step(Memory(), Started(caller, earlier))

    def test_it_is_offered_and_nothing_of_it_is_said(self) -> None:
        step = self.opened()
        assert step.memory.state is State.CONTINUE
        assert said(step) == (
            "Welcome to Example Bank. It seems that we were cut off. Shall we go on where we were?"
        )

    def test_a_yes_asks_for_the_proof_and_for_nothing_that_is_known(self) -> None:
        step = DIALOG.step(self.opened().memory, Heard("yes please"))
        assert step.memory.state is State.AUTHENTICATE
        assert step.memory.customer is None
        assert (step.memory.customer_number, step.memory.failed_attempts) == ("200417", 1)
        asked = DIALOG.step(step.memory, Keyed("4271"))
        assert question(asked) == Authenticate(1, "4271", "200417", None)

    def test_tries_that_failed_before_count_on(self) -> None:
        memory = DIALOG.step(self.opened(Earlier("card_delivery_inquiry", "200417", 2)).memory,
                             Keyed("1")).memory  # fmt: skip
        refused = DIALOG.step(DIALOG.step(memory, Keyed("0000")).memory,
                              Authenticated(Verdict.REFUSED))  # fmt: skip
        assert refused.outputs[-1] == HangUp(Outcome.LOCKED_OUT)

    def test_without_a_number_the_caller_is_identified_as_ever(self) -> None:
        earlier = Earlier("card_delivery_inquiry")
        step = DIALOG.step(self.opened(earlier).memory, Heard("yes"))
        assert step.memory.state is State.IDENTIFY
        known = DIALOG.step(self.opened(earlier, KNOWN).memory, Heard("yes"))
        assert known.memory.state is State.AUTHENTICATE

    def test_an_intent_that_is_not_known_is_asked_for(self) -> None:
        step = DIALOG.step(self.opened(Earlier("mortgage")).memory, Heard("yes"))
        assert step.memory.state is State.INTENT

    @pytest.mark.parametrize("given", [Heard("no thank you"), Keyed("2"), Keyed("*")])
    def test_a_no_leaves_it_alone(self, given: Input) -> None:
        step = DIALOG.step(self.opened().memory, given)
        assert step.memory.state is State.INTENT
        assert (step.memory.earlier, step.memory.customer_number) == (None, None)

    def test_who_asks_for_the_card_at_once_begins_anew(self) -> None:
        step = DIALOG.step(self.opened().memory, Heard("where is my card"))
        assert step.memory.state is State.IDENTIFY
        assert (step.memory.earlier, step.memory.failed_attempts) == (None, 0)

    def test_another_process_offers_it_again(self) -> None:
        stored = DIALOG.load(DIALOG.dump(self.opened().memory))
        assert stored.earlier == self.EARLIER
        step = DIALOG.step(stored, Resumed())
        assert step.memory.state is State.CONTINUE
        assert "Shall we go on" in said(step)


class TestWhatIsRecorded:
    def test_lines_are_numbered_and_belong_to_turns(self) -> None:
        history = run(TO_IDENTIFY).memory.history
        assert [(line.speaker, line.number, line.turn) for line in history] == [
            ("agent", 1, 0), ("caller", 2, 1), ("agent", 3, 1),
        ]  # fmt: skip

    def test_a_line_that_was_cut_keeps_its_number(self) -> None:
        line = run((*TO_IDENTIFY, Interrupted("Please say"))).memory.history[-1]
        assert (line.text, line.number, line.turn, line.cut) == ("Please say…", 3, 1, True)

    def test_what_is_wanted_is_known_until_all_begins_again(self) -> None:
        memory = run(TO_IDENTIFY).memory
        assert memory.intent == "card_delivery_inquiry"
        assert DIALOG.load(DIALOG.dump(memory)).intent == "card_delivery_inquiry"
        assert DIALOG.step(memory, Heard("start again")).memory.intent == ""


class TestListening:
    @pytest.mark.parametrize(
        ("inputs", "digits", "grammar"),
        [
            ((Started(),), 1, "intent"),
            (TO_IDENTIFY, 6, "identify"),
            (TO_AUTHENTICATE, 4, "authenticate"),
            (TO_MORE, 1, "more"),
        ],
    )
    def test_each_state_names_its_grammar_and_keys(
        self, inputs: Sequence[Input], digits: int, grammar: str
    ) -> None:
        listen = run(inputs).outputs[-1]
        assert isinstance(listen, Listen)
        assert (listen.digits, listen.grammar.name) == (digits, grammar)

    @pytest.mark.parametrize(
        ("inputs", "text", "complete"),
        [
            ((Started(),), "where is my credit card", True),
            ((Started(),), "where is my", False),
            (TO_AUTHENTICATE, "four two seven one", True),
            (TO_AUTHENTICATE, "four two seven", False),
            (TO_VERIFYING, "yes", False),
        ],
    )
    def test_what_completes_a_state(
        self, inputs: Sequence[Input], text: str, complete: bool
    ) -> None:
        assert DIALOG.completes(run(inputs).memory, text) is complete

    def test_barge_in_can_be_forbidden(self) -> None:
        dialog = Dialog(DialogSettings(barge_in=False))
        says = [o for o in run((Started(),), dialog).outputs if isinstance(o, Say)]
        assert [say.barge_in for say in says] == [False]

    def test_fixed_sentences_hold_everything_that_is_no_fact(self) -> None:
        fixed = DIALOG.fixed_sentences()
        assert "Welcome to Example Bank." in fixed
        assert len(set(fixed)) == len(fixed)
        for step in (run((Started(),)), run(TO_IDENTIFY), run((Started(), NoMatch(), NoMatch()))):
            says = [o for o in step.outputs if isinstance(o, Say)]
            assert {s for say in says for s in say.sentences} <= set(fixed)

    def test_the_grammar_of_a_state(self) -> None:
        assert DIALOG.grammar(State.MORE).name == "more"
        assert [grammar.name for grammar in DIALOG.grammars()] == [
            "more", "intent", "identify", "confirm", "authenticate",
        ]  # fmt: skip


def test_memory_is_a_value() -> None:
    before = run((Started(),)).memory
    DIALOG.step(before, Heard("card status"))
    assert before == run((Started(),)).memory
    assert replace(before, turns=0) == before


class TestWhatSomebodyElseAnswers:
    """Words that the dialog has no answer to may be answered by a model."""

    WEATHER = Heard("what will the weather be like", confidence=1.0)
    ANSWER = ("I only know about cards.",)

    def test_it_is_left_open_where_nothing_secret_is_asked(self) -> None:
        assert DIALOG.leaves_open(run([Started()]).memory, self.WEATHER)
        assert not DIALOG.leaves_open(run(TO_AUTHENTICATE).memory, self.WEATHER)
        understood = Heard("where is my credit card", confidence=1.0)
        assert not DIALOG.leaves_open(run([Started()]).memory, understood)

    def test_the_answer_is_said_remembered_and_the_caller_listened_to_again(self) -> None:
        before = run([Started()]).memory
        step = DIALOG.answered(before, self.WEATHER, self.ANSWER)
        assert step.memory.state is State.INTENT
        assert step.memory.turns == before.turns + 1
        assert [entry.text for entry in step.memory.history[-2:]] == [
            self.WEATHER.text,
            *self.ANSWER,
        ]
        assert any(isinstance(output, Listen) for output in step.outputs)

    def test_it_does_not_go_on_for_ever(self) -> None:
        dialog = Dialog(DialogSettings(max_turns=3))
        memory = replace(run([Started()], dialog).memory, turns=3)
        step = dialog.answered(memory, self.WEATHER, self.ANSWER)
        assert (step.memory.state, step.memory.outcome) == (State.ENDED, Outcome.LOST)
