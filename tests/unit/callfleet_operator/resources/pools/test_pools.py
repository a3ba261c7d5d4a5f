"""Everything that shall exist for a pool."""

import re
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from callfleet_operator.model import Engine, ProviderPool, load_provider_pool
from callfleet_operator.model.engines import OURS
from callfleet_operator.model.settings import OperatorSettings, PoolSettings
from callfleet_operator.resources.apply import HASH_ANNOTATION, manifest_hash
from callfleet_operator.resources.engines import SERVERS, WIRES
from callfleet_operator.resources.pools.desired import desired_of_pool
from callfleet_operator.resources.pools.facts import (
    POD_MONITORS,
    SCALED_OBJECTS,
    PoolFacts,
    pool_facts,
)
from callfleet_operator.resources.pools.names import host, selector_text
from callfleet_operator.resources.pools.store import Store, cache_key, store
from command_lines import parameters
from vectors.manifests.table import SMALLEST, merged

FACTS = PoolFacts("callfleet-system", "agent:1")
VLLM: dict[str, Any] = {
    "engine": "vllm",
    "stage": "llm",
    "image": "vllm:1",
    "model": {"uri": "hf://org/model"},
    "resources": {"gpu": {"count": 2}},
}
LLAMA: dict[str, Any] = {
    "engine": "llamacpp",
    "image": "llama:1",
    "model": {"uri": "hf://org/repo/q4.gguf@main", "cache": {"size": "5Gi"}},
}
WHISPER: dict[str, Any] = {
    "engine": "whisper",
    "image": "whisper:1",
    "model": {"uri": "s3://models/small"},
}
MANAGED: dict[Engine, dict[str, Any]] = {
    Engine.VLLM: VLLM,
    Engine.LLAMACPP: LLAMA,
    Engine.WHISPER: WHISPER,
    Engine.VOSK: {"engine": "vosk", "model": {"uri": "hf://a/b"}},
    Engine.PIPER: {"engine": "piper", "model": {"uri": "hf://a/b/amy.onnx"}},
}


def pool(**spec: Any) -> ProviderPool:
    change = {"metadata": {"name": "ears", "namespace": "bank", "uid": "u-1"}, "spec": spec}
    return load_provider_pool(merged(SMALLEST["ProviderPool"], change))


def built(kind: str, facts: PoolFacts = FACTS, /, **spec: Any) -> dict[str, Any]:
    return next(item for item in desired_of_pool(pool(**spec), facts) if item["kind"] == kind)


def pod(facts: PoolFacts = FACTS, /, *, kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = built(kind, facts, **spec)["spec"]["template"]["spec"]
    return found


def container(name: str, facts: PoolFacts = FACTS, /, **spec: Any) -> dict[str, Any]:
    found = pod(facts, **spec)
    everything = [*found["initContainers"], *found["containers"]]
    return next(item for item in everything if item["name"] == name)


def argument(found: dict[str, Any], name: str) -> str:
    return str(found["args"][found["args"].index(name) + 1])


def env(found: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in found["env"]}


# --- what there is -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "spec", [{"engine": "sphinx"}, {"engine": "vosk", "external": {"baseUrl": "http://a.example"}}]
)
def test_nothing_exists_for_what_somebody_else_runs(spec: dict[str, Any]) -> None:
    assert desired_of_pool(pool(**spec), FACTS) == []


def test_what_there_is_and_in_which_order() -> None:
    everything = PoolFacts("s", "agent:1", definitions=frozenset({POD_MONITORS}))
    kinds = [item["kind"] for item in desired_of_pool(pool(**LLAMA), everything)]
    assert kinds == [
        "ServiceAccount",
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "PersistentVolumeClaim",
        "PodMonitor",
        "Deployment",
    ]


