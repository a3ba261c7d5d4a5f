"""What the platform's services count. Labels are RPCs, gRPC statuses and states: bounded sets."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from callfleet_agent.app.journal_metrics import watch_journal
from callfleet_agent.app.stage_metrics import Breakers, Circuit, StageMetrics
from callfleet_agent.banking import Guarded
from callfleet_agent.chain import Circuit as ChainCircuit
from callfleet_agent.chain import Member, worst_circuit
from callfleet_agent.journal import Journal
from callfleet_agent.session import WorkerState
from callfleet_agent.storage.cache import Cache

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class PlatformMetrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "callfleet_grpc_requests", "Requests that are over", ["rpc", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "callfleet_grpc_request_seconds", "How long requests took", ["rpc"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._refused = Counter(
            "callfleet_identities_refused", "Certificates and tokens refused", ["code"],
            registry=registry,
        )  # fmt: skip
        self._breakers: Gauge | None = None
        self._store = Gauge("callfleet_store_up", "1 while PostgreSQL answers", registry=registry)

    def request_over(self, rpc: str, status: str, seconds: float) -> None:
        """A request is over."""
        self._requests.labels(rpc, status).inc()
        self._seconds.labels(rpc).observe(seconds)

    def identity_refused(self, code: str) -> None:
        """A client was not let in."""
        self._refused.labels(code).inc()

    def stages(self) -> StageMetrics:
        """The metrics of the turns of conversations that are held here; asked for once."""
        return StageMetrics(self.registry)

    def workers(self) -> "WorkerMetrics":
        """The metrics of the workers that hold conversations; asked for once."""
        return WorkerMetrics(self.registry)

    def watch_bank(self, bank: Guarded) -> None:
        """Show the state of the breaker of the bank."""
        self._watch_breaker("bank", lambda: bank.circuit)

    def watch_chain(self, stage: str, members: Callable[[], Iterable[Member]]) -> None:
        """Show the worst state of the breakers of a chain of providers, whoever is in it."""
        self._watch_breaker(
            stage, lambda: worst_circuit(members(), time.monotonic()) or ChainCircuit.CLOSED
        )

    def breakers_of_workers(self) -> Breakers:
        """Where workers tell of the breakers of their chains."""
        return Breakers(self.registry, self._breaker_gauge(), ("asr", "llm", "tts"))

    def _watch_breaker(self, dependency: str, state: Callable[[], str]) -> None:
        gauge = self._breaker_gauge().labels(dependency)
        gauge.set_function(lambda: Circuit[state().upper()])

    def _breaker_gauge(self) -> Gauge:
        if self._breakers is None:
            self._breakers = Gauge(
                "callfleet_breaker_state",
                "Circuit breaker of a dependency: 0 closed, 1 half open, 2 open",
                ["dependency"],
                registry=self.registry,
            )
        return self._breakers

    def watch_journal(self, journal: Journal) -> None:
        """Show what is owed to the stores."""
        watch_journal(self.registry, journal)

    def store_is(self, *, up: bool) -> None:
        """Whether PostgreSQL answered when it was last asked."""
        self._store.set(up)

    def watch(self, cache: Cache) -> None:
        """Show the cache's counts."""
        counts = cache.counts
        for name, text, read in (
            ("hits", "Reads that Redis served", lambda: counts.hits),
            ("misses", "Reads that Redis had nothing for", lambda: counts.misses),
            ("failures", "Times that Redis could not be used", lambda: counts.failures),
            ("stale", "Entries that wait to be deleted", lambda: cache.stale),
        ):
            Gauge(f"callfleet_cache_{name}", text, registry=self.registry).set_function(read)


class WorkerMetrics:
    """Of the processes that hold conversations over streams; named as an agent's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._workers = Gauge(
            "callfleet_workers", "Worker processes by state", ["state"], registry=registry
        )
        self._lost = Counter("callfleet_workers_lost", "Workers that died", registry=registry)
        self._moved = Counter(
            "callfleet_calls_moved", "Calls given to another worker", registry=registry
        )

    def worker_lost(self) -> None:
        """A worker died that was not told to."""
        self._lost.inc()

    def call_moved(self) -> None:
        """A conversation was given to another worker."""
        self._moved.inc()

    def workers_are(self, states: dict[WorkerState, int]) -> None:
        """How many workers there are in each state."""
        for state in WorkerState:
            self._workers.labels(state).set(states.get(state, 0))
