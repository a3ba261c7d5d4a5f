"""The embedded engines as the services of speech want them."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from callfleet_agent.audio import Pcm8k
from callfleet_agent.banking import (
    AuthenticationRequest,
    Bank,
    BankingError,
    CardDeliveryRequest,
)
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.conversation import Addition, Exchange, Speaker
from callfleet_agent.context.errors import ContextNotFoundError
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.dialog import (
    AskBank,
    Authenticate,
    Authenticated,
    BankFailed,
    CardFound,
    CardNotFound,
    Delivery,
    Dialog,
    DialogSettings,
    Grammar,
    HangUp,
    Heard,
    Input,
    Keyed,
    Memory,
    QueryCardDelivery,
    Say,
    SnapshotError,
    Started,
    Verdict,
)
from callfleet_agent.pipeline.conversing import attempt_key
from callfleet_agent.pipeline.ports import EngineError, Utterance
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.pipeline.voice_activity import WINDOW_MS, VoiceActivity, VoiceActivityModel
from callfleet_agent.services.engines import Answer, Ears, Finish, Understood
from callfleet_agent.services.errors import EngineFailedError

_REFERENCE: Final = re.compile(r"<([a-z][a-z0-9_]*)>")
_MOST_VOICES: Final = 16
_WORDS_PER_MINUTE: Final = 165
DIALOG: Final = "callfleet_dialog"
"""The fact of a context under which the dialog's memory is kept."""


def ears() -> Ears:
    """Silero's model, loaded once."""
    model = VoiceActivityModel()
    return Ears(lambda: VoiceActivity(model), WINDOW_MS)


def any_of(grammars: Sequence[Grammar], name: str = "anything") -> Grammar:
    """One grammar that takes whatever any of these takes."""
    rules: dict[str, str] = {}
    roots: list[str] = []
    for grammar in grammars:
        prefix = f"{grammar.name}_"
        for rule, expression in grammar.rules:
            rules[prefix + rule] = _REFERENCE.sub(
                lambda found, prefix=prefix: f"<{prefix}{found[1]}>",  # type: ignore[misc]
                expression,
            )
        roots.append(f"<{prefix}{grammar.root}>")
    rules["any"] = "( " + " | ".join(roots) + " )"
    return Grammar.of(name, rules, root="any")


class SphinxListening:
    """One utterance."""

    def __init__(self, utterance: Utterance) -> None:
        self._utterance = utterance

    def feed(self, sound: Pcm8k) -> None:
        """More of it."""
        self._utterance.feed(sound)

    async def understood(self) -> Understood:
        """What was said up to here."""
        try:
            found = await self._utterance.recognise()
        except EngineError as error:
            raise EngineFailedError(str(error)) from error
        return Understood(found.text, found.confidence)

    def close(self) -> None:
        """Done."""
        self._utterance.close()


@dataclass(frozen=True, slots=True)
class SphinxRecogniser:
    """PocketSphinx with one grammar."""

    transcriber: SphinxTranscriber
    grammar: Grammar
    name: str = "sphinx"
    language: str = "en-US"

    def begin(self) -> SphinxListening:
        """A new utterance."""
        return SphinxListening(self.transcriber.begin(self.grammar, ()))


async def espeak_voices() -> frozenset[str]:
    """The voices that espeak-ng has.

    Raises:
        EngineFailedError: it cannot be run.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "espeak-ng", "--voices", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    except OSError as error:
        raise EngineFailedError("espeak-ng cannot be run") from error
    rows = [line.split() for line in output.decode(errors="replace").splitlines()[1:]]
    return frozenset(row[1] for row in rows if len(row) > 1)


class EspeakSpeaker:
    """espeak-ng's voices, each at the speeds that were asked for."""

    def __init__(self, voices: frozenset[str], default: str = "en-us") -> None:
        self._voices = voices
        self._default = default
        self._made: OrderedDict[tuple[str, int], EspeakSynthesiser] = OrderedDict()

    def knows(self, voice: str) -> bool:
        """Whether there is such a voice."""
        return voice in self._voices

    async def speech(self, text: str, voice: str, speed: float) -> Pcm8k:
        """A sentence; it is kept nowhere."""
        key = (voice or self._default, round(_WORDS_PER_MINUTE * speed))
        synthesiser = self._made.setdefault(key, EspeakSynthesiser(*key))
        self._made.move_to_end(key)
        if len(self._made) > _MOST_VOICES:
            self._made.popitem(last=False)
        try:
            return await synthesiser.speech(text, private=True)
        except EngineError as error:
            raise EngineFailedError(str(error)) from error


