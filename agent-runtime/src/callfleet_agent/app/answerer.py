"""Answers to what a session's caller says, as the LLM service wants them: the rule-based dialog,
and language models for what it leaves open.

The dialog's memory is a fact of the session's context, so that any replica can go on with it; two
answers at once are a lost update and refused.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from callfleet_agent.app.unconfirmed import Unconfirmed
from callfleet_agent.banking import (
    Bank,
    BankingError,
    CardDeliveryRequest,
)
from callfleet_agent.banking.bound import BoundBank
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.conversation import Addition, ConversationContext, Exchange, Speaker
from callfleet_agent.context.errors import ContextNotFoundError
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.dialog import (
    LISTENING,
    AskBank,
    Authenticate,
    Authenticated,
    BankFailed,
    CardFound,
    CardNotFound,
    Delivery,
    Dialog,
    DialogSettings,
    HangUp,
    Heard,
    Input,
    Keyed,
    Memory,
    QueryCardDelivery,
    Say,
    SendCode,
    SnapshotError,
    Started,
    State,
    Utterance,
    Verdict,
)
from callfleet_agent.dialog.history import BLANK, blanked
from callfleet_agent.guard.languages import LANGUAGES, language_of
from callfleet_agent.pipeline.conversing import authentication, today
from callfleet_agent.pipeline.guarded import (
    Ended,
    Models,
    Shortened,
    Spoken,
    Wanted,
    Withheld,
    guarded,
)
from callfleet_agent.pipeline.model_prompt import TOKENS_OF_A_CALL, Known, Question, question_for
from callfleet_agent.pipeline.ports import ResponderError
from callfleet_agent.services.engines import Answer, Asked, Finish
from callfleet_agent.services.errors import EngineFailedError, InvalidRequestError, Violation
from callfleet_agent.session.errors import SessionEndedError
from callfleet_agent.session.record import CallSession
from callfleet_agent.time_limit import at_most

DIALOG: Final = "callfleet_dialog"
"""The fact of a context under which the dialog's memory is kept."""

CARD: Final = "card_delivery_inquiry"
RULES: Final = "rules"
SHOWN_FACTS: Final = ("topic", "product", "card_type", "channel", "reason")
"""Facts of a session that a model may be shown: what is told of a customer is not among them."""

SURE: Final = 1.0
NAMED_BY_A_MODEL: Final = 0.7
CONFIRMING: Final = frozenset({State.CONFIRM_NUMBER, State.CONFIRM_CREDENTIAL})
RECORDING_S: Final = 2.0
_HELP: Final = Heard("help")
_ROLES: Final = {Speaker.CALLER: "caller", Speaker.AGENT: "agent"}
_log = logging.getLogger(__name__)
Tell = Callable[[str, Mapping[str, object]], None]


def tell_nobody(_: str, __: Mapping[str, object]) -> None:
    """For those without metrics."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where an answerer has what it needs from. `session_of` raises SessionNotFoundError, also for
    another's session. `proven`: the bank's reference of whom a session has proved to be, if any; it
    alone decides whose account may be asked about."""

    bank_of: Callable[[UUID], Bank]
    session_of: Callable[[UUID], Awaitable[CallSession]]
    proven: Callable[[UUID], Awaitable[str | None]]
    contexts: ContextCommands
    remembered: ContextQueries
    models: Models
    by_rules: Callable[[], bool] = lambda: True
    shown_facts: Sequence[str] = SHOWN_FACTS
    tell: Tell = tell_nobody
    recording_s: float = RECORDING_S


@dataclass(slots=True)
class _Turn:
    """One answer while it is made."""

    asked: Asked
    memory: Memory
    version: int
    heard: Heard | Keyed
    said: list[str] = field(default_factory=list)
    pending: list[Input] = field(default_factory=list)
    provider: str = RULES
    confidence: float = SURE
    finish: Finish = Finish.STOP
    told: dict[str, float | str] = field(default_factory=dict)


