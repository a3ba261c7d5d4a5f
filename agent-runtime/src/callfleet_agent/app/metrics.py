"""What the connector counts: for Prometheus, and for the operator's rollout verdicts.

Every label has a bounded set of values, and none says anything about a caller.
"""

import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from callfleet_agent.app.earlier_calls import OUTCOMES
from callfleet_agent.app.journal_metrics import watch_journal
from callfleet_agent.app.stage_metrics import Breakers, StageMetrics
from callfleet_agent.journal import Journal
from callfleet_agent.rtp import MediaStats
from callfleet_agent.session import EndedBy, Refusal, WorkerState

ANSWER_LIMITS_MS: Final = (100, 200, 300, 400, 500, 600, 700, 800, 1000, 1500, 2000, 3000)
_SETUP_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_TALK_S: Final = (5, 10, 20, 30, 60, 120, 300, 600, 1800)


@dataclass(slots=True)
class SloCounts:
    """Counters that only grow, since the connector started."""

    offered: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    provider_errors: int = 0
    turns: int = 0
    workers_lost: int = 0
    answers: list[int] = field(default_factory=lambda: [0] * (len(ANSWER_LIMITS_MS) + 1))
    started_unix_ms: int = field(default_factory=lambda: int(time.time() * 1000))


class AgentMetrics:
    """The connector's metrics in a registry of their own."""

    def __init__(self, capacity: int) -> None:
        self.registry = registry = CollectorRegistry()
        self.slo = SloCounts()
        self.breakers = Breakers(registry)
        self.stages = StageMetrics(registry, self.breakers)
        self._offered = Counter("callfleet_calls_offered", "INVITEs offered", registry=registry)
        self._answered = Counter("callfleet_calls_answered", "Calls answered", registry=registry)
        self._refused = Counter(
            "callfleet_calls_refused", "Calls refused", ["reason"], registry=registry
        )
        self._ended = Counter("callfleet_calls_ended", "Calls ended", ["by"], registry=registry)
        self.active = Gauge("callfleet_calls_active", "Calls in progress", registry=registry)
        self._capacity = Gauge("callfleet_calls_capacity", "Calls at most", registry=registry)
        self._capacity.set(capacity)
        self.draining = Gauge(
            "callfleet_draining", "1 while no new call is taken", registry=registry
        )
        self._setup = Histogram(
            "callfleet_call_setup_seconds", "INVITE to 200", buckets=_SETUP_S, registry=registry
        )
        self._talked = Histogram(
            "callfleet_call_seconds", "200 to the end", buckets=_TALK_S, registry=registry
        )
        self._answer = Histogram(
            "callfleet_answer_seconds",
            "End of the caller's speech to the answer's first audio, as the worker sees it",
            buckets=[limit / 1000 for limit in ANSWER_LIMITS_MS],
            registry=registry,
        )
        self._provider_errors = Counter(
            "callfleet_provider_errors", "Errors of providers", registry=registry
        )
        self._workers = Gauge(
            "callfleet_workers", "Worker processes by state", ["state"], registry=registry
        )
        self._lost = Counter("callfleet_workers_lost", "Workers that died", registry=registry)
        self._moved = Counter(
            "callfleet_calls_moved", "Calls given to another worker", registry=registry
        )
        self.malformed = Gauge(
            "callfleet_sip_malformed_total",
            "SIP messages that could not be read",
            registry=registry,
        )
        self._strangers = Counter(
            "callfleet_rtp_dropped", "RTP packets that were not the caller's", registry=registry
        )
        self._packets_lost = Counter(
            "callfleet_rtp_lost", "RTP packets of callers that never came", registry=registry
        )
        self._earlier = Counter(
            "callfleet_earlier_calls",
            "Searches for a caller's call that broke off, by what came of them",
            ["outcome"],
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._earlier.labels(outcome)
        for reason in Refusal:
            self._refused.labels(reason)
        for by in EndedBy:
            self._ended.labels(by)

    def call_offered(self) -> None:
        """An INVITE came in."""
        self.slo.offered += 1
        self._offered.inc()

    def call_refused(self, reason: Refusal) -> None:
        """A call was refused; an unknown codec is the caller's matter and does not count against
        the pod."""
        self.slo.refused += reason is not Refusal.NO_CODEC
        self._refused.labels(reason).inc()

    def call_answered(self, setup_s: float) -> None:
        """200 was sent, `setup_s` after the INVITE came."""
        self.slo.answered += 1
        self._answered.inc()
        self._setup.observe(setup_s)

    def call_ended(self, by: EndedBy, talked_s: float) -> None:
        """A call is over."""
        self.slo.failed += by is EndedBy.FAILED
        self._ended.labels(by).inc()
        self._talked.observe(talked_s)

    def turn_answered(self, answer_ms: float) -> None:
        """A worker answered a turn."""
        self.slo.turns += 1
        self.slo.answers[bisect_left(ANSWER_LIMITS_MS, answer_ms)] += 1
        self._answer.observe(answer_ms / 1000)

    def provider_failed(self) -> None:
        """A provider failed in a turn."""
        self.slo.provider_errors += 1
        self._provider_errors.inc()

    def worker_lost(self) -> None:
        """A worker died that was not told to."""
        self.slo.workers_lost += 1
        self._lost.inc()

    def call_moved(self) -> None:
        """A call was given to another worker."""
        self._moved.inc()

    def looked_for_earlier(self, outcome: str) -> None:
        """A call of the same caller that broke off was looked for."""
        self._earlier.labels(outcome).inc()

    def workers_are(self, states: dict[WorkerState, int]) -> None:
        """How many workers there are in each state."""
        for state in WorkerState:
            self._workers.labels(state).set(states.get(state, 0))

    def rtp_of_call(self, stats: MediaStats) -> None:
        """A call's media statistics at its end."""
        self._packets_lost.inc(max(0, stats.lost))
        self._strangers.inc(max(0, stats.strangers))
        self.stages.line(
            jitter_ms=stats.jitter_ms, lost=stats.lost, received=stats.packets_received
        )

    def watch(self, journal: Journal) -> None:
        """Show what is owed to the stores."""
        watch_journal(self.registry, journal)
