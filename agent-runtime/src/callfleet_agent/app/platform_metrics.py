"""What the platform's services count. Labels are RPCs, gRPC statuses and states: bounded sets."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from callfleet_agent.app.stage_metrics import Circuit, StageMetrics
from callfleet_agent.banking import Guarded
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

    def watch_bank(self, bank: Guarded) -> None:
        """Show the state of the breaker of the bank."""
        gauge = Gauge(
            "callfleet_breaker_state",
            "Circuit breaker of a dependency: 0 closed, 1 half open, 2 open",
            ["dependency"],
            registry=self.registry,
        )
        gauge.labels("bank").set_function(lambda: Circuit[bank.circuit.upper()])

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
