"""Every builder of pools against a real API server: what is applied comes back as it was wanted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest

from callfleet_operator.model import Hosting, ProviderPool, load_provider_pool
from callfleet_operator.model.engines import OURS
from callfleet_operator.model.settings import PoolSettings
from callfleet_operator.resources.apply import HASH_ANNOTATION, is_subset, manifest_hash
from callfleet_operator.resources.pools.desired import desired_of_pool
from callfleet_operator.resources.pools.facts import POD_MONITORS, SCALED_OBJECTS, PoolFacts
from definitions import WRITTEN_DOWN, installed, released
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
OF_OTHERS = {
    "ScaledObject": "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects",
    "PodMonitor": "/apis/monitoring.coreos.com/v1/namespaces/{}/podmonitors",
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
WITH_IMAGE_VOLUMES = replace(FACTS, pools=FACTS.pools.model_copy(update={"image_volumes": True}))
OF_IMAGES = [item for item in POOLS if item["spec"]["model"]["uri"].startswith("oci://")]
OURS_THERE = [item for item in POOLS if load_provider_pool(item).spec.engine in OURS]

pytestmark = pytest.mark.usefixtures("crds")


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = ...
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]: ...

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]: ...


def children(
    kube: Kube, namespace: str, manifest: dict[str, Any], facts: PoolFacts = FACTS
) -> list[dict[str, Any]]:
    path = f"/apis/callfleet.io/v1alpha1/namespaces/{namespace}/providerpools"
    pool = ProviderPool.model_validate(kube.must("POST", path, manifest), extra="ignore")
    return desired_of_pool(pool, facts)


def path_of(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    plurals = PLURALS | OF_OTHERS
    return f"{plurals[manifest['kind']].format(metadata['namespace'])}/{metadata['name']}"


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


@pytest.mark.parametrize("manifest", OF_IMAGES, ids=named(OF_IMAGES))
def test_a_model_in_an_image_is_mounted_as_it_was_wanted(
    kube: Kube, namespace: str, manifest: dict[str, Any]
) -> None:
    """The pods are tried as well: what the API server does not know of a volume it leaves out."""
    found = children(kube, namespace, manifest, WITH_IMAGE_VOLUMES)
    for child in found:
        first = kube.apply(path_of(child), child)
        assert is_subset(child, kube.must("GET", path_of(child)))
        again = kube.apply(path_of(child), child)
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    reference = manifest["spec"]["model"]["uri"].removeprefix("oci://")
    made = kube.must("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod_of(found))
    volume = next(item for item in made["spec"]["volumes"] if item["name"] == "model")
    assert volume["image"] == {"reference": reference, "pullPolicy": "IfNotPresent"}
    assert "PersistentVolumeClaim" not in {child["kind"] for child in found}


@pytest.mark.parametrize("manifest", OURS_THERE, ids=named(OURS_THERE))
def test_what_serves_two_versions_comes_back_as_it_was_wanted(
    kube: Kube, namespace: str, manifest: dict[str, Any]
) -> None:
    facts = replace(FACTS, plaintext=True, plain_pods=True)
    for child in children(kube, namespace, manifest, facts):
        kube.apply(path_of(child), child)
        live = kube.must("GET", path_of(child))
        assert is_subset(child, live), (child, live)


def test_every_builder_was_tried(kube: Kube, namespace: str) -> None:
    kinds = {child["kind"] for item in POOLS for child in children(kube, namespace, item)}
    assert kinds == set(PLURALS)


@pytest.fixture(params=["written down", "released"])
def definitions(kube: Kube, request: pytest.FixtureRequest) -> Iterator[None]:
    """KEDA's and the Prometheus operator's, gone again afterwards."""
    folder = WRITTEN_DOWN if request.param == "written down" else released()
    with installed(kube, folder, ("scaledobjects", "podmonitors")):
        yield


def test_what_keda_and_the_prometheus_operator_read_has_no_field_that_they_lack(
    kube: Kube, namespace: str, definitions: None
) -> None:
    """With strict validation of fields, whole when it comes back, and the same when applied."""
    prometheus = {"prometheus_url": "http://prometheus.example:9090"}
    facts = replace(
        FACTS,
        pools=FACTS.pools.model_copy(update=prometheus),
        definitions=frozenset({SCALED_OBJECTS, POD_MONITORS}),
        users=("card-line",),
    )
    seen = set()
    for manifest in POOLS:
        for child in children(kube, namespace, manifest, facts):
            if child["kind"] in OF_OTHERS:
                seen.add(child["kind"])
                folder = path_of(child).rpartition("/")[0]
                kube.must("POST", f"{folder}?fieldValidation=Strict", child)
                assert is_subset(child, kube.must("GET", path_of(child)))
                kube.must("DELETE", path_of(child))
                first = kube.apply(path_of(child), child)
                assert is_subset(child, kube.must("GET", path_of(child)))
                again = kube.apply(path_of(child), child)
                assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert seen == set(OF_OTHERS)


@pytest.mark.parametrize("facts", [FACTS, WITH_IMAGE_VOLUMES], ids=["loaded", "mounted"])
@pytest.mark.parametrize(
    "manifest",
    [item for item in POOLS if not item["spec"]["model"]["uri"].startswith("file://")],
    ids=lambda item: item["metadata"]["name"],
)
def test_pods_of_the_template_pass_the_restricted_level(
    kube: Kube, restricted: str, manifest: dict[str, Any], facts: PoolFacts
) -> None:
    """The API server itself judges. Only a folder of the node, which the settings must allow, is
    beyond that level.
    """
    namespace = restricted
    pod = pod_of(children(kube, namespace, manifest, facts))
    kube.must("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


def pod_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """As a controller makes it of the template."""
    template = next(c for c in found if c["kind"] in ("Deployment", "StatefulSet"))["spec"][
        "template"
    ]
    template["spec"].pop("runtimeClassName", None)  # the class itself is not installed here
    template["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = "0"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "one"},
        "spec": template["spec"],
    }
