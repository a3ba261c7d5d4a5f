"""Pools whose engines the operator runs, from the manifest to zero and away."""

import base64
import json
from typing import Any

from callfleet_operator.model import LiveProviders
from callfleet_operator.ports.errors import InvalidError
from callfleet_operator.ports.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_MONITOR,
    PROVIDER_POOL,
    SCALED_OBJECT,
    SECRET,
    Manifest,
)
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.probe import Figures, Progress
from callfleet_operator.resources.settings import live_of
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.virtual_time import in_virtual_time

LLM: dict[str, Any] = {
    "engine": "llamacpp",
    "image": "llama:1",
    "replicas": 1,
    "model": {"uri": "hf://org/repo/q4.gguf", "cache": {"size": "5Gi"}},
}


def status(fleet: FakeFleet, name: str = "pool") -> Manifest:
    pool = fleet.kube.peek(PROVIDER_POOL, NAMESPACE, name) or {}
    return pool.get("status") or {}


def condition(fleet: FakeFleet, kind: str = "Ready") -> tuple[str, str]:
    for item in status(fleet).get("conditions", ()):
        if item["type"] == kind:
            return item["status"], item["reason"]
    return "", ""


def message(fleet: FakeFleet) -> str:
    return next((c["message"] for c in status(fleet).get("conditions", ())), "")


def pool_pods(fleet: FakeFleet) -> list[Manifest]:
    return [pod for pod in fleet.all_pods() if "callfleet.io/pool" in pod["metadata"]["labels"]]


def live(fleet: FakeFleet) -> LiveProviders:
    found = live_of(fleet.kube.peek(CONFIG_MAP, NAMESPACE, "card-line-live"))
    assert found is not None
    return found


def tell(fleet: FakeFleet, **told: Any) -> None:
    """The kubelet says something of the first pod of the pool."""
    fleet.kube.update(POD, NAMESPACE, pool_pods(fleet)[0]["metadata"]["name"], status=told)


def loader(**state: Any) -> dict[str, Any]:
    return {"initContainerStatuses": [{"name": "other"}, {"name": "model", "state": state}]}


@in_virtual_time
async def test_a_pool_becomes_objects_and_an_endpoint_that_agents_are_told() -> None:
    async with FakeFleet().running() as fleet:
        fleet.probe.told = Figures("b1", 90, None)
        fleet.apply_pool("pool", **LLM)
        fleet.apply_agent(providers={"llm": [{"pool": "pool"}]})
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"))
        for kind in (DEPLOYMENT, PERSISTENT_VOLUME_CLAIM):
            assert any("pool" in item["metadata"]["name"] for item in fleet.kube.all(kind))
        await fleet.until(lambda: status(fleet).get("engineVersion") == "b1")
        assert status(fleet)["firstTokenMilliseconds"] == 90
        assert status(fleet)["endpoint"] == "http://pool-pool.bank.svc:8080/v1"
        assert status(fleet)["users"] == ["card-line"]
        await fleet.until(lambda: bool(live(fleet).llm) and live(fleet).llm[0].available)
        assert live(fleet).llm[0].endpoints == ("http://pool-pool.bank.svc:8080/v1",)
        # What was measured stays when it cannot be asked for a while.
        fleet.probe.told = None
        fleet.core.resync()
        await fleet.settle(5)
        assert status(fleet)["engineVersion"] == "b1"


@in_virtual_time
async def test_running_pods_are_told_of_a_change_at_once() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        before = live(fleet).generation
        (pod,) = fleet.all_pods()
        assert "callfleet.io/live-changed" not in (pod["metadata"].get("annotations") or {})
        fleet.apply_pool("ears", engine="sphinx")
        fleet.change(providers={"asr": [{"pool": "ears"}]})
        await fleet.until(lambda: live(fleet).generation == before + 1)
        await fleet.settle(2)
        (pod,) = fleet.all_pods()
        assert "callfleet.io/live-changed" in pod["metadata"]["annotations"]
        assert live(fleet).generation == before + 1  # and nothing moves it any more