def test_everything_is_labelled_owned_and_hashed() -> None:
    for item in desired_of_pool(pool(**VLLM), FACTS):
        metadata = item["metadata"]
        assert metadata["namespace"] == "bank"
        assert metadata["name"].startswith("ears-pool")  # an agent may be called ears as well
        assert metadata["labels"]["callfleet.io/pool"] == "ears"
        assert metadata["ownerReferences"][0]["uid"] == "u-1"
        assert metadata["annotations"][HASH_ANNOTATION] == manifest_hash(item)


def test_the_settings_of_the_operator_reach_the_objects() -> None:
    settings = OperatorSettings.model_validate(
        {"agentImage": "agent:2", "metricsCidrs": ["10.0.0.0/8"], "namespace": "voice"}
    )
    facts = pool_facts(settings, frozenset({"x"}), ("a",))
    assert (facts.agent_image, facts.namespace, facts.users) == ("agent:2", "voice", ("a",))
    assert facts.metrics_cidrs == ("10.0.0.0/8",)


# --- engines -----------------------------------------------------------------------------------
class TestVllm:
    def test_its_command_line(self) -> None:
        engine = container("engine", **VLLM, extraArgs=["--max-model-len", "8192"])
        assert engine["command"] == ["vllm", "serve"]
        assert engine["args"][0] == store(pool(**VLLM), FACTS).path
        assert argument(engine, "--tensor-parallel-size") == "2"
        assert argument(engine, "--served-model-name") == "ears"
        assert "--data-parallel-size" not in engine["args"]
        assert engine["args"][-2:] == ["--max-model-len", "8192"]

    def test_gpus_beyond_the_tensors_size_make_copies(self) -> None:
        spec = merged(VLLM, {"tensorParallelSize": 2, "resources": {"gpu": {"count": 4}}})
        assert argument(container("engine", **spec), "--data-parallel-size") == "2"

    def test_without_gpu_it_runs_on_cpu(self) -> None:
        spec = merged(VLLM, {"resources": None})
        engine = container("engine", **spec)
        assert argument(engine, "--tensor-parallel-size") == "1"
        assert engine["resources"] == {"requests": {"cpu": "4", "memory": "16Gi"}}

    def test_the_name_of_the_model_in_requests(self) -> None:
        spec = merged(VLLM, {"model": {"name": "org/model"}})
        assert argument(container("engine", **spec), "--served-model-name") == "org/model"

    def test_it_writes_into_folders_of_its_own_and_asks_no_hub(self) -> None:
        found = env(container("engine", **VLLM))
        assert found["HF_HUB_OFFLINE"] == "1"
        assert all(path.startswith("/cache") for key, path in found.items() if "HOME" in key)

    def test_shared_memory_grows_with_the_gpus(self) -> None:
        shm = next(volume for volume in pod(**VLLM)["volumes"] if volume["name"] == "shm")
        assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Gi"}

    def test_twenty_minutes_of_loading_are_no_failure(self) -> None:
        engine = container("engine", **VLLM)
        startup = engine["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] == 1800
        given = container("engine", **merged(VLLM, {"model": {"loadSeconds": 3601}}))
        assert given["startupProbe"]["failureThreshold"] == 721

    def test_ready_is_what_answered_a_real_request(self) -> None:
        assert "readinessProbe" not in container("engine", **VLLM)
        probe = container("probe", **VLLM)
        assert probe["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert argument(probe, "--url") == "http://127.0.0.1:8000/v1"
        assert argument(probe, "--stage") == "llm"

    def test_its_figures_are_told_by_the_probe_and_the_drain_is_not_there(self) -> None:
        probe = container("probe", **VLLM)
        assert argument(probe, "--http") == "0.0.0.0:8081"
        assert argument(probe, "--metrics") == "0.0.0.0:8083"
        ports = {port["name"]: port["containerPort"] for port in probe["ports"]}
        assert ports == {"probe": 8081, "metrics": 8083}

    def test_the_probe_takes_what_it_is_told(self) -> None:
        probe = container("probe", **VLLM, drainSeconds=100)
        told = parameters([*probe["command"][1:], *probe["args"]])
        assert (told["drain_seconds"], told["metrics"]) == (100, "0.0.0.0:8083")

    def test_no_container_ends_before_the_last_request(self) -> None:
        found = pod(**VLLM, drainSeconds=100)
        for item in found["containers"]:
            assert item["lifecycle"]["preStop"]["httpGet"] == {
                "path": "/drain",
                "port": 8081,
                "scheme": "HTTP",
            }
        assert found["terminationGracePeriodSeconds"] > 100


class TestSeveralNodes:
    SPEC = merged(VLLM, {"nodes": 2, "resources": {"gpu": {"count": 8}}})

    def test_one_server_of_several_pods(self) -> None:
        found = built("StatefulSet", **self.SPEC)["spec"]
        assert (found["replicas"], found["podManagementPolicy"]) == (2, "Parallel")
        assert found["serviceName"] == "ears-pool-peers"
        kinds = [item["kind"] for item in desired_of_pool(pool(**self.SPEC), FACTS)]
        assert (kinds.count("Service"), kinds.count("Deployment")) == (2, 0)

    def test_the_first_answers_and_the_others_serve_it(self) -> None:
        engine = container("engine", kind="StatefulSet", **self.SPEC)
        assert engine["command"][:2] == ["/bin/sh", "-c"]
        assert '--node-rank "$POD_INDEX" --headless' in engine["command"][2]
        assert argument(engine, "--nnodes") == "2"
        assert argument(engine, "--pipeline-parallel-size") == "2"
        assert argument(engine, "--master-addr") == "ears-pool-0.ears-pool-peers.bank.svc"
        assert {"POD_INDEX", "VLLM_HOST_IP"} <= env(engine).keys()
        assert "startupProbe" not in engine
        probe = container("probe", kind="StatefulSet", **self.SPEC)
        assert argument(probe, "--only-index") == "0"

    def test_requests_go_to_the_first_and_peers_find_each_other_unready(self) -> None:
        services = [s for s in desired_of_pool(pool(**self.SPEC), FACTS) if s["kind"] == "Service"]
        front, peers = services
        selector = front["spec"]["selector"]
        assert selector["statefulset.kubernetes.io/pod-name"] == "ears-pool-0"
        assert peers["spec"]["publishNotReadyAddresses"] is True
        policy = built("NetworkPolicy", **self.SPEC)["spec"]
        assert policy["ingress"][-1] == {"from": [{"podSelector": policy["podSelector"]}]}


class TestLlamaCpp:
    def test_its_command_line(self) -> None:
        engine = container("engine", **LLAMA)
        assert "command" not in engine  # the image's entry point is llama-server
        assert argument(engine, "--model").endswith("/q4.gguf")
        assert argument(engine, "--alias") == "ears"
        assert argument(engine, "--parallel") == "8"
        assert {"--metrics", "--no-slots", "--no-webui"} <= set(engine["args"])
        told = env(engine)
        assert told["LLAMA_ARG_KV_UNIFIED"] == "1"  # else a slot has an eighth of the context
        assert told["LLAMA_ARG_CACHE_RAM"] == "1024"
        assert told["LLAMA_ARG_SSE_PING_INTERVAL"] == "1"  # else it ends 30 s after its streams
        assert "--n-gpu-layers" not in engine["args"]

    def test_on_a_gpu_every_layer_is_there_and_no_conversation_leaves_it(self) -> None:
        spec = merged(LLAMA, {"resources": {"gpu": {}}, "scaling": {"maxReplicas": 2}})
        engine = container("engine", **spec)
        assert argument(engine, "--n-gpu-layers") == "999"
        assert env(engine)["LLAMA_ARG_CACHE_RAM"] == "0"


class TestOurs:
    def test_whisper_on_cpu(self) -> None:
        engine = container("engine", **WHISPER, language="en")
        assert engine["image"] == "whisper:1"
        assert engine["lifecycle"]["preStop"] == {"exec": {"command": ["sleep", "5"]}}
        assert engine["command"] == ["callfleet", "serve", "asr"]
        assert argument(engine, "--compute-type") == "int8"
        assert argument(engine, "--language") == "en"
        assert engine["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert [item["name"] for item in pod(**WHISPER)["containers"]] == ["engine"]

    def test_whisper_on_a_gpu(self) -> None:
        engine = container("engine", **WHISPER, resources={"gpu": {}})
        assert (argument(engine, "--device"), "--language" in engine["args"]) == ("cuda", False)

    def test_vosk_and_piper(self) -> None:
        vosk = container("engine", engine="vosk", model={"uri": "hf://a/b"})
        assert argument(vosk, "--engine") == "vosk"
        voice = {"engine": "piper", "model": {"uri": "hf://a/b/amy.onnx"}}
        piper = container("engine", **voice, voice="amy")
        assert piper["command"][-1] == "tts"
        assert argument(piper, "--voice") == "amy"
        assert "--voice" not in container("engine", **voice)["args"]

    @pytest.mark.parametrize("engine", OURS)
    def test_what_runs_has_as_long_as_the_pool_says(self, engine: Engine) -> None:
        """The command itself reads it. Clients hear of the end first: the pod has both times."""
        spec = MANAGED[engine] | {"drainSeconds": 1800}
        server = container("engine", **spec)
        assert parameters([*server["command"][1:], *server["args"]])["drain_seconds"] == 1800
        before_s = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
        assert pod(**spec)["terminationGracePeriodSeconds"] > before_s + 1800

    def test_servers_of_ours_prove_who_they_are_and_ask_the_same(self) -> None:
        engine, found = container("engine", **WHISPER), pod(**WHISPER)
        assert argument(engine, "--tls") == "/etc/callfleet/tls"
        assert argument(engine, "--listen") == "0.0.0.0:9443"
        assert "--plain-listen" not in engine["args"]
        mounted = {"name": "tls", "mountPath": "/etc/callfleet/tls", "readOnly": True}
        assert mounted in engine["volumeMounts"]
        secret = {"secretName": "ears-pool-tls", "defaultMode": 0o440}
        assert {"name": "tls", "secret": secret} in found["volumes"]
        assert [port["containerPort"] for port in engine["ports"]] == [9443, 8080]
        metadata = built("Deployment", **WHISPER)["spec"]["template"]["metadata"]
        assert metadata["annotations"] == {"callfleet.io/speaks": "grpcs"}

    def test_servers_of_others_have_no_certificate_of_ours(self) -> None:
        assert "tls" not in [volume["name"] for volume in pod(**LLAMA)["volumes"]]
        metadata = built("Deployment", **LLAMA)["spec"]["template"]["metadata"]
        assert "annotations" not in metadata

    def test_agents_of_a_former_version_are_answered_in_the_clear_as_well(self) -> None:
        facts = PoolFacts("callfleet-system", "agent:1", plaintext=True)
        engine = container("engine", facts, **WHISPER)
        assert argument(engine, "--listen") == "0.0.0.0:9443"
        assert argument(engine, "--plain-listen") == "0.0.0.0:9090"
        assert [port["containerPort"] for port in engine["ports"]] == [9443, 9090, 8080]
        ports = built("Service", facts, **WHISPER)["spec"]["ports"]
        assert [port["name"] for port in ports] == ["grpc", "grpc-plain", "http"]

    @pytest.mark.parametrize(
        ("facts", "ports"),
        [({}, [9443]), ({"plaintext": True}, [9443, 9090]), ({"plain_pods": True}, [9443, 9090])],
    )
    def test_who_is_on_the_way_can_be_reached(
        self, facts: dict[str, Any], ports: list[int]
    ) -> None:
        known = replace(PoolFacts("s", "agent:1"), **facts)
        policy = built("NetworkPolicy", known, **WHISPER)
        assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == ports

    def test_every_address_of_a_grpc_server_is_told(self) -> None:
        assert built("Service", **WHISPER)["spec"]["clusterIP"] == "None"
        assert "clusterIP" not in built("Service", **VLLM)["spec"]
        assert [p["name"] for p in built("Service", **WHISPER)["spec"]["ports"]] == ["grpc", "http"]
        assert [p["name"] for p in built("Service", **VLLM)["spec"]["ports"]] == ["http"]


# --- models ------------------------------------------------------------------------------------
def place(uri: str, settings: dict[str, Any] | None = None, **model: Any) -> Store:
    facts = PoolFacts("s", "agent:1", pools=PoolSettings.model_validate(settings or {}))
    return store(pool(engine="vosk", model={"uri": uri, **model}), facts)


class TestModels:
    def test_a_claim_is_mounted_as_it_is(self) -> None:
        found = place("pvc://models/asr/vosk")
        assert (found.path, found.folder) == ("/models/asr/vosk", "")
        claim = {"claimName": "models", "readOnly": True}
        assert found.volume == {"persistentVolumeClaim": claim}
        assert found.read_only

    def test_a_whole_claim(self) -> None:
        assert place("pvc://models").path == "/models"

    def test_a_folder_of_the_node(self) -> None:
        found = place("file:///srv/models/vosk/")
        assert found.path == "/models/vosk"
        assert found.volume == {"hostPath": {"path": "/srv/models", "type": "Directory"}}
        assert place("file:///vosk").volume["hostPath"]["path"] == "/"

    def test_an_image_where_the_cluster_mounts_images(self) -> None:
        found = place("oci://registry.example/m:1", {"imageVolumes": True}, file="big")
        assert found.path == "/models/big"
        assert found.volume["image"]["reference"] == "registry.example/m:1"

    def test_an_image_with_credentials_of_its_own_is_brought_by_the_loader(self) -> None:
        """The kubelet knows the pod's imagePullSecrets only."""
        settings = PoolSettings.model_validate({"imageVolumes": True})
        facts = PoolFacts("s", "agent:1", pools=settings)
        model = {"uri": "oci://registry.example/m:1", "credentialsSecretName": "registry"}
        loader = container("model", facts, engine="vosk", model=model)
        assert loader["args"][:2] == ["fetch", "oci://registry.example/m:1"]
        assert argument(loader, "--credentials") == "/etc/callfleet/model"

    def test_an_image_that_is_mounted_needs_no_cache(self) -> None:
        settings = PoolSettings.model_validate({"imageVolumes": True})
        facts = PoolFacts("s", "agent:1", pools=settings)
        model = {"uri": "oci://registry.example/m:1", "cache": {"size": "5Gi"}}
        kinds = [item["kind"] for item in desired_of_pool(pool(engine="vosk", model=model), facts)]
        assert "PersistentVolumeClaim" not in kinds
        kinds = [item["kind"] for item in desired_of_pool(pool(engine="vosk", model=model), FACTS)]
        assert "PersistentVolumeClaim" in kinds

    def test_an_image_elsewhere_is_brought_by_the_loader(self) -> None:
        assert not place("oci://registry.example/m:1").read_only

    def test_another_address_or_checksum_is_another_folder(self) -> None:
        digest = "sha256:" + "0" * 64
        models = [{"uri": "hf://a/b"}, {"uri": "hf://a/c"}, {"uri": "hf://a/b", "checksum": digest}]
        keys = {cache_key(_model(**model)) for model in models}
        assert len(keys) == 3

    def test_a_file_inside_a_folder(self) -> None:
        found = pool(engine="llamacpp", model={"uri": "hf://a/b", "file": "x/q4.gguf"})
        assert re.fullmatch(r"/models/[0-9a-f]{16}/x/q4\.gguf", store(found, FACTS).path)

    @pytest.mark.parametrize(
        ("model", "file"),
        [
            ({"uri": "hf://a/b", "file": "x/q4.gguf"}, "x/q4.gguf"),
            ({"uri": "hf://a/b/x/q4.gguf@main"}, "q4.gguf"),
        ],
    )
    def test_the_loader_is_told_which_file_the_engine_opens(
        self, model: dict[str, Any], file: str
    ) -> None:
        loader = container("model", **merged(LLAMA, {"model": {"uri": None, **model}}))
        assert argument(loader, "--file") == file
        assert argument(loader, "--for") == "llamacpp"

    def test_the_loader_is_told_where_from_and_where_to(self) -> None:
        digest = "sha256:" + "0" * 64
        model = {"uri": "s3://m/small", "credentialsSecretName": "s3", "checksum": digest}
        loader = container("model", engine="whisper", model=model)
        assert loader["args"][:2] == ["fetch", "s3://m/small"]
        assert argument(loader, "--to").startswith("/models/")
        assert argument(loader, "--checksum") == digest
        assert argument(loader, "--credentials") == "/etc/callfleet/model"
        assert argument(loader, "--for") == "whisper"
        assert "--file" not in loader["args"]
        assert "env" not in loader
        volumes = pod(engine="whisper", model=model)["volumes"]
        secret = {"secretName": "s3", "defaultMode": 0o440}
        assert {"name": "credentials", "secret": secret} in volumes

    def test_what_is_there_is_only_looked_at(self) -> None:
        loader = container("model", engine="vosk", model={"uri": "pvc://models/vosk"})
        assert loader["args"] == ["verify", "/models/vosk", "--for", "vosk"]
        assert loader["volumeMounts"][0]["readOnly"] is True

    def test_the_engine_never_writes_into_the_cache(self) -> None:
        mounts = container("engine", **LLAMA)["volumeMounts"]
        assert next(m for m in mounts if m["name"] == "model")["readOnly"] is True

    def test_a_cache_is_a_claim_that_replicas_share(self) -> None:
        spec = merged(
            LLAMA, {"model": {"cache": {"storageClassName": "nfs", "accessMode": "ReadWriteMany"}}}
        )
        claim = built("PersistentVolumeClaim", **spec)["spec"]
        assert claim["accessModes"] == ["ReadWriteMany"]
        assert claim["storageClassName"] == "nfs"
        assert claim["resources"]["requests"]["storage"] == "5Gi"
        volume = pod(**spec)["volumes"][0]
        assert volume["persistentVolumeClaim"] == {"claimName": "ears-pool-model"}

    def test_without_a_cache_each_pod_has_its_own(self) -> None:
        assert pod(**WHISPER)["volumes"][0] == {"name": "model", "emptyDir": {}}


def _model(**model: Any) -> Any:
    found = pool(engine="vosk", model=model).spec.model
    assert found is not None
    return found


# --- hardware ----------------------------------------------------------------------------------
class TestHardware:
    PROFILE: ClassVar[dict[str, Any]] = {
        "name": "big",
        "resources": {"requests": {"memory": "40Gi"}, "gpu": {"resourceName": "amd.com/gpu"}},
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "runtimeClassName": "fast",
    }
    WITH = PoolFacts("s", "agent:1", pools=PoolSettings.model_validate({"profiles": [PROFILE]}))

    def test_a_gpu_is_requested_and_limited(self) -> None:
        resources = container("engine", **VLLM)["resources"]
        assert resources["limits"] == {"nvidia.com/gpu": "2"}
        assert resources["requests"]["nvidia.com/gpu"] == "2"

    def test_a_profile_says_what_the_pool_does_not(self) -> None:
        spec = merged(VLLM, {"profile": "big", "resources": None})
        found = pod(self.WITH, **spec)
        assert found["nodeSelector"] == {"zone": "a"}
        assert found["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
        assert found["runtimeClassName"] == "fast"
        engine = container("engine", self.WITH, **spec)
        assert engine["resources"]["requests"]["memory"] == "40Gi"
        assert engine["resources"]["limits"] == {"amd.com/gpu": "1"}

    def test_the_pool_has_the_last_word(self) -> None:
        own = {
            "profile": "big",
            "nodeSelector": {"zone": "b"},
            "runtimeClassName": "own",
            "tolerations": [{"key": "x", "operator": "Exists", "effect": "NoSchedule"}],
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"cpu": "2"}},
        }
        found = pod(self.WITH, **merged(VLLM, own))
        assert found["nodeSelector"] == {"zone": "b"}
        assert found["runtimeClassName"] == "own"
        assert found["tolerations"][0]["key"] == "x"
        resources = container("engine", self.WITH, **merged(VLLM, own))["resources"]
        assert resources["requests"]["memory"] == "1Gi"
        assert resources["limits"] == {"cpu": "2", "nvidia.com/gpu": "2"}

    def test_a_profile_that_is_not_there_adds_nothing(self) -> None:
        assert "nodeSelector" not in pod(**merged(VLLM, {"profile": "gone"}))

    @pytest.mark.parametrize(
        ("spec", "surge", "missing"), [(VLLM, 0, 1), (LLAMA, 1, 0)], ids=["gpu", "cpu"]
    )
    def test_a_spare_gpu_is_seldom_there(
        self, spec: dict[str, Any], surge: int, missing: int
    ) -> None:
        rolling = built("Deployment", **spec)["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": surge, "maxUnavailable": missing}

    def test_images_of_the_settings_and_pull_secrets(self) -> None:
        settings = PoolSettings.model_validate({"images": {"llamacpp": "llama:9"}})
        facts = PoolFacts("s", "agent:1", pools=settings)
        spec = merged(LLAMA, {"image": None, "imagePullSecrets": [{"name": "pull"}]})
        assert container("engine", facts, **spec)["image"] == "llama:9"
        assert pod(facts, **spec)["imagePullSecrets"] == [{"name": "pull"}]
        assert container("engine", **spec)["image"] == ""


# --- who may reach it --------------------------------------------------------------------------
class TestNetworkPolicy:
    def rules(self, facts: PoolFacts = FACTS, **spec: Any) -> dict[int, list[Any]]:
        policy = built("NetworkPolicy", facts, **spec)["spec"]
        assert policy["policyTypes"] == ["Ingress"]
        return {rule["ports"][0]["port"]: rule["from"] for rule in policy["ingress"]}

    def test_requests_come_from_agents_of_the_namespace(self) -> None:
        agents = self.rules(**VLLM)[8000][0]
        expressions = agents["podSelector"]["matchExpressions"]
        assert expressions == [{"key": "callfleet.io/agent", "operator": "Exists"}]

    def test_figures_are_for_the_operator(self) -> None:
        (peer,) = self.rules(**VLLM)[8081]
        labels = peer["namespaceSelector"]["matchLabels"]
        assert labels == {"kubernetes.io/metadata.name": "callfleet-system"}

    @pytest.mark.parametrize("engine", SERVERS)
    def test_what_the_cluster_reaches_is_the_port_with_metrics_and_nothing_else(
        self, engine: Engine
    ) -> None:
        """The port that the monitor names is one of a container's, and no request goes there."""
        facts = PoolFacts("s", "agent:1", definitions=frozenset({POD_MONITORS}))
        spec = MANAGED[engine]
        (endpoint,) = built("PodMonitor", facts, **spec)["spec"]["podMetricsEndpoints"]
        (number,) = [
            port["containerPort"]
            for item in pod(facts, **spec)["containers"]
            for port in item["ports"]
            if port["name"] == endpoint["port"]
        ]
        rules = built("NetworkPolicy", facts, **spec)["spec"]["ingress"]
        everybody: dict[str, Any] = {"namespaceSelector": {}}
        opened = [rule for rule in rules if not rule.get("from") or everybody in rule["from"]]
        assert opened == [{"ports": [{"protocol": "TCP", "port": number}], "from": [everybody]}]
        assert number not in {WIRES[engine].port, 8081, 8082}

    @pytest.mark.parametrize("engine", SERVERS)
    def test_networks_beside_the_cluster_reach_metrics_and_nothing_else(
        self, engine: Engine
    ) -> None:
        facts = PoolFacts("s", "agent:1", metrics_cidrs=("10.3.0.0/24",))
        block = {"ipBlock": {"cidr": "10.3.0.0/24"}}
        reached = [
            port for port, who in self.rules(facts, **MANAGED[engine]).items() if block in who
        ]
        assert reached == [8080 if engine in OURS else 8083]


# --- scaling -----------------------------------------------------------------------------------
class TestScaling:
    ENGINE = merged(LLAMA, {"scaling": {"metric": "engine", "minReplicas": 0, "maxReplicas": 3}})
    KEDA = PoolFacts(
        "s",
        "agent:1",
        pools=PoolSettings.model_validate({"prometheusUrl": "http://prometheus.example:9090"}),
        definitions=frozenset({SCALED_OBJECTS}),
        users=("b-line", "a-line"),
    )

    def kinds(self, facts: PoolFacts, **spec: Any) -> set[str]:
        return {item["kind"] for item in desired_of_pool(pool(**spec), facts)}

    def test_by_calls_nobody_else_is_asked(self) -> None:
        spec = merged(LLAMA, {"scaling": {"maxReplicas": 3}})
        assert not {"HorizontalPodAutoscaler", "ScaledObject"} & self.kinds(self.KEDA, **spec)

    def test_without_keda_an_hpa_that_never_goes_to_zero(self) -> None:
        found = built("HorizontalPodAutoscaler", **self.ENGINE)["spec"]
        assert (found["minReplicas"], found["maxReplicas"]) == (1, 3)
        assert found["scaleTargetRef"]["kind"] == "ProviderPool"
        aims = {
            metric["pods"]["metric"]["name"]: metric["pods"]["target"]["averageValue"]
            for metric in found["metrics"]
        }
        assert aims == {"llamacpp_requests_processing": "8", "llamacpp_requests_deferred": "1"}

    def test_keda_without_prometheus_is_no_keda(self) -> None:
        facts = PoolFacts("s", "agent:1", definitions=frozenset({SCALED_OBJECTS}))
        assert "HorizontalPodAutoscaler" in self.kinds(facts, **self.ENGINE)

    def test_keda_wakes_a_pool_when_its_agents_have_calls(self) -> None:
        found = built("ScaledObject", self.KEDA, **self.ENGINE)["spec"]
        assert (found["minReplicaCount"], found["maxReplicaCount"]) == (0, 3)
        requests, calls = (trigger["metadata"] for trigger in found["triggers"])
        assert requests["threshold"] == "8"
        assert 'pod=~"ears-pool-.*"' in requests["query"]
        assert 'pod=~"(a-line|b-line)-.*"' in calls["query"]
        assert (calls["activationThreshold"], calls["threshold"]) == ("0", "1000000")

    def test_a_pool_that_never_sleeps_needs_no_waking(self) -> None:
        spec = merged(self.ENGINE, {"scaling": {"minReplicas": 1}})
        assert len(built("ScaledObject", self.KEDA, **spec)["spec"]["triggers"]) == 1

    def test_a_monitor_where_its_definition_is(self) -> None:
        facts = PoolFacts("s", "agent:1", definitions=frozenset({POD_MONITORS}))
        for spec, port in ((WHISPER, "http"), (VLLM, "metrics")):
            (endpoint,) = built("PodMonitor", facts, **spec)["spec"]["podMetricsEndpoints"]
            assert (endpoint["port"], endpoint["path"]) == (port, "/metrics")
        assert "PodMonitor" not in self.kinds(FACTS, **WHISPER)


def test_how_pods_are_found() -> None:
    found = selector_text(pool(**VLLM))
    assert found == "app.kubernetes.io/name=providerpool,callfleet.io/pool=ears"
    assert host(pool(**VLLM)) == "ears-pool.bank.svc"


def test_one_replica_may_always_be_evicted() -> None:
    assert built("PodDisruptionBudget", **VLLM)["spec"]["maxUnavailable"] == 1
