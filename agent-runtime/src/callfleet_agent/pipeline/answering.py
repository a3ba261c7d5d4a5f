"""What the dialog leaves open, answered by language models, sentence by sentence."""

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, Protocol

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection

from callfleet_agent.dialog import Heard, Input, Listen, Say
from callfleet_agent.pipeline.frames import ListenFrame, SayFrame
from callfleet_agent.pipeline.guarded import Ended, Models, Spoken, Wanted, Withheld, guarded
from callfleet_agent.pipeline.model_prompt import TOKENS_OF_A_CALL, Question
from callfleet_agent.pipeline.ports import Conversation, Reply, ResponderError
from callfleet_agent.providers.failures import Told, untold
from callfleet_agent.providers.ports import First

INSTEAD: Final = Heard("help")
"""What the dialog goes on with when nothing of an answer may be spoken."""


class Pushes(Protocol):
    """The stage that answers."""

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None: ...


class Answering:
    """One call's way to the models. `by_rules` says whether the dialog itself may answer when no
    model does; it is asked each time, since chains change."""

    def __init__(
        self,
        models: Models,
        conversation: Conversation,
        by_rules: Callable[[], bool],
        *,
        barge_in: bool,
        told: Told = untold,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = models
        self._conversation = conversation
        self._by_rules = by_rules
        self._barge_in = barge_in
        self._told = told
        self._now = now
        self._notes: dict[str, float | str] = {}

    def notes(self) -> dict[str, float | str]:
        """What there is to tell of the turn, once: `llm_first_ms`, `guarded` (where and why)."""
        notes, self._notes = self._notes, {}
        return notes

    def question(self, given: Input) -> Question | None:
        """What a model is to be asked; None where the dialog answers."""
        self._notes = {}
        question = None if self._models.empty else self._conversation.question(given)
        if question is None:
            return None
        if question.inspection.held:
            self._notes["guarded"] = f"input:{question.inspection.signs[0]}"
            return None
        if self._conversation.charge(question.tokens) > TOKENS_OF_A_CALL:
            self._notes["guarded"] = "input:budget"
            return None
        return question

    async def answer(self, given: Input, question: Question, stage: Pushes) -> Reply | Input | None:
        """Speaks the answer. Gives a Reply when it has been said, an Input with which the dialog is
        to go on, or None when nobody can answer. Cancelled, it leaves what was said recorded."""
        said: list[str] = []
        ended: Ended | None = None
        try:
            pieces = guarded(self._models, question, self._told, self._timer())
            async with aclosing(pieces):
                async for piece in pieces:
                    if isinstance(piece, Spoken):
                        await self._say(piece.sentence, stage, first=not said)
                        said.append(piece.sentence)
                    else:
                        ended = piece
        except ResponderError:
            pass  # what was said stands
        except BaseException:
            if said:
                self._conversation.answered(given, said)
            raise
        if isinstance(ended, Withheld):
            self._notes["guarded"] = f"{ended.where}:{ended.reason}"
        if isinstance(ended, Wanted):
            if said:
                self._conversation.answered(given, said)
            return Heard(ended.words)
        if said:
            await stage.push_frame(SayFrame(Say((), barge_in=self._barge_in)))
            return self._conversation.answered(given, said)
        if ended is not None:
            return INSTEAD
        return given if self._by_rules() else None

    def _timer(self) -> First:
        began = self._now()

        def first(_: str) -> None:
            self._notes["llm_first_ms"] = round((self._now() - began) * 1000, 1)

        return first

    async def _say(self, sentence: str, stage: Pushes, *, first: bool) -> None:
        if first:  # so that the caller can break in
            for output in self._conversation.listens().outputs:
                if isinstance(output, Listen):
                    await stage.push_frame(ListenFrame(output), FrameDirection.UPSTREAM)
        say = Say((sentence,), barge_in=self._barge_in, private=True)
        await stage.push_frame(SayFrame(say, last=False))
