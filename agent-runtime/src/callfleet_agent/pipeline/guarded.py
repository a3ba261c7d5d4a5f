"""A model's answer, of which only what is allowed comes out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from callfleet_agent.guard import Admitted, AnswerFilter, admit, read_call
from callfleet_agent.pipeline.model_prompt import Question
from callfleet_agent.providers import Prompt
from callfleet_agent.providers.failures import Told, untold
from callfleet_agent.providers.ports import Cut, First, nobody


class Models(Protocol):
    """Language models, for what the dialog leaves open."""

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        ...

    def answer(
        self, prompt: Prompt, told: Told = untold, first: First = nobody
    ) -> AsyncGenerator[str | Cut, None]:
        """The sentences of an answer, and why it was cut off, if it was; `first` is called when its
        first token has come, with the name of the pool. Raises ResponderError."""
        ...


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence to be spoken."""

    sentence: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tool was admitted: the dialog goes on with these words of it. Nothing comes after that."""

    words: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """The rest of the answer is not let through; `where` is tool or answer, `reason` a constant
    word. Nothing comes after that."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Shortened:
    """The answer was longer than it may be; what was spoken of it ends with a whole sentence.
    Nothing comes after that."""


Ended = Wanted | Withheld | Shortened


async def guarded(
    models: Models,
    question: Question,
    told: Told = untold,
    first: First = nobody,
) -> AsyncGenerator[Spoken | Ended, None]:
    """What comes of a question. To be closed when not read to its end. Raises ResponderError."""
    judge = AnswerFilter(question.rules)
    async with aclosing(models.answer(question.prompt, told, first)) as sentences:
        async for sentence in sentences:
            if isinstance(sentence, Cut):
                is_ours = sentence is Cut.LENGTH
                yield Shortened() if is_ours else Withheld("answer", "provider")
                return
            call = read_call(sentence)
            if call is not None:
                verdict = admit(call, question.offered, question.customer)
                if isinstance(verdict, Admitted):
                    yield Wanted(verdict.tool.says)
                else:
                    yield Withheld("tool", verdict.reason)
                return
            reason = judge.reason(sentence)
            if reason is not None:
                yield Withheld("answer", reason)
                return
            yield Spoken(sentence)