class RuleAnswerer:
    """The rule-based dialog over text. Its memory is a fact of the session's context, so that any
    replica can go on with it; two answers at once are a lost update and refused."""

    name = "rules"

    def __init__(
        self,
        settings: DialogSettings,
        bank_of: Callable[[UUID], Bank],
        contexts: ContextCommands,
        remembered: ContextQueries,
    ) -> None:
        self._dialog = Dialog(settings)
        self._method = settings.method.value
        self._bank_of = bank_of
        self._contexts = contexts
        self._remembered = remembered

    async def answer(self, session_id: UUID, text: str) -> AsyncIterator[Answer]:
        """The answer, sentence by sentence; it is remembered before its end is told."""
        memory, version = await self._memory(session_id)
        said: list[str] = []
        finish = Finish.STOP
        pending: list[Input] = [_input_of(text)]
        while pending:
            step = self._dialog.step(memory, pending.pop(0))
            memory = step.memory
            for output in step.outputs:
                match output:
                    case Say():
                        for sentence in output.sentences:
                            said.append(sentence)
                            yield Answer(sentence + " ")
                    case AskBank():
                        pending.append(await self._ask(session_id, output))
                    case HangUp():
                        finish = Finish.GOODBYE
        await self._contexts.update(
            session_id,
            Addition(
                append=(
                    Exchange(speaker=Speaker.CALLER, content=text),
                    *(Exchange(speaker=Speaker.AGENT, content=sentence) for sentence in said),
                ),
                current_intent="card_delivery_inquiry",
                customer_data={DIALOG: self._dialog.dump(memory)},
                expected_version=version,
            ),
        )
        yield Answer("", "card_delivery_inquiry", finish)

    async def _memory(self, session_id: UUID) -> tuple[Memory, int]:
        try:
            context = await self._remembered.of_session(session_id)
        except ContextNotFoundError:
            return self._begun(), 0
        kept = context.customer_data.get(DIALOG)
        if isinstance(kept, dict):
            try:
                return self._dialog.load(kept), context.version
            except SnapshotError:
                pass
        return self._begun(), context.version

    def _begun(self) -> Memory:
        return self._dialog.step(Memory(), Started()).memory

    async def _ask(self, session_id: UUID, question: AskBank) -> Input:
        try:
            return await self._answer_of_the_bank(session_id, question.operation)
        except BankingError:
            return BankFailed()

    async def _answer_of_the_bank(
        self, session_id: UUID, operation: Authenticate | QueryCardDelivery
    ) -> Input:
        bank = self._bank_of(session_id)
        if isinstance(operation, QueryCardDelivery):
            found = await bank.query_card_delivery(
                CardDeliveryRequest(customer_id=operation.customer)
            )
            if found.status is None:
                return CardNotFound()
            delivery = Delivery(found.status.value)
            return CardFound(delivery, found.date, found.expected, found.carrier)
        verdict = await bank.authenticate_customer(
            AuthenticationRequest(
                idempotency_key=attempt_key(session_id, operation.attempt),
                method=self._method,
                credential=operation.credential,
                customer_number=operation.customer_number,
                caller_id=operation.caller_id,
            )
        )
        return Authenticated(Verdict(verdict.status.value), verdict.customer_id)


def _input_of(text: str) -> Input:
    """Digits are as good as keys; anything else is words as a recogniser would give them."""
    digits = re.sub(r"[\s-]", "", text)
    if digits.isascii() and digits.isdecimal():
        return Keyed(digits)
    return Heard(" ".join(re.sub(r"[^a-z' ]+", " ", text.lower()).split()))
