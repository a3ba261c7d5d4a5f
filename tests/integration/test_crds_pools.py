"""Every builder of pools against a real API server: what is applied comes back as it was wanted."""

from typing import Any, Protocol

import pytest

from callfleet_operator.model import Hosting, ProviderPool, load_provider_pool
from callfleet_operator.model.settings import PoolSettings
from callfleet_operator.resources.apply import HASH_ANNOTATION, is_subset, manifest_hash
from callfleet_operator.resources.pools.desired import desired_of_pool
from callfleet_operator.resources.pools.facts import PoolFacts
from vectors.manifests.table import good_manifests

PLURALS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Service": "/api/v1/namespaces/{}/services",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
}
PROFILE = {
    "name": "small-gpu",
    "resources": {"requests": {"cpu": "2000m", "memory": "1.5Gi"}, "gpu": {"count": 1}},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "runtimeClassName": "nvidia",
}
FACTS = PoolFacts(
    "callfleet-system",
    "registry.example/callfleet/agent:1",
    pools=PoolSettings.model_validate(
        {
            "profiles": [PROFILE],
            "images": {
                engine: f"registry.example/{engine}:1"
                for engine in ("vllm", "whisper", "vosk", "piper")
            },
        }
    ),
    metrics_cidrs=("10.3.0.0/24",),
)
POOLS = [
    manifest
    for manifest in good_manifests()
    if manifest["kind"] == "ProviderPool"
    and load_provider_pool(manifest).spec.hosting is Hosting.MANAGED
]

pytestmark = pytest.mark.usefixtures("crds")


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = ...
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]: ...

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]: ...


def children(kube: Kube, namespace: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/apis/callfleet.io/v1alpha1/namespaces/{namespace}/providerpools"
    pool = ProviderPool.model_validate(kube.must("POST", path, manifest), extra="ignore")
    return desired_of_pool(pool, FACTS)


def path_of(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"{PLURALS[manifest['kind']].format(metadata['namespace'])}/{metadata['name']}"


def named(manifests: list[dict[str, Any]]) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in manifests]


@pytest.mark.parametrize("manifest", POOLS, ids=named(POOLS))
def test_what_is_applied_comes_back_as_it_was_wanted(
    kube: Kube, namespace: str, manifest: dict[str, Any]
) -> None:
    for child in children(kube, namespace, manifest):
        first = kube.apply(path_of(child), child)
        live = kube.must("GET", path_of(child))
        assert is_subset(child, live), (child, live)
        assert live["metadata"]["annotations"][HASH_ANNOTATION] == manifest_hash(child)
        again = kube.apply(path_of(child), child)
        if child["kind"] == "PersistentVolumeClaim":
            continue  # the server writes a claim anew with each apply, though nothing changes
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_every_builder_was_tried(kube: Kube, namespace: str) -> None:
    kinds = {child["kind"] for item in POOLS for child in children(kube, namespace, item)}
    assert kinds == set(PLURALS)


@pytest.mark.parametrize(
    "manifest",
    [item for item in POOLS if not item["spec"]["model"]["uri"].startswith("file://")],
    ids=lambda item: item["metadata"]["name"],
)
def test_pods_of_the_template_pass_the_restricted_level(
    kube: Kube, namespace: str, manifest: dict[str, Any]
) -> None:
    """The API server itself judges. Only a folder of the node, which the settings must allow, is
    beyond that level.
    """
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    kube.must(
        "PATCH",
        f"/api/v1/namespaces/{namespace}",
        label,
        content_type="application/merge-patch+json",
    )
    found = children(kube, namespace, manifest)
    template = next(c for c in found if c["kind"] in ("Deployment", "StatefulSet"))["spec"][
        "template"
    ]
    template["spec"].pop("runtimeClassName", None)  # the class itself is not installed here
    template["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = "0"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "one"},
        "spec": template["spec"],
    }
    kube.must("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
