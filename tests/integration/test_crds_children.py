"""Every builder against a real API server: what is applied comes back as it was wanted."""

from typing import Any, Protocol

import pytest

from callfleet_operator.model import (
    ProviderPool,
    VoiceAgent,
    load_provider_pool,
)
from callfleet_operator.policies.scaling import FleetPlan, RevisionPlan
from callfleet_operator.resources import names
from callfleet_operator.resources.apply import HASH_ANNOTATION, is_subset, manifest_hash
from callfleet_operator.resources.desired import desired
from callfleet_operator.resources.facts import Facts, OperatorFacts, PlatformAddresses
from callfleet_operator.resources.revision import revision_of
from vectors.manifests.quantities import QUANTITIES
from vectors.manifests.table import good_manifests

PLURALS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ControllerRevision": "/apis/apps/v1/namespaces/{}/controllerrevisions",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}
AGENTS = [manifest for manifest in good_manifests() if manifest["kind"] == "VoiceAgent"]
POOLS = {
    manifest["metadata"]["name"]: load_provider_pool(manifest)
    for manifest in good_manifests()
    if manifest["kind"] == "ProviderPool"
}

pytestmark = pytest.mark.usefixtures("crds")


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = ...
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]: ...

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]: ...


def stored(kube: Kube, namespace: str, manifest: dict[str, Any]) -> VoiceAgent:
    path = f"/apis/callfleet.io/v1alpha1/namespaces/{namespace}/voiceagents"
    return VoiceAgent.model_validate(kube.must("POST", path, manifest), extra="ignore")


def children(agent: VoiceAgent, replicas: int = 3) -> list[dict[str, Any]]:
    revision = revision_of(agent)
    facts = Facts(
        operator=OperatorFacts(
            namespace="callfleet-system",
            agent_image="registry.example/callfleet/agent:1",
            sip_cidrs=("10.1.0.0/16", "fd00::/64"),
            relay_cidrs=("10.2.0.1/32",),
            metrics_cidrs=("10.3.0.0/24",),
            traces_endpoint="http://collector.observability:4317",
            services=PlatformAddresses("sessions.callfleet-system.svc:7443"),
            sip_address="[fd00::5]:5060",
            restrict_egress=True,
            egress_cidrs=("198.51.100.0/24",),
        ),
        plan=FleetPlan({revision: RevisionPlan("", "", wanted=3, replicas=replicas)}),
        provider_keys={"service": "a key"},
    )
    pools: dict[str, ProviderPool] = POOLS
    return desired(agent, pools, facts)


def path_of(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"{PLURALS[manifest['kind']].format(metadata['namespace'])}/{metadata['name']}"


@pytest.mark.parametrize("manifest", AGENTS, ids=[m["metadata"]["name"] for m in AGENTS])
def test_what_is_applied_comes_back_as_it_was_wanted(
    kube: Kube, namespace: str, manifest: dict[str, Any]
) -> None:
    agent = stored(kube, namespace, manifest)
    seen = set()
    for child in children(agent):
        kube.apply(path_of(child), child)
        live = kube.must("GET", path_of(child))
        assert is_subset(child, live), (child, live)
        assert live["metadata"]["annotations"][HASH_ANNOTATION] == manifest_hash(child)
        seen.add(child["kind"])
    assert seen == set(PLURALS)


def test_a_second_apply_changes_nothing(kube: Kube, namespace: str) -> None:
    agent = stored(kube, namespace, AGENTS[0])
    for child in children(agent):
        first = kube.apply(path_of(child), child)
        again = kube.apply(path_of(child), child)
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_change_of_scale_touches_only_the_deployment(kube: Kube, namespace: str) -> None:
    agent = stored(kube, namespace, AGENTS[0])
    before, after = children(agent, replicas=3), children(agent, replicas=4)
    changed = [new["kind"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["Deployment"]


def test_pods_of_the_template_pass_the_restricted_level(kube: Kube, restricted: str) -> None:
    """The API server itself judges, by pod security admission."""
    namespace = restricted
    agent = stored(kube, namespace, AGENTS[2])
    template = next(c for c in children(agent) if c["kind"] == "Deployment")["spec"]["template"]
    template["spec"].pop("priorityClassName")  # the class itself is not installed here
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "one"},
        "spec": template["spec"],
    }
    kube.must("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    status, refusal = kube.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    assert (status, "restricted" in refusal["message"]) == (403, True)


def test_names_fit_for_the_longest_agent(kube: Kube, namespace: str) -> None:
    longest = {**AGENTS[0], "metadata": {"name": "a" * 40}}
    agent = stored(kube, namespace, longest)
    for child in children(agent):
        kube.apply(path_of(child), child)
    assert len(names.tls_secret_name(agent)) <= 63


def test_amounts_are_written_back_as_we_write_them(kube: Kube, namespace: str) -> None:
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    for place, (written, canonical) in enumerate(QUANTITIES):
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": f"q{place}"},
            "spec": {"hard": {"limits.memory": written}},
        }
        stored = kube.must("POST", f"{quotas}?dryRun=All", quota)
        assert stored["spec"]["hard"]["limits.memory"] == canonical, written
