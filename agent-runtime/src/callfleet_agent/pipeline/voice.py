"""One call's voice: sentences rendered ahead of being needed."""

from collections.abc import Iterable
from typing import Final

from callfleet_agent.pipeline.ports import Synthesiser
from callfleet_agent.providers import Speech
from callfleet_agent.providers.failures import Told, untold

MOST_AHEAD: Final = 8


class Voice:
    """Renders sentences with a shared synthesiser; what is no longer wanted is cancelled."""

    def __init__(self, synthesiser: Synthesiser, told: Told = untold) -> None:
        self._synthesiser = synthesiser
        self._told = told
        self._ahead: dict[str, Speech] = {}
        self._given: list[Speech] = []

    def prepare(self, sentences: Iterable[str], *, private: bool) -> None:
        """Starts to render; what had been prepared before is forgotten, unless it is the same."""
        wanted = list(dict.fromkeys(sentences))[:MOST_AHEAD]
        for sentence in [known for known in self._ahead if known not in wanted]:
            self._ahead.pop(sentence).cancel()
        for sentence in wanted:
            if sentence not in self._ahead:
                self._ahead[sentence] = self._begun(sentence, private=private)

    def speech(self, sentence: str, *, private: bool) -> Speech:
        """The sentence, which is read once; asked for again, it is rendered again."""
        speech = self._ahead.pop(sentence, None) or self._begun(sentence, private=private)
        self._given = [given for given in self._given if not given.done]
        self._given.append(speech)
        return speech

    def forget(self) -> None:
        """Cancels everything that is being rendered."""
        self.prepare((), private=True)
        given, self._given = self._given, []
        for speech in given:
            speech.cancel()

    def _begun(self, sentence: str, *, private: bool) -> Speech:
        return self._synthesiser.speech(sentence, private=private, told=self._told)
