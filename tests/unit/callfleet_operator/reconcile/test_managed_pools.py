"""Pools whose engines the operator runs, from the manifest to zero and away."""

import base64
import json
from typing import Any

import pytest
from cryptography import x509

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
from callfleet_operator.reconcile.pool_views import pod_view
from callfleet_operator.reconcile.views import timestamp
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


EARS: dict[str, Any] = {"engine": "whisper", "image": "ears:1", "model": {"uri": "hf://org/ears"}}
SECURE, PLAIN = "grpcs://pool-pool.bank.svc:9443", "grpc://pool-pool.bank.svc:9090"


def deployed(fleet: FakeFleet) -> Manifest:
    found = fleet.kube.peek(DEPLOYMENT, NAMESPACE, "pool-pool")
    assert found is not None
    return found["spec"]["template"]  # type: ignore[no-any-return]


def speaks(fleet: FakeFleet, pod: str, what: str | None) -> None:
    fleet.kube.update(POD, NAMESPACE, pod, metadata={"annotations": {"callfleet.io/speaks": what}})


def plain_served(fleet: FakeFleet) -> bool:
    return "--plain-listen" in deployed(fleet)["spec"]["containers"][0]["args"]


@in_virtual_time
async def test_a_pool_of_ours_gets_a_certificate_that_is_renewed_and_goes_with_it() -> None:
    lives = {"caSeconds": 600, "leafSeconds": 60, "settleSeconds": 10, "tokenKeySeconds": 120}
    async with FakeFleet(identities=lives).running() as fleet:
        fleet.apply_pool("pool", **EARS)
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"))
        secret = fleet.kube.peek(SECRET, NAMESPACE, "pool-pool-tls")
        assert secret is not None
        assert secret["metadata"]["ownerReferences"][0]["name"] == "pool"
        pem = base64.b64decode(secret["data"]["tls.crt"])
        names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [
            "spiffe://callfleet.io/ns/bank/providerpool/pool"
        ]
        assert "pool-pool.bank.svc" in names.value.get_values_for_type(x509.DNSName)
        template = deployed(fleet)

        await fleet.settle(45)
        fleet.core.resync()
        await fleet.settle(5)
        fresh = fleet.kube.peek(SECRET, NAMESPACE, "pool-pool-tls")
        assert fresh is not None
        assert fresh["data"]["tls.crt"] != secret["data"]["tls.crt"]
        assert deployed(fleet) == template  # nothing is rolled for it

        external = {"external": {"baseUrl": "http://ears.example:9090"}, "image": None}
        fleet.kube.update(PROVIDER_POOL, NAMESPACE, "pool", spec=external)
        await fleet.until(lambda: fleet.kube.peek(SECRET, NAMESPACE, "pool-pool-tls") is None)


@in_virtual_time
async def test_agents_of_a_former_version_are_served_until_they_are_gone() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", **EARS)
        fleet.apply_agent(providers={"asr": [{"pool": "pool"}]})
        await fleet.until(fleet.is_ready)
        await fleet.until(lambda: live(fleet).asr[0].endpoints == (SECURE,))
        assert not plain_served(fleet)
        agent = next(pod for pod in fleet.all_pods() if pod not in pool_pods(fleet))
        name = agent["metadata"]["name"]
        assert agent["metadata"]["annotations"]["callfleet.io/speaks"] == "grpcs"

        # As the former version would have made it.
        speaks(fleet, name, None)
        fleet.core.resync()
        await fleet.until(lambda: live(fleet).asr[0].endpoints == (PLAIN, SECURE))
        await fleet.until(lambda: plain_served(fleet))

        speaks(fleet, name, "grpcs")
        fleet.core.resync()
        await fleet.until(lambda: live(fleet).asr[0].endpoints == (SECURE,))
        await fleet.until(lambda: not plain_served(fleet))


