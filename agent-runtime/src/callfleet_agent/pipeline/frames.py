"""The pipeline's own frames, beside Pipecat's. Facts of a caller are kept out of every repr.

System frames are handled in order and are never dropped by an interruption; what is to be said is
data, and is dropped.
"""

from dataclasses import dataclass, field

from pipecat.frames.frames import DataFrame, SystemFrame

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Input, Listen, Outcome, Say
from callfleet_agent.providers import Speech


@dataclass(repr=False)
class KeyFrame(SystemFrame):
    """A key that the caller pressed."""

    digit: str


@dataclass(repr=False)
class VoiceStartedFrame(SystemFrame):
    """The caller speaks; `sound` begins a little before that. `heard_ms`: how much speech it took
    to be sure."""

    sound: Pcm8k
    heard_ms: int = 0


@dataclass(repr=False)
class VoiceFrame(SystemFrame):
    """The next piece of the caller's speech; `quiet_ms`: how long nothing has been said."""

    sound: Pcm8k
    quiet_ms: int


@dataclass(repr=False)
class VoiceTakenFrame(SystemFrame):
    """Upstream: the turn is complete; what comes next is a new one."""


@dataclass(repr=False)
class ListenFrame(SystemFrame):
    """Upstream: wait for the caller in this way. None: do not listen."""

    listen: Listen | None


@dataclass(repr=False)
class PlayedFrame(SystemFrame):
    """What was said has been played to its end."""


@dataclass(repr=False)
class TurnFrame(SystemFrame):
    """Something for the dialog, with the times of the turn that led to it."""

    given: Input
    timing: dict[str, float] = field(default_factory=dict)
    channel: tuple[float, ...] = ()


@dataclass(repr=False)
class SayFrame(DataFrame):
    """To be spoken; not the `last` of what is to be said where more is being made."""

    say: Say
    last: bool = True


@dataclass(repr=False)
class SentenceFrame(DataFrame):
    """A sentence that is being spoken; `last` ends what was to be said, without a speech too."""

    speech: Speech | None
    text: str = ""
    last: bool = False
    barge_in: bool = True


@dataclass(repr=False)
class HangUpFrame(DataFrame):
    """End the call once everything said has been played."""

    outcome: Outcome
    interruptible: bool = field(default=False, init=False)


@dataclass(repr=False)
class GoodByeFrame(DataFrame):
    """Nobody can go on with this call: a recorded apology, and its end."""

    interruptible: bool = field(default=False, init=False)
