"""What the turns of a conversation over a stream come to: metrics, a log line, its record, and the
spans of its trace."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from callfleet_agent.app.call_detail import plain
from callfleet_agent.app.call_story import Story
from callfleet_agent.app.stage_metrics import StageMetrics
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.app.turn_clock import TurnClock
from callfleet_agent.services.connector import Activity

_log = logging.getLogger(__name__)


class StreamTurns:
    """The observer of one session's conversation, over all of its streams."""

    def __init__(
        self,
        stages: StageMetrics,
        story: Story,
        trace: TracedCall,
        on_moved: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.turns = 0
        self.activity = Activity.LISTENING  # while the agent is not heard
        self._stages = stages
        self._story = story
        self._trace = trace
        self._on_moved = on_moved
        self._now = clock
        self._clock = TurnClock()

    def worker_event(self, name: str, fields: dict[str, object]) -> None:
        """A worker tells of a turn: numbers and codes, never content."""
        if name == "doing":
            with suppress(ValueError):
                self.activity = Activity(str(fields.get("activity")))
            return
        if name == "turn":
            self.turns += 1
            answered_s = self._clock.turn(fields, self._now())
            self._stages.spoke(answered_s, None)
            self._trace.turn(fields)
            if answered_s is not None:
                self._trace.heard(None)
        elif name == "barge-in":
            self._trace.interrupted()
        self._stages.told(name, fields)
        _log.info("a turn of the conversation", extra={"turn_event": name, **plain(fields)})

    def context_came(self, data: bytes) -> None:
        """A worker handed over its context after a turn."""
        self._story.context(data)

    def sound_came(self) -> None:
        """A worker speaks."""
        voice_to_voice_s, first_sound_s = self._clock.sound(self._now())
        if first_sound_s is not None:
            self._trace.heard(first_sound_s)
        self._stages.spoke(voice_to_voice_s, first_sound_s)

    def sound_ended(self) -> None:
        """What it said is complete, or the caller interrupted it."""
        self._clock.silence()

    def moved(self) -> None:
        """Another worker took the conversation."""
        self.activity = Activity.LISTENING
        self._on_moved()
        _log.info("the conversation goes on with another worker")
