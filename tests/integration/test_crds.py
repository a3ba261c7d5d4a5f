"""The definitions on a real API server: what it refuses, what it fills in, what it serves."""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import pytest

from callfleet_operator.model import load_provider_pool, load_voice_agent
from helm import LIMIT_S, until_served
from vectors.manifests.table import SMALLEST, Bad, bad_manifests, good_manifests, merged

BAD = bad_manifests()
GOOD = good_manifests()
GROUP = "/apis/callfleet.io/v1alpha1"

pytestmark = pytest.mark.usefixtures("crds")


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = ...
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]: ...


def collection(namespace: str, kind: str) -> str:
    return f"{GROUP}/namespaces/{namespace}/{kind.lower()}s"


def create(kube: Kube, namespace: str, manifest: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """As kubectl does it: unknown fields are refused."""
    path = f"{collection(namespace, manifest['kind'])}?fieldValidation=Strict"
    return kube.request("POST", path, manifest)


def created(kube: Kube, namespace: str, manifest: dict[str, Any]) -> str:
    status, answer = create(kube, namespace, manifest)
    assert status == 201, answer
    return f"{collection(namespace, manifest['kind'])}/{manifest['metadata']['name']}"


def replaced(kube: Kube, path: str, change: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return kube.request("PUT", path, merged(kube.must("GET", path), change))


@pytest.mark.parametrize("bad", BAD, ids=[bad.case for bad in BAD])
def test_a_bad_manifest_is_refused_with_its_field_and_what_to_do(kube: Kube, bad: Bad) -> None:
    status, answer = create(kube, "default", bad.manifest)
    assert status in (400, 422), answer
    assert bad.field in answer["message"]
    assert bad.server in answer["message"]


@pytest.mark.parametrize("good", GOOD, ids=[f"{m['kind']} {m['metadata']['name']}" for m in GOOD])
def test_a_good_manifest_comes_back_with_the_defaults_of_the_model(
    kube: Kube, namespace: str, good: dict[str, Any]
) -> None:
    load = load_voice_agent if good["kind"] == "VoiceAgent" else load_provider_pool
    status, stored = create(kube, namespace, good)
    assert status == 201, stored
    assert load(stored).spec == load(good).spec
    assert without_nulls(stored["spec"]) == load(stored).to_manifest()["spec"]


def without_nulls(value: Any) -> Any:
    """What is left when a null counts as absent; amounts as text, as the model keeps them."""
    if isinstance(value, dict):
        kept = {name: without_nulls(item) for name, item in value.items() if item is not None}
        for amounts in ("requests", "limits"):
            if amounts in kept:
                kept[amounts] = {name: str(amount) for name, amount in kept[amounts].items()}
        return kept
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("good", GOOD, ids=[f"{m['kind']} {m['metadata']['name']}" for m in GOOD])
def test_what_the_model_writes_is_stored_unchanged(
    kube: Kube, namespace: str, good: dict[str, Any]
) -> None:
    load = load_voice_agent if good["kind"] == "VoiceAgent" else load_provider_pool
    written = {**load(good).to_manifest(), "metadata": good["metadata"]}
    status, stored = create(kube, namespace, written)
    assert status == 201, stored
    assert stored["spec"] == written["spec"]


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("VoiceAgent", {"spec": {"sip": {"proxy": "other"}}}, "spec.sip.proxy"),
        ("ProviderPool", {"spec": {"engine": "espeak"}}, "spec.engine"),
    ],
)
def test_what_cannot_be_changed_says_what_to_do_instead(
    kube: Kube, namespace: str, kind: str, change: dict[str, Any], field: str
) -> None:
    path = created(kube, namespace, SMALLEST[kind])
    status, answer = replaced(kube, path, change)
    assert status == 422
    assert field in answer["message"]
    assert "cannot be changed; create another" in answer["message"]


def test_an_update_of_status_is_no_new_generation_and_one_of_spec_is(
    kube: Kube, namespace: str
) -> None:
    path = created(kube, namespace, SMALLEST["VoiceAgent"])
    kube.must("PUT", f"{path}/status", merged(kube.must("GET", path), {"status": {"calls": 3}}))
    observed = kube.must("GET", path)
    assert (observed["metadata"]["generation"], observed["status"]) == (1, {"calls": 3})
    status, changed = replaced(kube, path, {"spec": {"replicas": 2}, "status": {"calls": 9}})
    assert status == 200
    assert (changed["metadata"]["generation"], changed["status"]) == (2, {"calls": 3})


