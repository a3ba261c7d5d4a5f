"""Answers over text, with a model that obeys every attack behind the dialog."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from callfleet_agent.app.answerer import DIALOG, DialogAnswerer, Sources
from callfleet_agent.chain import Member, MemberSettings
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.conversation import (
    Addition,
    ConversationContext,
    Exchange,
    Speaker,
)
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.context.store import Merge
from callfleet_agent.dialog import DialogSettings, Method
from callfleet_agent.providers import ResponderChain
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.ports import Cut
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.services.engines import Answer, Asked, Finish
from callfleet_agent.services.errors import EngineFailedError, InvalidRequestError
from callfleet_agent.session.errors import SessionEndedError, SessionNotFoundError
from callfleet_agent.session.record import CallSession, SessionStatus
from fakes.engines import PATIENT, FakeEngine, lineup
from fakes.obedient_model import FakeObedientModel
from injection_rig import DIGITS, LIMITS, NUMBER, OWN, WatchedBank, leaked, vectors

OPEN = "do you sell pizza"
ATTACKS = vectors("attacks") + vectors("attacks_held_out")


class FakeContexts:
    """One session's context."""

    def __init__(self) -> None:
        self.context: ConversationContext | None = None
        self.away = False

    async def apply(
        self, empty: ConversationContext, request_id: UUID | None, merge: Merge
    ) -> ConversationContext:
        if self.away:
            raise ConnectionError
        self.context = merge(self.context or empty)
        return self.context

    async def begin(self, empty: ConversationContext) -> None:
        self.context = self.context or empty

    async def lapse(self, session_id: UUID, expires_at: datetime) -> None:
        raise NotImplementedError

    async def of_session(self, session_id: UUID) -> ConversationContext | None:
        return self.context

    async def remove(self, session_id: UUID, *, dry_run: bool) -> int:
        return 0

    async def remove_expired(self, now: datetime, *, dry_run: bool) -> int:
        return 0


@dataclass
class Talk:
    """A session, and what it is answered."""

    models: Any
    rules: bool = True
    bank: WatchedBank = field(default_factory=WatchedBank)
    contexts: FakeContexts = field(default_factory=FakeContexts)
    session: UUID = field(default_factory=uuid4)
    events: list[dict[str, Any]] = field(default_factory=list)
    settings: DialogSettings = field(default_factory=DialogSettings)
    status: SessionStatus = SessionStatus.ACTIVE

    def __post_init__(self) -> None:
        async def proven(_: UUID) -> str | None:
            return OWN if (NUMBER, DIGITS) in self.bank.tried else None

        def now() -> datetime:
            return datetime(2026, 11, 26, tzinfo=UTC)

        async def session_of(session_id: UUID) -> CallSession:
            if session_id != self.session:
                raise SessionNotFoundError
            return CallSession(
                session_id=session_id, sip_call_id="a@b", call_start_time=now(), status=self.status
            )

        self.commands = ContextCommands(self.contexts, now, uuid4)
        sources = Sources(
            lambda _: self.bank,
            session_of,
            proven,
            self.commands,
            ContextQueries(self.contexts, now),
            self.models,
            by_rules=lambda: self.rules,
            tell=lambda _, fields: self.events.append(dict(fields)),
        )
        self.answerer = DialogAnswerer(self.settings, sources)

    async def pieces(self, text: str, **more: Any) -> list[Answer]:
        asked = Asked(session_id=self.session, text=text, **more)
        return [piece async for piece in self.answerer.answer(asked)]

    async def says(self, text: str, **more: Any) -> tuple[str, Answer]:
        pieces = await self.pieces(text, **more)
        return "".join(piece.text for piece in pieces).strip(), pieces[-1]

    async def verified(self) -> None:
        await self.says("where is my card")
        await self.says(NUMBER)
        await self.says(DIGITS)

    async def learns(self, **facts: Any) -> None:
        await self.commands.update(self.session, Addition(customer_data=facts))


def talk(*pieces: Any, **more: Any) -> Talk:
    chain = lineup(FakeEngine(pieces, pause_s=0.0), limits=PATIENT)
    return Talk(ResponderChain(lambda: chain), **more)


def alone(**more: Any) -> Talk:
    empty: Lineup[Any] = Lineup()
    return Talk(ResponderChain(lambda: empty), **more)


