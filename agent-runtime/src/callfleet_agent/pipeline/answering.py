"""What the dialog leaves open, answered by language models, sentence by sentence."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection

from callfleet_agent.dialog import Heard, Input, Listen, Say
from callfleet_agent.pipeline.frames import ListenFrame, SayFrame
from callfleet_agent.pipeline.model_prompt import request_in
from callfleet_agent.pipeline.ports import Conversation, Models, Reply, ResponderError
from callfleet_agent.providers import Prompt
from callfleet_agent.providers.failures import Told, untold


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
    ) -> None:
        self._models = models
        self._conversation = conversation
        self._by_rules = by_rules
        self._barge_in = barge_in
        self._told = told

    def question(self, given: Input) -> Prompt | None:
        """What a model is to be asked; None where the dialog answers."""
        return None if self._models.empty else self._conversation.question(given)

    async def answer(self, given: Input, prompt: Prompt, stage: Pushes) -> Reply | Input | None:
        """Speaks the answer. Gives a Reply when it has been said, an Input with which the dialog is
        to go on, or None when nobody can answer. Cancelled, it leaves what was said recorded."""
        state = self._conversation.listens().state
        said: list[str] = []
        try:
            async with aclosing(self._models.answer(prompt, self._told)) as sentences:
                async for sentence in sentences:
                    if not said and (request := request_in(sentence, state)) is not None:
                        return Heard(request)
                    await self._say(sentence, stage, first=not said)
                    said.append(sentence)
        except ResponderError:
            if not said:
                return given if self._by_rules() else None
        except BaseException:
            if said:
                self._conversation.answered(given, said)
            raise
        if not said:
            return given if self._by_rules() else None
        await stage.push_frame(SayFrame(Say((), barge_in=self._barge_in)))
        return self._conversation.answered(given, said)

    async def _say(self, sentence: str, stage: Pushes, *, first: bool) -> None:
        if first:  # so that the caller can break in
            for output in self._conversation.listens().outputs:
                if isinstance(output, Listen):
                    await stage.push_frame(ListenFrame(output), FrameDirection.UPSTREAM)
        say = Say((sentence,), barge_in=self._barge_in, private=True)
        await stage.push_frame(SayFrame(say, last=False))