@pytest.mark.parametrize("kind", ["VoiceAgent", "ProviderPool"])
def test_replicas_can_be_scaled(kube: Kube, namespace: str, kind: str) -> None:
    manifest = merged(
        SMALLEST[kind],
        {"spec": {"engine": "vosk", "model": {"uri": "hf://a/b"}}} if kind != "VoiceAgent" else {},
    )
    path = created(kube, namespace, manifest)
    assert kube.must("GET", f"{path}/scale")["spec"] == {"replicas": 1}
    kube.must(
        "PATCH",
        f"{path}/scale",
        {"spec": {"replicas": 3}},
        content_type="application/merge-patch+json",
    )
    assert kube.must("GET", path)["spec"]["replicas"] == 3


def test_scale_tells_autoscalers_the_pods(kube: Kube, namespace: str) -> None:
    path = created(kube, namespace, SMALLEST["VoiceAgent"])
    status = {"replicas": 2, "selector": "callfleet.io/agent=bad"}
    kube.must("PUT", f"{path}/status", merged(kube.must("GET", path), {"status": status}))
    assert kube.must("GET", f"{path}/scale")["status"] == status


def test_a_status_with_a_condition_twice_is_refused(kube: Kube, namespace: str) -> None:
    path = created(kube, namespace, SMALLEST["VoiceAgent"])
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "AsWanted",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    change = {"status": {"conditions": [condition, condition]}}
    status, answer = kube.request("PUT", f"{path}/status", merged(kube.must("GET", path), change))
    assert status == 422
    assert "status.conditions[1]" in answer["message"]


class TestKubectl:
    """What a person at the keyboard sees."""

    @pytest.fixture(autouse=True)
    def told(self, apiserver: Path, crds: None) -> None:
        """The server says what it serves a while after it serves it."""
        until_served(apiserver, "callfleet")
        deadline = time.monotonic() + LIMIT_S
        while any(asked(apiserver, "explain", kind).returncode for kind in ("va", "pp")):
            assert time.monotonic() < deadline, "nothing is explained"
            time.sleep(0.2)

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            ("voiceagent.spec.sip", "Numbers whose calls come to this agent"),
            ("va.spec.capacity.callsPerPod", "further ones are refused with 503"),
            ("providerpool.spec.external", "Where the API key is"),
            ("pp.status", "VoiceAgents that name this pool"),
        ],
    )
    def test_explain(self, apiserver: Path, field: str, text: str) -> None:
        assert text in " ".join(kubectl(apiserver, "explain", field).split())

    def test_columns_of_agents(self, apiserver: Path, kube: Kube, namespace: str) -> None:
        path = created(kube, namespace, SMALLEST["VoiceAgent"])
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "AsWanted",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        status = {"calls": 7, "capacity": 40, "revision": "0a1b2c3d4e", "conditions": [ready]}
        kube.must("PUT", f"{path}/status", merged(kube.must("GET", path), {"status": status}))
        head, row = kubectl(apiserver, "get", "va", "-n", namespace).splitlines()
        assert head.split() == ["NAME", "READY", "CALLS", "CAPACITY", "REVISION", "AGE"]
        assert row.split()[:5] == ["bad", "True", "7", "40", "0a1b2c3d4e"]

    def test_columns_of_pools(self, apiserver: Path, kube: Kube, namespace: str) -> None:
        created(kube, namespace, SMALLEST["ProviderPool"])
        head, row = kubectl(apiserver, "get", "pp", "-n", namespace).splitlines()
        assert head.split() == ["NAME", "ENGINE", "READY", "REPLICAS", "ENDPOINT", "USERS", "AGE"]
        assert row.split()[:2] == ["bad", "sphinx"]

    def test_one_word_for_all_kinds(self, apiserver: Path, kube: Kube, namespace: str) -> None:
        for kind in SMALLEST:
            created(kube, namespace, SMALLEST[kind])
        listed = kubectl(apiserver, "get", "callfleet", "-n", namespace, "-o", "name").split()
        assert listed == ["providerpool.callfleet.io/bad", "voiceagent.callfleet.io/bad"]


def kubectl(kubeconfig: Path, *arguments: str) -> str:
    done = asked(kubeconfig, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(kubeconfig: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Of a kubectl that remembers nothing of a server."""
    with tempfile.TemporaryDirectory() as fresh:
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": fresh}
        return subprocess.run(
            ["kubectl", *arguments], env=environment, check=False, capture_output=True, text=True
        )