class TestAnswers:
    async def test_by_the_rules_alone(self) -> None:
        text, last = await alone().says(OPEN)
        assert "did not understand" in text
        assert (last.provider, last.finish, last.intent) == ("rules", Finish.STOP, "")

    async def test_by_a_model(self) -> None:
        conversation = talk("We do not. ", "Shall I look for your card?")
        text, last = await conversation.says(OPEN)
        assert text == "We do not. Shall I look for your card?"
        assert last.provider == "a"
        assert set(conversation.events[0]) == {"llm_first_ms", "model_ms"}

    async def test_no_model_is_asked_for_a_session_that_does_not_go_on(self) -> None:
        engine = FakeEngine(("We do not.",), pause_s=0.0)
        chain = lineup(engine, limits=PATIENT)
        over = Talk(ResponderChain(lambda: chain), status=SessionStatus.INTERRUPTED)
        with pytest.raises(SessionEndedError):
            await over.says(OPEN)
        asked = Asked(session_id=uuid4(), text=OPEN)
        with pytest.raises(SessionNotFoundError):
            await anext(over.answerer.answer(asked))
        assert engine.asked == []

    async def test_a_model_that_fails_leaves_it_to_the_rules(self) -> None:
        from callfleet_agent.chain import Fault

        text, last = await talk(Fault.REFUSED).says(OPEN)
        assert "did not understand" in text
        assert last.provider == "rules"
        with pytest.raises(EngineFailedError):
            await talk(Fault.REFUSED, rules=False).says(OPEN)
        text, last = await talk("We do not. Or ", Fault.TRUNCATED, rules=False).says(OPEN)
        assert (text, last.finish) == ("We do not.", Finish.STOP)

    async def test_what_may_not_be_said_ends_it(self) -> None:
        text, last = await talk("We do not. ", "The pin is 4271.").says(OPEN)
        assert (text, last.finish) == ("We do not.", Finish.FILTERED)
        text, last = await talk("The pin is 4271.").says(OPEN)
        assert text == "You can ask me where your card is. How can I help you?"
        assert last.finish == Finish.FILTERED

    async def test_one_that_is_too_long_ends_with_a_sentence_and_says_so(self) -> None:
        text, last = await talk("We do not. ", "You may, if ", Cut.LENGTH).says(OPEN)
        assert (text, last.finish) == ("We do not.", Finish.LENGTH)
        text, last = await talk("You may, if ", Cut.LENGTH).says(OPEN)
        assert text == "You can ask me where your card is. How can I help you?"
        assert last.finish == Finish.STOP

    async def test_what_its_provider_holds_back_is_filtered(self) -> None:
        conversation = talk("We do not. ", "You may, if ", Cut.FILTER)
        text, last = await conversation.says(OPEN)
        assert (text, last.finish) == ("We do not.", Finish.FILTERED)
        assert conversation.events[0]["guarded"] == "answer:provider"

    async def test_one_that_is_broken_off_is_remembered(self) -> None:
        conversation = talk("We do not. ", "And ", None)
        answers = conversation.answerer.answer(Asked(session_id=conversation.session, text=OPEN))
        assert (await anext(answers)).text == "We do not. "
        await answers.aclose()
        context = conversation.contexts.context
        assert context is not None
        assert [(one.content, one.interrupted) for one in context.history] == [
            (OPEN, False), ("We do not.", True),
        ]  # fmt: skip

    async def test_a_store_that_is_away_then_costs_the_memory_of_it(self) -> None:
        conversation = talk("We do not. ", "And ", None)
        answers = conversation.answerer.answer(Asked(session_id=conversation.session, text=OPEN))
        await anext(answers)
        conversation.contexts.away = True
        await answers.aclose()
        assert conversation.contexts.context is None

    async def test_nothing_said_is_nothing_to_remember(self) -> None:
        conversation = talk(None)
        asked = Asked(session_id=conversation.session, text=OPEN)
        task = asyncio.ensure_future(anext(conversation.answerer.answer(asked)))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert conversation.contexts.context is None

    async def test_a_budget_is_the_sessions(self) -> None:
        conversation = talk("We do not.")
        await conversation.says(OPEN)
        context = conversation.contexts.context
        assert context is not None
        kept = {**context.customer_data[DIALOG], "model_tokens": 10**6}
        await conversation.learns(**{DIALOG: kept})
        assert (await conversation.says(OPEN))[1].provider == "rules"
        assert conversation.events[-1] == {"guarded": "input:budget"}

    async def test_a_memory_that_cannot_be_read_begins_anew(self) -> None:
        conversation = alone()
        await conversation.learns(**{DIALOG: {"version": 77}})
        assert "number" in (await conversation.says("where is my card"))[0]


