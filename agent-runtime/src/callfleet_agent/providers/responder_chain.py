"""Answers by a chain, sentence by sentence: the next model does not say again what was said."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from callfleet_agent.chain import Member, Turn
from callfleet_agent.providers.errors import ExhaustedError, ResponderError
from callfleet_agent.providers.failures import Told, untold
from callfleet_agent.providers.lineup import CurrentLineup
from callfleet_agent.providers.ports import Connected, Message, Prompt, ResponderEngine
from callfleet_agent.providers.sentences import SentenceReader, alike
from callfleet_agent.providers.stream import stream
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

    async def answer(self, prompt: Prompt, told: Told = untold) -> AsyncGenerator[str, None]:
        """The sentences of an answer, each once it is complete. To be closed when not read to its
        end. Raises ResponderError; what was given before that has been said."""
        lineup = self._lineup()
        turn = Turn(lineup.members, units=prompt.characters / CHARACTERS_PER_TOKEN)
        said: list[str] = []

        def ask(member: Member, connected: Connected) -> AsyncIterator[str]:
            return lineup.seat(member).engine.answer(going_on(prompt, said), connected)

        reader, characters, attempt = SentenceReader(), 0, 0
        try:
            async with aclosing(stream(turn, ask)) as pieces:
                async for piece in pieces:
                    attempt = piece.attempt
                    characters += len(piece.value)
                    if piece.anew:
                        reader.drop()
                    for sentence in reader.feed(piece.value):
                        if _adds(sentence, said):
                            said.append(sentence)
                            yield sentence
                    if len(said) >= MOST_SENTENCES:
                        return
            for sentence in reader.flush():
                if _adds(sentence, said):
                    yield sentence
        except ExhaustedError as error:
            raise ResponderError(str(error)) from None
        finally:
            for failure in turn.failures:
                told(Stage.LLM, failure)
            if characters:
                turn.spent(
                    attempt, characters / CHARACTERS_PER_TOKEN, asyncio.get_running_loop().time()
                )


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