class DialogAnswerer:
    """The dialog over text, and models behind it."""

    def __init__(self, settings: DialogSettings, sources: Sources) -> None:
        self._dialog = Dialog(settings)
        self._sources = sources
        self._unconfirmed = Unconfirmed()

    async def answer(self, asked: Asked) -> AsyncGenerator[Answer, None]:
        """See services.engines.Answerer; the turn is remembered before its end is told, also when
        it is broken off. Nothing is asked of a model for a session that does not go on.

        Raises:
            SessionNotFoundError: there is no such session, or it is another's.
            SessionEndedError: it has ended.
        """
        if (await self._sources.session_of(asked.session_id)).is_over:
            raise SessionEndedError
        context = await self._context(asked.session_id)
        question, turn = self._understood(asked, context)
        try:
            if question is not None:
                async with aclosing(self._modelled(question, turn)) as answers:
                    async for answer in answers:
                        yield answer
            async with aclosing(self._by_rules(turn)) as answers:
                async for answer in answers:
                    yield answer
        except BaseException:
            await self._broken_off(turn)
            raise
        await self._record(turn)
        self._sources.tell("turn", turn.told)
        intent = CARD if turn.memory.state not in {State.NEW, State.INTENT} else ""
        confidence = turn.confidence if intent else 0.0
        yield Answer("", turn.provider, intent, confidence, turn.finish)

    def _understood(
        self, asked: Asked, context: ConversationContext | None
    ) -> tuple[Question | None, _Turn]:
        """The question to a model, where there is one, and the turn.

        Raises:
            InvalidRequestError: the intent or the language is not known.
        """
        facts = {} if context is None else context.customer_data
        language = self._language(asked, facts)
        if asked.intent not in {"", CARD}:
            raise InvalidRequestError(Violation("intent", f"is not known: there is {CARD}"))
        heard = input_of(asked.text)
        memory = self._memory(asked.session_id, facts)
        turn = _Turn(asked, memory, 0 if context is None else context.version, heard)
        if not self._dialog.leaves_open(memory, heard):
            turn.pending.append(heard)
            return None, turn
        if asked.intent:
            turn.pending.append(Heard("where is my card"))
            return None, turn
        if self._sources.models.empty:
            turn.pending.append(heard)
            return None, turn
        return self._question(turn, _said_before(asked, context), Known(language, facts)), turn

    def _question(self, turn: _Turn, history: Sequence[Utterance], known: Known) -> Question | None:
        shown = self._sources.shown_facts
        known = replace(
            known, facts={name: known.facts[name] for name in shown if name in known.facts}
        )
        question = question_for(turn.memory, turn.asked.text, self._dialog.settings, history, known)
        tokens = turn.memory.model_tokens + question.tokens
        if question.inspection.held or tokens > TOKENS_OF_A_CALL:
            reason = question.inspection.signs[0] if question.inspection.held else "budget"
            turn.told["guarded"] = f"input:{reason}"
            turn.pending.append(turn.heard)
            return None
        turn.memory = replace(turn.memory, model_tokens=tokens)
        return question

    def _language(self, asked: Asked, facts: Mapping[str, Any]) -> str:
        tag = asked.language or facts.get("language")
        language = language_of(tag) if isinstance(tag, str) and tag else "en"
        if language is None:
            if not asked.language:
                return "en"  # nothing of this request is wrong
            known = ", ".join(sorted(LANGUAGES))
            raise InvalidRequestError(Violation("language", f"answers are given in {known}"))
        if language != "en" and asked.language and self._sources.models.empty:
            reason = "without a language model answers are in English"
            raise InvalidRequestError(Violation("language", reason))
        return language

    async def _modelled(self, question: Question, turn: _Turn) -> AsyncGenerator[Answer, None]:
        """What a model says; where it leaves something to the dialog, that is pending."""
        loop = asyncio.get_running_loop()
        began = loop.time()

        def first(pool: str) -> None:
            turn.provider = pool
            turn.told["llm_first_ms"] = _since(began, loop.time())

        ended: Ended | None = None
        try:
            async with aclosing(guarded(self._sources.models, question, first=first)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Spoken):
                        turn.said.append(piece.sentence)
                        yield Answer(piece.sentence + " ", turn.provider)
                    else:
                        ended = piece
        except ResponderError as error:
            if not turn.said and not self._sources.by_rules():
                raise EngineFailedError(str(error)) from error
        finally:
            turn.told["model_ms"] = _since(began, loop.time())
            if turn.said:
                words = Heard(turn.asked.text)
                turn.memory = self._dialog.answered(turn.memory, words, tuple(turn.said)).memory
        self._go_on(ended, turn)

    def _go_on(self, ended: Ended | None, turn: _Turn) -> None:
        if isinstance(ended, Wanted):
            turn.confidence = NAMED_BY_A_MODEL
            turn.pending.append(Heard(ended.words))
        elif isinstance(ended, Withheld):
            turn.told["guarded"] = f"{ended.where}:{ended.reason}"
            turn.finish = Finish.FILTERED
            if not turn.said:
                turn.pending.append(_HELP)
        elif isinstance(ended, Shortened):
            if turn.said:
                turn.finish = Finish.LENGTH
            else:
                turn.pending.append(_HELP)
        elif not turn.said:
            turn.pending.append(turn.heard)

    async def _by_rules(self, turn: _Turn) -> AsyncGenerator[Answer, None]:
        """What the dialog says to what is pending."""
        while turn.pending:
            step = self._dialog.step(turn.memory, turn.pending.pop(0))
            turn.memory = step.memory
            for output in step.outputs:
                match output:
                    case Say():
                        for sentence in output.sentences:
                            turn.said.append(sentence)
                            yield Answer(sentence + " ", RULES)
                    case AskBank():
                        turn.pending.append(await self._ask(turn.asked.session_id, output))
                    case HangUp():
                        turn.finish = Finish.GOODBYE

    async def _broken_off(self, turn: _Turn) -> None:
        """What was given is remembered, unless a question to the bank is open: it is asked anew."""
        if not turn.said or turn.memory.state not in LISTENING:
            return
        try:
            async with at_most(self._sources.recording_s):
                await self._record(turn, interrupted=True)
        except Exception as error:
            about = {"error": type(error).__name__}
            _log.warning("an answer that was broken off is not remembered", extra=about)

    async def _record(self, turn: _Turn, *, interrupted: bool = False) -> None:
        """The turn in the session's context, without numbers: a credential is kept nowhere."""
        spoken = isinstance(turn.heard, Heard)
        caller = blanked(turn.asked.text, also_days=True) if spoken else BLANK
        agent = (
            Exchange(speaker=Speaker.AGENT, content=blanked(sentence), interrupted=interrupted)
            for sentence in turn.said
        )
        known = turn.memory.state not in {State.NEW, State.INTENT}
        self._unconfirmed.keep(turn.asked.session_id, turn.memory.heard)
        await self._sources.contexts.update(
            turn.asked.session_id,
            Addition(
                append=(Exchange(speaker=Speaker.CALLER, content=caller), *agent),
                current_intent=CARD if known else None,
                customer_data={DIALOG: self._dialog.dump(turn.memory)},
                expected_version=turn.version,
            ),
        )

    async def _context(self, session_id: UUID) -> ConversationContext | None:
        try:
            return await self._sources.remembered.of_session(session_id)
        except ContextNotFoundError:
            return None

    def _memory(self, session_id: UUID, facts: Mapping[str, Any]) -> Memory:
        kept = facts.get(DIALOG)
        heard = self._unconfirmed.take(session_id)
        if isinstance(kept, dict):
            try:
                memory = self._dialog.load(kept)
                return replace(memory, heard=heard) if memory.state in CONFIRMING else memory
            except SnapshotError:
                pass
        return self._dialog.step(Memory(), Started(today=today())).memory

    async def _ask(self, session_id: UUID, question: AskBank) -> Input:
        try:
            return await self._answer_of_the_bank(session_id, question.operation)
        except BankingError:
            return BankFailed()

    async def _answer_of_the_bank(
        self, session_id: UUID, operation: Authenticate | SendCode | QueryCardDelivery
    ) -> Input:
        bank = BoundBank(self._sources.bank_of(session_id), await self._sources.proven(session_id))
        if isinstance(operation, QueryCardDelivery):
            found = await bank.query_card_delivery(
                CardDeliveryRequest(customer_id=operation.customer)
            )
            if found.status is None:
                return CardNotFound()
            delivery = Delivery(found.status.value)
            return CardFound(delivery, found.date, found.expected, found.carrier)
        method = self._dialog.settings.method.value
        verdict = await bank.authenticate_customer(authentication(session_id, operation, method))
        return Authenticated(Verdict(verdict.status.value), verdict.customer_id)


def input_of(text: str) -> Heard | Keyed:
    """Digits, also of a date, are as good as keys; anything else is words as a recogniser would
    give them."""
    digits = re.sub(r"[\s./-]", "", text)
    if digits.isascii() and digits.isdecimal():
        return Keyed(digits)
    return Heard(" ".join(re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()))


def _said_before(asked: Asked, context: ConversationContext | None) -> tuple[Utterance, ...]:
    """What callers and agents said; what others told a context is nobody's words."""
    stored = () if context is None else context.history
    history = stored if asked.history is None else asked.history
    return tuple(
        Utterance(_ROLES[one.speaker], blanked(one.content, also_days=True))
        for one in history
        if one.speaker in _ROLES
    )


def _since(began: float, now: float) -> float:
    return round((now - began) * 1000, 1)