@in_virtual_time
async def test_the_loaders_progress_and_its_errors_are_told() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.start_s = 3600
        fleet.apply_pool("pool", **LLM)
        await fleet.until(lambda: condition(fleet) == ("False", "EngineStarting"))
        fleet.probe.loaded = Progress(25, 100)
        tell(fleet, **loader(running={}))
        await fleet.until(lambda: condition(fleet) == ("False", "ModelLoading"))
        assert status(fleet)["modelProgress"] == {"bytes": 25, "totalBytes": 100, "percent": 25}
        fleet.probe.loaded = Progress(50, 100)
        await fleet.until(lambda: status(fleet)["modelProgress"]["percent"] == 50, 10)
        fleet.probe.loaded = None
        await fleet.settle(5)
        last = json.dumps({"reason": "NoRoom", "message": "7 GiB are needed"})
        tell(fleet, **loader(terminated={"exitCode": 1, "message": last}))
        await fleet.until(lambda: condition(fleet, "ModelCached") == ("False", "NoRoom"))
        assert "7 GiB are needed; raise spec.model.cache.size" in message(fleet)
        for words in ("no json", "[]"):
            tell(fleet, **loader(terminated={"exitCode": 1, "message": words}))
            await fleet.until(lambda: condition(fleet) == ("False", "ModelFailed"))
        tell(fleet, **loader(terminated={"exitCode": 0}))
        await fleet.until(lambda: condition(fleet, "ModelCached") == ("True", "Cached"))


@in_virtual_time
async def test_why_a_pod_does_not_start() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.start_s = 3600
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
        fleet.kube.put(node | {"status": {"allocatable": {"nvidia.com/gpu": "1"}}})
        fleet.kube.put(node | {"metadata": {"name": "n2"}})
        fleet.apply_pool("pool", **LLM | {"resources": {"gpu": {"count": 1}}})
        await fleet.until(lambda: condition(fleet) == ("False", "EngineStarting"))
        refused = {
            "type": "PodScheduled",
            "status": "False",
            "message": "0/2 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
        tell(fleet, conditions=[refused])
        await fleet.until(lambda: condition(fleet) == ("False", "InsufficientGPU"))
        assert "0 of 1 nodes with nvidia.com/gpu free" in message(fleet)
        waiting = [{"name": "engine", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
        tell(
            fleet,
            conditions=[{"type": "PodScheduled", "status": "True"}],
            containerStatuses=waiting,
        )
        await fleet.until(lambda: condition(fleet) == ("False", "PodNotStarting"))


@in_virtual_time
async def test_a_pool_sleeps_without_calls_and_wakes_with_the_first() -> None:
    async with FakeFleet().running() as fleet:
        scaling = {"minReplicas": 0, "maxReplicas": 2, "targetConcurrency": 4, "idleSeconds": 60}
        fleet.apply_pool("pool", **LLM | {"scaling": scaling})
        fleet.apply_agent(providers={"llm": [{"pool": "pool"}]})
        await fleet.until(fleet.is_ready)
        await fleet.until(lambda: condition(fleet) == ("False", "Asleep"), 120)
        await fleet.until(lambda: not pool_pods(fleet))
        await fleet.until(lambda: not live(fleet).llm[0].available)
        agents = [pod for pod in fleet.all_pods() if pod not in pool_pods(fleet)]
        fleet.pods.report(agents[0]["metadata"]["uid"], 5)
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"), 30)
        assert len(pool_pods(fleet)) == 2
        await fleet.until(lambda: live(fleet).llm[0].available)


@in_virtual_time
async def test_an_autoscaler_of_somebody_else_has_the_say() -> None:
    async with FakeFleet().running() as fleet:
        fleet.kube.put(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"namespace": NAMESPACE, "name": "hpa"},
                "spec": {"scaleTargetRef": {"kind": "ProviderPool", "name": "pool"}},
            }
        )
        scaling = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 10}
        fleet.apply_pool("pool", **LLM | {"scaling": scaling})
        await fleet.settle(60)
        assert condition(fleet) == ("True", "Serving")


@in_virtual_time
async def test_a_pool_in_use_waits_with_its_deletion_and_says_for_whom() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", **LLM)
        fleet.apply_agent(providers={"llm": [{"pool": "pool"}]})
        await fleet.until(lambda: status(fleet).get("users") == ["card-line"])
        await fleet.kube.delete(Ref(PROVIDER_POOL, NAMESPACE, "pool"))
        await fleet.until(lambda: condition(fleet, "Progressing") == ("True", "DeletionWaits"))
        assert "card-line" in message(fleet)
        await fleet.until(lambda: condition(fleet) == ("True", "DeletionWaits"))
        fleet.change(providers={"llm": []})
        await fleet.until(lambda: fleet.kube.peek(PROVIDER_POOL, NAMESPACE, "pool") is None)


@in_virtual_time
async def test_nothing_is_made_that_could_not_run() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", engine="llamacpp", replicas=1, model=LLM["model"])
        await fleet.until(lambda: condition(fleet) == ("False", "ImageNotSet"))
        assert not fleet.kube.all(DEPLOYMENT)
        path = {"uri": "file:///srv/models/a.gguf"}
        fleet.kube.update(
            PROVIDER_POOL,
            NAMESPACE,
            "pool",
            spec={"image": "llama:1", "model": path | {"cache": None}},
        )
        await fleet.until(lambda: condition(fleet) == ("False", "HostPathNotAllowed"))
        fleet.kube.update(
            PROVIDER_POOL,
            NAMESPACE,
            "pool",
            spec={"model": {"uri": "s3://m/a.gguf", "credentialsSecretName": "s3"}},
        )
        await fleet.until(lambda: condition(fleet) == ("False", "ModelSecretNotFound"))
        secret = {"apiVersion": "v1", "kind": "Secret", "data": {}}
        fleet.kube.put(secret | {"metadata": {"namespace": NAMESPACE, "name": "s3"}})
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"), 90)