@in_virtual_time
async def test_a_pool_of_a_former_version_is_asked_in_the_clear_until_it_is_rolled() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", **EARS)
        fleet.apply_agent(providers={"asr": [{"pool": "pool"}]})
        await fleet.until(fleet.is_ready)
        await fleet.until(lambda: status(fleet)["endpoint"] == SECURE)
        (pod,) = pool_pods(fleet)
        name = pod["metadata"]["name"]

        speaks(fleet, name, None)
        fleet.core.resync()
        await fleet.until(lambda: live(fleet).asr[0].endpoints == (PLAIN,))
        assert status(fleet)["endpoint"] == PLAIN

        speaks(fleet, name, "grpcs")
        fleet.core.resync()
        await fleet.until(lambda: live(fleet).asr[0].endpoints == (SECURE,))


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
        last = json.dumps({"reason": "Unfit", "message": "llamacpp opens a file in GGUF's form"})
        tell(fleet, **loader(terminated={"exitCode": 1, "message": last}))
        await fleet.until(lambda: condition(fleet, "ModelCached") == ("False", "Unfit"))
        assert "spec.engine is llamacpp: name a GGUF file in spec.model.uri" in message(fleet)
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
async def test_a_replica_that_answers_hides_no_fault_of_another() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", **LLM | {"resources": {"gpu": {"count": 1}}, "replicas": 2})
        fleet.apply_agent(providers={"llm": [{"pool": "pool"}]})
        await fleet.until(lambda: status(fleet).get("readyReplicas") == 2)
        starved = {
            "type": "PodScheduled",
            "status": "False",
            "message": "0/2 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
        fleet.controllers.stuck.add(pool_pods(fleet)[0]["metadata"]["name"])
        down = [{"type": name, "status": "False"} for name in ("ContainersReady", "Ready")]
        tell(fleet, conditions=[starved, *down])
        await fleet.until(lambda: condition(fleet, "Degraded") == ("True", "InsufficientGPU"))
        assert condition(fleet) == ("True", "Serving")
        assert message(fleet) == "1 of 2 replicas answer"
        await fleet.until(lambda: bool(live(fleet).llm) and live(fleet).llm[0].available)


@pytest.mark.parametrize(
    ("phase", "now", "leaving"),
    [
        ("Running", "2026-01-01T00:00:00Z", True),
        ("Running", "2026-01-01T00:01:29Z", True),
        ("Running", "2026-01-01T00:01:30Z", False),  # its node is gone: nobody ends it
        ("Failed", "2026-01-01T00:00:00Z", False),  # and it holds nothing any more
    ],
)
def test_a_pod_leaves_until_its_grace_period_is_over(phase: str, now: str, leaving: bool) -> None:
    metadata = {"name": "a", "deletionTimestamp": "2026-01-01T00:01:00Z"}
    pod = {"metadata": metadata, "status": {"phase": phase}}
    seen = pod_view(pod, timestamp(now) or 0.0)
    assert seen.ending
    assert seen.leaving is leaving


def crashed(container: str, message: str) -> Manifest:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    ended = {"terminated": {"exitCode": 1, "message": message}}
    told = [{"name": container, "state": waiting, "lastState": ended}]
    return {"metadata": {"name": "a"}, "status": {"containerStatuses": told}}


FAILED = json.dumps({"reason": "EngineFailed", "message": "the model does not load"})


@pytest.mark.parametrize(
    ("container", "message", "said"),
    [
        ("engine", FAILED, "the model does not load"),
        ("probe", FAILED, ""),
        ("engine", "Traceback: what the caller said", ""),
        ("engine", json.dumps({"reason": "Other", "message": "what the caller said"}), ""),
        ("engine", "", ""),
    ],
)
def test_last_words_are_believed_in_the_form_of_our_servers(
    container: str, message: str, said: str
) -> None:
    seen = pod_view(crashed(container, message), 0.0)
    assert (seen.problem, seen.said) == ("CrashLoopBackOff", said)


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
        secret: Manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": NAMESPACE, "name": "s3"},
        }
        key = base64.b64encode(b"AKIA-secret").decode()
        fleet.kube.put(secret | {"data": {"accessKeyId": key, "secretAccessKey": ""}})
        await fleet.until(lambda: condition(fleet) == ("False", "ModelSecretKeyNotFound"), 90)
        assert "Secret s3 of spec.model.credentialsSecretName has no key sec" in message(fleet)
        assert "AKIA" not in str(status(fleet))
        assert not fleet.kube.all(DEPLOYMENT)
        both = {"accessKeyId": key, "secretAccessKey": key}
        fleet.kube.update(SECRET, NAMESPACE, "s3", data=both)
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"), 90)


@in_virtual_time
async def test_an_image_with_a_secret_of_its_own_is_brought_with_it_and_not_mounted() -> None:
    async with FakeFleet(pools={"imageVolumes": True}).running() as fleet:
        secret: Manifest = {"apiVersion": "v1", "kind": "Secret", "data": {}}
        fleet.kube.put(secret | {"metadata": {"namespace": NAMESPACE, "name": "pull"}})
        model = {"uri": "oci://registry.example/m:1", "credentialsSecretName": "pull"}
        fleet.apply_pool("pool", **EARS | {"model": model})
        await fleet.until(lambda: condition(fleet) == ("False", "ModelSecretKeyNotFound"))
        assert "or .dockerconfigjson, which oci:// asks for" in message(fleet)
        login = {".dockerconfigjson": base64.b64encode(b"{}").decode()}
        fleet.kube.update(SECRET, NAMESPACE, "pull", data=login)
        await fleet.until(lambda: condition(fleet) == ("True", "Serving"), 90)
        (deployment,) = fleet.kube.all(DEPLOYMENT)
        volumes = {item["name"]: item for item in deployment["spec"]["template"]["spec"]["volumes"]}
        assert "image" not in volumes["model"]
        assert volumes["credentials"]["secret"]["secretName"] == "pull"


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
