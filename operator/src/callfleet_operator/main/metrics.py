"""Prometheus metrics, read from the parts at the moment they are asked for."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from callfleet_operator.main.process import OperatorProcess


class OperatorCollector(Collector):
    def __init__(self, process: "OperatorProcess") -> None:
        self._process = process

    def collect(self) -> Iterable[Metric]:
        yield from self._of_process()
        yield from self._of_core()

    def describe(self) -> Iterable[Metric]:
        return ()

    def _of_process(self) -> Iterator[Metric]:
        process = self._process
        yield _gauge("leader", "1 on the replica that leads.", float(process.core is not None))
        yield _gauge("synced", "1 when every cache was listed.", float(process.caches.synced))
        yield _counter("kopf_restarts", "Exits of kopf's thread.", process.kopf.restarts)
        requests = CounterMetricFamily(
            "callfleet_operator_kube_requests", "Requests to the API server.", labels=["verb"]
        )
        for verb, count in sorted(process.client.requests.items()):
            requests.add_metric([verb], count)
        yield requests
        objects = GaugeMetricFamily(
            "callfleet_operator_cached_objects", "Objects in the caches.", labels=["kind"]
        )
        for kind, size in sorted(process.caches.sizes.items()):
            objects.add_metric([kind], size)
        yield objects
        errors = CounterMetricFamily(
            "callfleet_operator_reflector_errors", "Lists and watches that failed.", labels=["kind"]
        )
        for reflector in process.reflectors:
            errors.add_metric([reflector.selection.kind.kind], reflector.counters.errors)
        yield errors

    def _of_core(self) -> Iterator[Metric]:
        core = self._process.core
        if core is None:
            return
        yield _gauge("queue_length", "Keys that wait or are worked on.", len(core.keys))
        for name, workers in (("reconcile", core.workers), ("proxy", core.round_workers)):
            counters = workers.counters
            yield _counter(f"{name}_rounds", "Rounds begun.", counters.rounds)
            yield _counter(f"{name}_failures", "Rounds that failed.", counters.failures)
            yield _counter(
                f"{name}_conflicts", "Rounds that met newer objects.", counters.conflicts
            )
        yield _counter("writes", "Objects written.", core.applied.counters.written)
        yield _counter(
            "writes_skipped", "Applies that were not needed.", core.applied.counters.skipped
        )
        synced = GaugeMetricFamily(
            "callfleet_operator_proxy_in_sync",
            "1 when a SIP proxy holds its rows.",
            labels=["proxy"],
        )
        for name, memory in sorted(core.dispatcher.memories.items()):
            synced.add_metric([name], float(memory.in_sync))
        yield synced


def registry_for(process: "OperatorProcess") -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(OperatorCollector(process))
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"callfleet_operator_{name}", help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"callfleet_operator_{name}", help_text, value=value)