@in_virtual_time
async def test_folders_of_nodes_that_the_settings_allow() -> None:
    async with FakeFleet(pools={"modelHostPaths": ["/srv/models/"]}).running() as fleet:
        fleet.apply_pool("pool", **LLM | {"model": {"uri": "file:///srv/models/a.gguf"}})
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"))
        fleet.apply_pool("pool", **LLM | {"model": {"uri": "file:///srv/models2/a.gguf"}})
        await fleet.until(lambda: condition(fleet) == ("False", "HostPathNotAllowed"))


@in_virtual_time
async def test_what_the_api_server_refuses_is_told() -> None:
    async with FakeFleet().running() as fleet:

        def refuse(verb: str, ref: Ref) -> None:
            if verb == "APPLY" and ref.kind == PERSISTENT_VOLUME_CLAIM:
                raise InvalidError(422, "Invalid", "spec is immutable")

        fleet.kube.before = refuse
        fleet.apply_pool("pool", **LLM)
        await fleet.until(lambda: condition(fleet) == ("False", "ApplyRefused"))
        assert "spec is immutable" in message(fleet)


@in_virtual_time
async def test_what_is_left_over_goes() -> None:
    async with FakeFleet().running() as fleet:
        scaling = {"metric": "engine", "maxReplicas": 2}
        fleet.apply_pool("pool", **LLM | {"scaling": scaling})
        await fleet.until(lambda: bool(fleet.kube.all(HORIZONTAL_POD_AUTOSCALER)))
        fleet.apply_pool("pool", **LLM | {"model": {"uri": "hf://org/repo/q4.gguf"}})
        await fleet.until(lambda: not fleet.kube.all(HORIZONTAL_POD_AUTOSCALER))
        await fleet.until(lambda: not fleet.kube.all(PERSISTENT_VOLUME_CLAIM))


@in_virtual_time
async def test_monitors_and_scalers_come_and_go_with_their_definitions() -> None:
    pools = {"prometheusUrl": "http://prometheus.example:9090"}
    async with FakeFleet(pools=pools).running() as fleet:
        scaling = {"metric": "engine", "minReplicas": 0, "maxReplicas": 2}
        fleet.apply_pool("pool", **LLM | {"scaling": scaling})
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"))
        assert not fleet.kube.all(POD_MONITOR)
        for name in ("podmonitors.monitoring.coreos.com", "scaledobjects.keda.sh"):
            fleet.kube.put(
                {
                    "apiVersion": CUSTOM_RESOURCE_DEFINITION.api_version,
                    "kind": "CustomResourceDefinition",
                    "metadata": {"name": name},
                }
            )
        await fleet.until(lambda: bool(fleet.kube.all(POD_MONITOR)))
        await fleet.until(lambda: bool(fleet.kube.all(SCALED_OBJECT)))
        await fleet.until(lambda: not fleet.kube.all(HORIZONTAL_POD_AUTOSCALER))
        fleet.apply_pool("pool", **LLM)
        await fleet.until(lambda: not fleet.kube.all(SCALED_OBJECT))
        assert fleet.kube.all(POD_MONITOR)


@in_virtual_time
async def test_a_ca_reaches_the_agent_beside_the_key() -> None:
    async with FakeFleet().running() as fleet:
        external = {"baseUrl": "https://llm.example/v1", "caSecretName": "ca"}
        fleet.apply_pool("pool", engine="openai", external=external)
        await fleet.until(lambda: condition(fleet) == ("False", "CANotFound"))
        pem = base64.b64encode(b"-----BEGIN").decode()
        secret = {"apiVersion": "v1", "kind": "Secret", "data": {"ca.crt": pem}}
        fleet.kube.put(secret | {"metadata": {"namespace": NAMESPACE, "name": "ca"}})
        fleet.apply_agent(providers={"llm": [{"pool": "pool"}]})
        await fleet.until(lambda: condition(fleet) == ("True", "Reachable"), 90)

        def held() -> Manifest:
            return fleet.kube.peek(SECRET, NAMESPACE, "card-line-providers") or {"data": {}}

        await fleet.until(lambda: "pool.ca.crt" in held()["data"])
        assert live(fleet).llm[0].ca_file == "/etc/callfleet/providers/pool.ca.crt"
