"""What fails, stage by stage, and what is answered where nothing does."""

from dataclasses import dataclass
from typing import Final

from callfleet_operator.model.engines import Stage
from fakes.model_server import Trouble

SENTENCE: Final = "Your card is on its way."
SAID: Final = ("We sell no pizza here.", "We can look for your card.")
HEARD: Final = "where is my credit card"
SPEECH_S: Final = 0.8
UTTERANCE_S: Final = 0.4
FIRST_S: Final = 0.08  # until a healthy provider's answer begins
SLOW_S: Final = 3.0
GAP_S: Final = 0.02  # between two pieces of its answer


@dataclass(frozen=True)
class Kind:
    """A fault of the first provider. `refused`: nobody listens there. `streamed`: it is asked over
    our own protocol, while the caller speaks."""

    trouble: Trouble | None = None
    refused: bool = False
    slow: bool = False
    streamed: bool = False

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return self == Kind(streamed=self.streamed)


BEFORE: Final = {
    "refused": Kind(refused=True),
    "500": Kind(Trouble.error(500)),
    "401": Kind(Trouble.error(401)),
    "429": Kind(Trouble.error(429, "1")),
}
KINDS: Final[dict[Stage, dict[str, Kind]]] = {
    Stage.TTS: {
        "none": Kind(),
        **BEFORE,
        "no first byte": Kind(Trouble.stall(0)),
        "first byte after 3 s": Kind(slow=True),
        "cut in the answer": Kind(Trouble.cut(4)),
        "stall in the answer": Kind(Trouble.stall(4)),
    },
    Stage.LLM: {
        "none": Kind(),
        "refused": Kind(refused=True),
        "dies before the first token": Kind(Trouble.cut(0)),
        "no first token": Kind(Trouble.stall(0)),
        "first token after 3 s": Kind(slow=True),
        "cut in the first sentence": Kind(Trouble.cut(4)),
        "cut in the second sentence": Kind(Trouble.cut(9)),
        "stall in the first sentence": Kind(Trouble.stall(4)),
        "stall in the second sentence": Kind(Trouble.stall(9)),
    },
    Stage.ASR: {
        "none": Kind(),
        "refused at the end": Kind(refused=True),
        "dies at the end": Kind(Trouble.cut(0)),
        "no text": Kind(Trouble.stall(0)),
        "text after 3 s": Kind(slow=True),
        "stream: none": Kind(streamed=True),
        "stream: dies in the utterance": Kind(Trouble.cut(10), streamed=True),
        "stream: dies at the end": Kind(Trouble.cut(1000), streamed=True),
        "stream: no text": Kind(Trouble.stall(0), streamed=True),
    },
}
QUICK: Final[dict[Stage, tuple[str, ...]]] = {
    Stage.TTS: ("none", "500", "cut in the answer"),
    Stage.LLM: ("none", "no first token", "cut in the first sentence"),
    Stage.ASR: ("none", "dies at the end", "stream: none", "stream: dies in the utterance"),
}
