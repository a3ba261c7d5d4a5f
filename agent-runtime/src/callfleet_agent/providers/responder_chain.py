"""Answers by a chain, sentence by sentence: the next model does not say again what was said."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from callfleet_agent.chain import Member, Turn
from callfleet_agent.providers.errors import ExhaustedError, ResponderError
from callfleet_agent.providers.failures import Told, untold
from callfleet_agent.providers.lineup import CurrentLineup
from callfleet_agent.providers.ports import (
    Connected,
    Cut,
    First,
    Message,
    Prompt,
    ResponderEngine,
    nobody,
)
from callfleet_agent.providers.sentences import SentenceReader, alike
from callfleet_agent.providers.stream import Piece, stream
from callfleet_operator.model.engines import Stage

MOST_SENTENCES: Final = 6
CHARACTERS_PER_TOKEN: Final = 4.0
GO_ON: Final = (
    "Your answer was cut off there. Go on with what is missing, and repeat nothing of it. "
    "If nothing is missing, answer with a full stop."
)


class ResponderChain:
    """The models of a worker."""

    def __init__(self, lineup: CurrentLineup[ResponderEngine]) -> None:
        self._lineup = lineup

    @property
    def empty(self) -> bool:
        """Whether there is no model to ask."""
        return not self._lineup().seats

    async def answer(
        self, prompt: Prompt, told: Told = untold, first: First = nobody
    ) -> AsyncGenerator[str | Cut, None]:
        """The sentences of an answer, each once it is complete, and at its end why that is not all
        of it; `first` is called at its first token, with the name of the pool. To be closed when
        not read to its end. Raises ResponderError; what was given before that has been said."""
        lineup = self._lineup()
        turn = Turn(lineup.members, units=prompt.characters / CHARACTERS_PER_TOKEN)
        answer = _Answer()

        def ask(member: Member, connected: Connected) -> AsyncIterator[str | Cut]:
            return lineup.seat(member).engine.answer(going_on(prompt, answer.said), connected)

        try:
            async with aclosing(_heralded(stream(turn, ask), first)) as pieces:
                async for piece in pieces:
                    for sentence in answer.take(piece):
                        yield sentence
                    if len(answer.said) >= MOST_SENTENCES:
                        yield Cut.LENGTH
                        return
            for sentence in answer.rest():
                yield sentence
            if answer.cut is not None:
                yield answer.cut
        except ExhaustedError as error:
            raise ResponderError(str(error)) from None
        finally:
            for failure in turn.failures:
                told(Stage.LLM, failure)
            if answer.characters:
                now = asyncio.get_running_loop().time()
                turn.spent(answer.attempt, answer.characters / CHARACTERS_PER_TOKEN, now)


@dataclass(slots=True)
class _Answer:
    """One answer while it comes, whoever gives it."""

    said: list[str] = field(default_factory=list)
    cut: Cut | None = None
    characters: int = 0
    attempt: int = 0
    _reader: SentenceReader = field(default_factory=SentenceReader)

    def take(self, piece: Piece[str | Cut]) -> Iterator[str]:
        """The sentences that this piece completes."""
        self.attempt = piece.attempt
        if piece.anew:
            self._reader.drop()
            self.cut = None
        if isinstance(piece.value, Cut):
            self.cut = piece.value
            return
        self.characters += len(piece.value)
        yield from self._new(self._reader.feed(piece.value))

    def rest(self) -> Iterator[str]:
        """What is left at the end, as far as it can be spoken."""
        whole = self.cut is None
        yield from self._new(self._reader.flush() if whole else self._reader.flush_whole())

    def _new(self, sentences: Iterable[str]) -> Iterator[str]:
        for sentence in sentences:
            if _adds(sentence, self.said):
                self.said.append(sentence)
                yield sentence


async def _heralded(
    pieces: AsyncGenerator[Piece[str | Cut], None], first: First
) -> AsyncGenerator[Piece[str | Cut], None]:
    """The pieces, with a word when the first one has come."""
    begun = False
    async with aclosing(pieces):
        async for piece in pieces:
            if not begun:
                begun = True
                first(piece.member.name)
            yield piece


def going_on(prompt: Prompt, said: list[str]) -> Prompt:
    """The prompt for a model that takes over after these sentences."""
    if not said:
        return prompt
    rest = (Message("assistant", " ".join(said)), Message("user", GO_ON))
    return Prompt((*prompt.messages, *rest), prompt.max_tokens)


def _adds(sentence: str, said: list[str]) -> bool:
    """Whether a sentence has words, and words that were not said."""
    return any(letter.isalnum() for letter in sentence) and not any(
        alike(sentence, other) for other in said
    )
