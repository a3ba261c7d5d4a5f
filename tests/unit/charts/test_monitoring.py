"""The dashboard and the alerts ask for metrics that exist, with labels that they have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from callfleet_agent.app.journal_metrics import watch_journal
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.journal import Journal, JournalSettings
from callfleet_agent.session import EndedBy, Refusal, WorkerState
from callfleet_agent.storage.cache import Cache
from promql import PromQLError, Selector, parse

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "charts/callfleet/files/monitoring"
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())
ALERTS = yaml.safe_load((FILES / "alerts.yaml").read_text())
OF_THE_CLUSTER = {"namespace", "pod", "instance", "job", "le"}  # Prometheus adds these

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    *((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]),
    *((rule["alert"], rule["expr"]) for rule in ALERTS),
]


class FakeGuarded:
    circuit = "closed"


def _of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Names and labels of what a registry shows."""
    shown: dict[str, set[str]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            shown.setdefault(sample.name, set()).update(sample.labels)
        if not metric.samples:
            raise AssertionError(f"{metric.name} shows nothing")
    return shown


def _of_the_operator() -> dict[str, set[str]]:
    source = (ROOT / "operator/src/callfleet_operator/main/metrics.py").read_text()
    shown: dict[str, set[str]] = {}
    for kind, name in re.findall(r'_(gauge|counter)\(\s*f?"([\w{}]+)"', source):
        shown[f"callfleet_operator_{name}" + ("_total" if kind == "counter" else "")] = set()
    family = r'(Gauge|Counter)MetricFamily\(\s*"(\w+)".*?(?:labels=\[([^\]]*)\])?,?\s*\)'
    for kind, name, labels in re.findall(family, source, re.DOTALL):
        whole = name + ("_total" if kind == "Counter" else "")
        shown[whole] = set(re.findall(r'"(\w+)"', labels))
    return shown


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    agent, services = AgentMetrics(capacity=1), PlatformMetrics()
    agent.call_refused(Refusal.FULL)
    agent.call_ended(EndedBy.CALLER, 1.0)
    agent.workers_are({WorkerState.READY: 1})
    services.request_over("X/Y", "OK", 0.1)
    services.identity_refused("TOKEN_EXPIRED")
    services.store_is(up=True)
    services.watch_bank(FakeGuarded())
    services.watch(Cache("redis://127.0.0.1:1/0"))
    journal = Journal(JournalSettings(folder=tmp_path_factory.mktemp("journal"), key=bytes(32)))
    watch_journal(agent.registry, journal)
    journal.close()
    found = _of_the_operator()
    for registry in (agent.registry, services.registry):
        for name, labels in _of(registry).items():
            found.setdefault(name, set()).update(labels)
    return found


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_every_expression_asks_for_what_there_is(
    shown: dict[str, set[str]], where: str, expression: str
) -> None:
    found = parse(expression)
    assert found.selectors
    for selector in found.selectors:
        assert selector.metric in shown, f"{where} asks for {selector.metric}"
        assert selector.labels <= shown[selector.metric] | OF_THE_CLUSTER
    for labels, metrics in found.grouped:
        known = set.intersection(*(shown[metric] for metric in metrics))
        assert labels <= known | OF_THE_CLUSTER, f"{where} groups by {labels - known}"


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_only_counters_have_rates_and_only_buckets_have_quantiles(
    where: str, expression: str
) -> None:
    for selector in parse(expression).selectors:
        counts = selector.metric.endswith(("_total", "_bucket"))
        cache = selector.metric.startswith("callfleet_cache_")  # counted elsewhere, shown as it is
        assert selector.has_range == counts or cache, where


def test_every_metric_of_ours_is_on_the_dashboard_or_in_an_alert(
    shown: dict[str, set[str]],
) -> None:
    asked = {one.metric for _, text in EXPRESSIONS for one in parse(text).selectors}
    families = {re.sub(r"_(bucket|total|sum|count|created)$", "", name) for name in asked}
    ours = {
        re.sub(r"_(bucket|total|sum|count|created)$", "", name)
        for name in shown
        if not name.startswith("callfleet_operator_")
    }
    left_out = {
        "callfleet_draining", "callfleet_journal_bytes", "callfleet_journal_refused",
        "callfleet_journal_delivered", "callfleet_journal_disk_failures", "callfleet_cache_stale",
    }  # fmt: skip
    assert ours - families == left_out


def test_panels_lie_side_by_side_and_have_one_id_each() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Callfleet[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description"}
    for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
        assert label in str(rule["expr"])
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


@pytest.mark.parametrize(
    "text",
    [
        "", "sum(", "sum(a) sum(b)", "a[5x]", "rate(a)", "sum by (x (a)", "nothing(a)", "a{b}",
        "a{b=c}", "histogram_quantile(2, sum by (le) (rate(a[5m])))", "a +", "by (x)",
        "histogram_quantile(0.9, rate(a_bucket[5m]))", "%", 'a{b="c" d="e"}',
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(PromQLError):
        parse(text)


def test_an_expression_is_taken_apart() -> None:
    found = parse('(sum(rate(a_total{x="y"}[5m])) by (z) > 0.5) + b')
    assert found.selectors == [
        Selector("a_total", frozenset({"x"}), True), Selector("b", frozenset(), False)
    ]  # fmt: skip
    assert found.grouped == [(frozenset({"z"}), ("a_total",))]
