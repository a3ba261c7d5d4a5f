"""Statuses as the policies judge them, stored by a real API server and read by tools."""

from dataclasses import replace
from typing import Any, Protocol

import pytest

from callfleet_operator.model import ProviderPool, VoiceAgent
from callfleet_operator.policies.agent_status import agent_status
from callfleet_operator.policies.agent_view import AgentView, DispatcherView
from callfleet_operator.policies.pool_status import pool_status
from callfleet_operator.policies.pool_view import (
    FiguresView,
    Loading,
    ManagedView,
    PoolPodView,
    PoolView,
    ProgressView,
)
from callfleet_operator.policies.status_diff import first_difference
from callfleet_operator.policies.views import PodView, ReportView, Seen
from vectors.manifests.table import SMALLEST, merged

NOW = "2026-01-01T00:00:00Z"
POD = PodView(
    "a", "uid-a", "rev", ip="10.0.0.1", containers_ready=True, ready=True, gate=True, created=1
)
VIEW = AgentView(
    generation=1,
    wanted=1,
    revision="rev",
    selector="callfleet.io/agent=bad",
    pods=(POD,),
    reports={"uid-a": ReportView("uid-a", calls=3, capacity=20)},
    confirmed={"sip:10.0.0.1:5060": Seen.ACTIVE},
    dispatcher=DispatcherView(synced=True, set_id=1000, accepted=("100",)),
    numbers=("100",),
)
STARTING = replace(VIEW, pods=(replace(POD, ready=False, gate=None),))

pytestmark = pytest.mark.usefixtures("crds")


class Kube(Protocol):
    def must(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]: ...


def created(kube: Kube, namespace: str, kind: str) -> str:
    path = f"/apis/callfleet.io/v1alpha1/namespaces/{namespace}/{kind.lower()}s"
    kube.must("POST", path, SMALLEST[kind])
    return f"{path}/{SMALLEST[kind]['metadata']['name']}"


def report(kube: Kube, path: str, view: AgentView) -> dict[str, Any]:
    status = agent_status(view, None, NOW).model_dump(by_alias=True, exclude_none=True)
    return kube.must("PUT", f"{path}/status", merged(kube.must("GET", path), {"status": status}))


def kstatus(manifest: dict[str, Any]) -> str:
    """What kstatus, and with it Helm, Flux and kpt, make of an object of a kind they do not know.

    github.com/kubernetes-sigs/cli-utils, pkg/kstatus: deletion, then the generation, then
    Reconciling, Stalled and Ready.
    """
    metadata, status = manifest["metadata"], manifest.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Reconciling") == "True" or conditions.get("Ready", "True") != "True":
        return "InProgress"
    return "Current"


def test_a_status_comes_back_as_it_was_judged(kube: Kube, namespace: str) -> None:
    path = created(kube, namespace, "VoiceAgent")
    stored = VoiceAgent.model_validate(report(kube, path, VIEW), extra="ignore")
    assert stored.status is not None
    assert first_difference(stored.status, agent_status(VIEW, None, NOW)) is None


def test_the_status_of_a_pool_comes_back_as_it_was_judged(kube: Kube, namespace: str) -> None:
    path = created(kube, namespace, "ProviderPool")
    pool = ProviderPool.model_validate(kube.must("GET", path), extra="ignore")
    seen = ManagedView(
        image="x:1",
        pods=(PoolPodView("a", loading=Loading.RUNNING),),
        progress=ProgressView(1, 4),
        figures=FiguresView("0.11.0", 120, 0.25),
    )
    view = PoolView(generation=1, spec=pool.spec, users=("a", "b"), managed=seen)
    judged = pool_status(view, None, NOW)
    assert judged.model_progress is not None
    status = {"status": judged.model_dump(by_alias=True, exclude_none=True)}
    answer = kube.must("PUT", f"{path}/status", merged(kube.must("GET", path), status))
    stored = ProviderPool.model_validate(answer, extra="ignore")
    assert first_difference(stored.status, judged) is None
    assert kstatus(answer) == "Current"


def test_tools_see_an_agent_become_ready_and_change(kube: Kube, namespace: str) -> None:
    path = created(kube, namespace, "VoiceAgent")
    assert kstatus(report(kube, path, STARTING)) == "InProgress"
    assert kstatus(report(kube, path, VIEW)) == "Current"
    change = merged(kube.must("GET", path), {"spec": {"replicas": 2}})
    assert kstatus(kube.must("PUT", path, change)) == "InProgress"  # of the last generation
    assert kstatus(report(kube, path, replace(VIEW, generation=2, wanted=2))) == "InProgress"
    more = replace(VIEW, generation=2, wanted=2, pods=(POD, replace(POD, uid="uid-b")))
    assert kstatus(report(kube, path, more)) == "Current"


def test_tools_see_an_agent_go(kube: Kube, namespace: str) -> None:
    path = created(kube, namespace, "VoiceAgent")
    held = merged(kube.must("GET", path), {"metadata": {"finalizers": ["callfleet.io/calls"]}})
    kube.must("PUT", path, held)
    kube.must("DELETE", path)
    assert kstatus(kube.must("GET", path)) == "Terminating"
    free = {"metadata": {**kube.must("GET", path)["metadata"], "finalizers": []}}
    kube.must("PUT", path, {**kube.must("GET", path), **free})
