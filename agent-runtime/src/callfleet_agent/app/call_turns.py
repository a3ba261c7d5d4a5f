"""What a call's turns come to: metrics, the trace and a log line, numbers and codes only; and the
call's record, which has more."""

import logging
from collections.abc import Callable

from callfleet_agent.app.call_detail import answer_ms_of, plain
from callfleet_agent.app.call_story import Story
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.app.turn_clock import TurnClock

_log = logging.getLogger(__name__)


class CallTurns:
    """The observer of one call's conversation."""

    def __init__(
        self, metrics: AgentMetrics, trace: TracedCall, story: Story, clock: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._trace = trace
        self._story = story
        self._now = clock
        self._clock = TurnClock()
        self.turns = 0

    def worker_event(self, name: str, fields: dict[str, object]) -> None:
        """A worker tells of a turn: numbers and codes, never content."""
        stages = self._metrics.stages
        if name == "doing":  # of use to who asks over gRPC, and too often for a log
            return
        if name == "turn":
            self.turns += 1
            stages.turn(fields)
            answered_s = self._clock.turn(fields, self._now())
            stages.spoke(answered_s, None)
            self._trace.turn(fields)
            if answered_s is not None:
                self._trace.heard(None)
            answer_ms = answer_ms_of(fields)
            if answer_ms is not None:
                self._metrics.turn_answered(answer_ms)
        elif name == "barge-in":
            stages.barged_in(fields)
            self._trace.interrupted()
        elif name.endswith("_failed"):
            self._metrics.provider_failed()
        _log.info("a turn of the conversation", extra={"turn_event": name, **plain(fields)})

    def context_came(self, data: bytes) -> None:
        """A worker handed over its context after a turn."""
        self._story.context(data)

    def sound_came(self) -> None:
        """A worker speaks."""
        voice_to_voice_s, first_sound_s = self._clock.sound(self._now())
        if first_sound_s is not None:
            self._trace.heard(first_sound_s)
        self._metrics.stages.spoke(voice_to_voice_s, first_sound_s)

    def sound_ended(self) -> None:
        """What it said is complete, or the caller interrupted it."""
        self._clock.silence()

    def moved(self) -> None:
        """Another worker took the call."""
        self._metrics.call_moved()
        _log.info("the call goes on with another worker")
