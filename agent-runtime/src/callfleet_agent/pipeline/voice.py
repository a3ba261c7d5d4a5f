"""One call's voice: sentences rendered ahead of being needed."""

import asyncio
from collections.abc import Iterable
from typing import Final

from callfleet_agent.audio import Pcm8k
from callfleet_agent.pipeline.ports import Synthesiser

MOST_AHEAD: Final = 8


class Voice:
    """Renders sentences with a shared synthesiser; what is no longer wanted is cancelled."""

    def __init__(self, synthesiser: Synthesiser) -> None:
        self._synthesiser = synthesiser
        self._ahead: dict[str, asyncio.Task[Pcm8k]] = {}

    def prepare(self, sentences: Iterable[str], *, private: bool) -> None:
        """Starts to render; what had been prepared before is forgotten, unless it is the same."""
        wanted = list(dict.fromkeys(sentences))[:MOST_AHEAD]
        for sentence in [known for known in self._ahead if known not in wanted]:
            self._ahead.pop(sentence).cancel()
        loop = asyncio.get_running_loop()
        for sentence in wanted:
            if sentence not in self._ahead:
                speech = self._synthesiser.speech(sentence, private=private)
                self._ahead[sentence] = task = loop.create_task(speech)
                task.add_done_callback(_looked_at)

    async def speech(self, sentence: str, *, private: bool) -> Pcm8k:
        """The sentence as sound. Raises SynthesiserError."""
        task = self._ahead.get(sentence)
        if task is None or task.cancelled():
            return await self._synthesiser.speech(sentence, private=private)
        return await task

    def forget(self) -> None:
        """Cancels everything that is being rendered."""
        self.prepare((), private=True)


def _looked_at(task: asyncio.Task[Pcm8k]) -> None:
    if not task.cancelled():
        task.exception()  # raised to whoever asks for the sentence; otherwise of no interest
