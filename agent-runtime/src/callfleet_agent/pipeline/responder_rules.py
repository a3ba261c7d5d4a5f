"""The embedded responder: the rule-based dialog."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from callfleet_agent.context import ContextError, Envelope, opened, sealed
from callfleet_agent.dialog import (
    Dialog,
    DialogSettings,
    Grammar,
    Heard,
    Input,
    Memory,
    SnapshotError,
    State,
)
from callfleet_agent.pipeline.model_prompt import Question, question_for
from callfleet_agent.pipeline.ports import Reply

FLOW = "card-delivery"
_log = logging.getLogger(__name__)


class RuleConversation:
    """One call's dialog."""

    def __init__(self, dialog: Dialog, memory: Memory, channel: tuple[float, ...]) -> None:
        self._dialog = dialog
        self._memory = memory
        self._channel = channel

    @property
    def channel(self) -> tuple[float, ...]:
        return self._channel

    @property
    def state(self) -> State:
        """Where the conversation is."""
        return self._memory.state

    def take(self, given: Input) -> Reply:
        step = self._dialog.step(self._memory, given)
        self._memory = step.memory
        return Reply(step.outputs, step.memory.state.value)

    def foresee(self, given: Input) -> Reply:
        step = self._dialog.step(self._memory, given)
        return Reply(step.outputs, step.memory.state.value)

    @property
    def customer(self) -> str | None:
        return self._memory.customer

    def question(self, given: Input) -> Question | None:
        if not self._dialog.leaves_open(self._memory, given) or not isinstance(given, Heard):
            return None
        return question_for(self._memory, given.text, self._dialog.settings)

    def charge(self, tokens: int) -> int:
        self._memory = replace(self._memory, model_tokens=self._memory.model_tokens + tokens)
        return self._memory.model_tokens

    def answered(self, given: Input, said: Sequence[str]) -> Reply:
        if not isinstance(given, Heard):
            raise TypeError("a model answers words")
        step = self._dialog.answered(self._memory, given, tuple(said))
        self._memory = step.memory
        return Reply(step.outputs, step.memory.state.value)

    def listens(self) -> Reply:
        step = self._dialog.listens(self._memory)
        return Reply(step.outputs, step.memory.state.value)

    def completes(self, text: str) -> bool:
        return self._dialog.completes(self._memory, text)

    def context(self, channel: tuple[float, ...]) -> bytes:
        return sealed(Envelope(FLOW, self._dialog.dump(self._memory), channel))


class RuleResponder:
    """The dialog of one agent, shared by its calls."""

    def __init__(self, settings: DialogSettings) -> None:
        self._dialog = Dialog(settings)

    def converse(self, context: bytes | None) -> RuleConversation:
        """A context that cannot be read starts a new conversation: better than none."""
        if context:
            try:
                envelope = opened(context)
                memory = self._dialog.load(dict(envelope.dialog))
            except (ContextError, SnapshotError) as error:
                _log.warning("a context cannot be read", extra={"reason": str(error)})
            else:
                return RuleConversation(self._dialog, memory, envelope.channel)
        return RuleConversation(self._dialog, Memory(), ())

    def grammars(self) -> Sequence[Grammar]:
        return self._dialog.grammars()

    def fixed_sentences(self) -> Sequence[str]:
        return self._dialog.fixed_sentences()
