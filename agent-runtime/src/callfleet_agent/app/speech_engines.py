"""The embedded engines as the services of speech want them."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Grammar
from callfleet_agent.pipeline.ports import EngineError, Utterance
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.pipeline.voice_activity import WINDOW_MS, VoiceActivity, VoiceActivityModel
from callfleet_agent.services.engines import Ears, Understood
from callfleet_agent.services.errors import EngineFailedError

_REFERENCE: Final = re.compile(r"<([a-z][a-z0-9_]*)>")
_MOST_VOICES: Final = 16
_WORDS_PER_MINUTE: Final = 165


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

    async def so_far(self) -> Understood:
        """The same: it is decoded while it is fed."""
        return await self.understood()

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

    def offers(self, provider: str) -> bool:
        """Whether it is this one."""
        return provider == "espeak"

    def knows(self, voice: str, provider: str = "") -> bool:  # noqa: ARG002 - there is one
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