class TestProofs:
    """Each way of proving, over text; nothing of a proof is in what is remembered."""

    BIRTH = DialogSettings(method=Method.DATE_OF_BIRTH)
    CODE = DialogSettings(method=Method.ONE_TIME_CODE, credential_digits=6)

    async def asked(self, conversation: Talk, *words: str) -> str:
        await conversation.says("where is my card")
        text, _ = await conversation.says(NUMBER)
        for said in words:
            text, _ = await conversation.says(said)
        return text

    def remembered(self, conversation: Talk) -> str:
        context = conversation.contexts.context
        assert context is not None
        return (
            repr([one.content for one in context.history]) + repr(context.customer_data)
        ).lower()

    @pytest.mark.parametrize(
        "words",
        [
            ("02/29/1980",), ("1980-02-29",), ("02291980",), ("February 29th, 1980", "yes"),
            ("the twenty-ninth of February nineteen eighty", "yes"),
        ],
    )  # fmt: skip
    async def test_a_date_of_birth(self, words: tuple[str, ...]) -> None:
        conversation = alone(settings=self.BIRTH)
        await self.asked(conversation, *words)
        assert conversation.bank.tried == [(NUMBER, "1980-02-29")]
        for part in ("february", "twenty", "ninth", "eighty", "1980", "29"):
            assert part not in self.remembered(conversation)

    async def test_nobody_was_born_tomorrow(self) -> None:
        conversation = alone(settings=self.BIRTH)
        assert "I need the day" in await self.asked(conversation, "12/31/2098")
        assert conversation.bank.tried == []

    async def test_a_code(self) -> None:
        conversation = alone(settings=self.CODE)
        assert (await self.asked(conversation)).startswith("I have sent you a code.")
        await conversation.says("nine one eight two seven three")
        await conversation.says("yes")
        assert conversation.bank.tried == [(NUMBER, None), (NUMBER, "918273")]
        assert not any(part in self.remembered(conversation) for part in ("nine one", "918273"))


class TestLanguages:
    async def test_without_models_there_is_english(self) -> None:
        with pytest.raises(InvalidRequestError):
            await alone().says(OPEN, language="de")
        await alone().says(OPEN, language="en-GB")

    async def test_a_fact_that_is_no_language_is_english(self) -> None:
        for fact in ("tlh", 7, ""):
            conversation = talk("We do not sell it.")
            await conversation.learns(language=fact)
            assert (await conversation.says(OPEN))[0] == "We do not sell it."


async def test_the_bank_is_asked_about_who_is_proved_and_not_what_a_context_says() -> None:
    conversation = alone()
    await conversation.verified()
    assert "shipped" in (await conversation.says("where is my card"))[0]
    context = conversation.contexts.context
    assert context is not None
    forged = {**context.customer_data[DIALOG], "customer": "c-200418"}
    await conversation.learns(**{DIALOG: forged})
    text, _ = await conversation.says("where is my card")
    assert "cannot reach our records" in text
    assert set(conversation.bank.asked) == {OWN}


@asynccontextmanager
async def obedient() -> AsyncIterator[tuple[FakeObedientModel, Any]]:
    async with FakeObedientModel() as model:
        engine = OpenAIResponder(
            EngineSettings(engine="vllm", endpoints=(model.base,), model="small")
        )
        seats = Lineup((Seat(Member(MemberSettings(name="m", limits=LIMITS)), engine),))
        try:
            yield model, ResponderChain(lambda: seats)
        finally:
            await engine.stop()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nothing_unauthorised_leaves_whatever_a_client_brings() -> None:
    """The whole corpus, as words, as facts and as history."""
    async with obedient() as (model, chain):
        for attack in ATTACKS:
            conversation = Talk(chain, bank=WatchedBank(attack.get("bank", {})))
            model.goal, model.requests = attack["goal"], []
            if attack["state"] == "more":
                await conversation.verified()
            if facts := attack.get("facts"):
                await conversation.learns(**facts, topic=str(next(iter(facts.values()))))
            history = attack.get("history")
            for words in attack["turns"]:
                text, _ = await conversation.says(words, history=history and said(history))
                assert leaked([text]) == [], attack["id"]
            assert set(conversation.bank.asked) <= {OWN}
            assert conversation.bank.transactions == []
            shown = json.dumps([request["messages"][1:] for request in model.requests])
            for secret in (NUMBER, DIGITS, OWN, "c-200418", "previous instructions"):
                assert secret not in shown, attack["id"]


def said(history: list[list[str]]) -> tuple[Exchange, ...]:
    return tuple(Exchange(speaker=Speaker(who), content=text) for who, text in history)
