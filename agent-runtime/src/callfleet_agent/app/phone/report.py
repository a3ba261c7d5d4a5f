"""What a call was like, for a person and as JSON."""

from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from callfleet_agent.app.phone.ending import Ending
from callfleet_agent.rtp import MediaStats


@dataclass(slots=True)
class TurnReport:
    """One turn of the caller; `interrupted_ms` until the agent, who was speaking, was silent."""

    kind: str
    said: str
    answer_ms: float | None = None
    interrupted_ms: float | None = None
    heard: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CallReport:
    """A whole call. Times in milliseconds, `outcome` is the exit status in words.

    `answered_by` is the agent's address (its Contact, without whom it names); `bye_status` how our
    BYE was answered, None where we sent none or no answer came; `packets_skipped` those that this
    machine had no time to send.
    """

    outcome: str = "failed"
    status: int | None = None
    reason: str = ""
    retry_after_s: int | None = None
    setup_ms: float | None = None
    duration_s: float = 0.0
    answered_by: str | None = None
    ended_by: str = ""
    bye_status: int | None = None
    codec: str | None = None
    greeting: list[str] = field(default_factory=list)
    turns: list[TurnReport] = field(default_factory=list)
    packets_sent: int = 0
    packets_skipped: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    recording: str | None = None

    def of_media(self, stats: MediaStats) -> None:
        """Take in the media's counters."""
        self.packets_sent, self.packets_received = stats.packets_sent, stats.packets_received
        self.packets_skipped = stats.skipped_ticks
        self.packets_lost = stats.lost
        self.loss_percent = round(100 * stats.loss_fraction, 2)
        self.jitter_ms = round(stats.jitter_ms, 2)

    @property
    def ending(self) -> Ending:
        """How the call ended."""
        return Ending(self.ended_by, self.bye_status)

    @property
    def answers_ms(self) -> list[float]:
        """The answers' times, of turns that were answered."""
        return [turn.answer_ms for turn in self.turns if turn.answer_ms is not None]

    def as_json(self) -> dict[str, Any]:
        """The report with summaries."""
        answers = self.answers_ms
        return {
            **asdict(self),
            "answer_p50_ms": percentile(answers, 50),
            "answer_p95_ms": percentile(answers, 95),
        }


def percentile(values: list[float], percent: int) -> float | None:
    """The percentile of a list, None for an empty one."""
    if not values:
        return None
    if len(values) == 1:
        return round(values[0], 1)
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 1)
