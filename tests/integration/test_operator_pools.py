"""Pools on a real kube-apiserver: what the operator's process makes of them, and says of them.

No controller and no kubelet runs here: a test plays them where something depends on them.
"""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from callfleet_operator.kube.client import KubeClient
from callfleet_operator.kube.connection import connect
from callfleet_operator.model import LiveProviders
from callfleet_operator.ports.errors import NotFoundError
from callfleet_operator.ports.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    POD_MONITOR,
    PROVIDER_POOL,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    VOICE_AGENT,
    Manifest,
)
from callfleet_operator.ports.kube import Ref
from callfleet_operator.resources.settings import live_of
from running_operator import LIMIT_S, Installation, leads, until

LLM: dict[str, Any] = {
    "engine": "llamacpp",
    "image": "registry.example/llama.cpp:server",
    "model": {"uri": "hf://org/repo/q4.gguf", "cache": {"size": "5Gi"}},
    "scaling": {"metric": "engine", "maxReplicas": 3},
}
MADE = (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
)

pytestmark = pytest.mark.usefixtures("crds")


@pytest.fixture
async def client(apiserver: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient(await connect(apiserver), timeout_s=LIMIT_S) as client:
        yield client


@pytest.fixture
async def installation(apiserver: Path, client: KubeClient, tmp_path: Path) -> Installation:
    made = Installation(apiserver, tmp_path)
    await made.prepare(client)
    return made


class Pool:
    """One pool as a person sees it."""

    def __init__(self, client: KubeClient, namespace: str, name: str = "llm") -> None:
        self.client, self.namespace, self.name = client, namespace, name
        self.ref = Ref(PROVIDER_POOL, namespace, name)

    async def apply(self, **spec: Any) -> None:
        await self.client.create(
            {
                "apiVersion": PROVIDER_POOL.api_version,
                "kind": "ProviderPool",
                "metadata": {"namespace": self.namespace, "name": self.name},
                "spec": spec,
            }
        )

    async def status(self) -> Manifest:
        found = await self.client.get(PROVIDER_POOL, self.namespace, self.name) or {}
        return found.get("status") or {}

    async def condition(self, kind: str = "Ready") -> tuple[str, str, str]:
        for item in (await self.status()).get("conditions") or ():
            if item["type"] == kind:
                return item["status"], item["reason"], item.get("message", "")
        return "", "", ""

    async def reason(self) -> str:
        return (await self.condition())[1]

    async def says(self, reason: str) -> None:
        async def told() -> bool:
            return await self.reason() == reason

        await until(told)

    async def owned(self) -> dict[str, str]:
        """Kind and name of every object there is of it."""
        found = {}
        for kind in MADE:
            item = await self.client.get(kind, self.namespace, f"{self.name}-pool")
            item = item or await self.client.get(kind, self.namespace, f"{self.name}-pool-model")
            if item is not None:
                found[kind.kind] = item["metadata"]["name"]
        return found

    async def pod(self, ready: bool, number: int = 1, **status: Any) -> None:
        """As ReplicaSet, scheduler and kubelet would make and report it."""
        deployment = await self.client.get(DEPLOYMENT, self.namespace, f"{self.name}-pool")
        assert deployment is not None
        template = deployment["spec"]["template"]
        name = f"{self.name}-{number}"
        metadata = template["metadata"] | {"namespace": self.namespace, "name": name}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        await self.client.create(pod)
        told = {"type": "Ready", "status": str(ready)}
        patch = {"status": {"podIP": "127.0.0.1", "conditions": [told], **status}}
        await self.client.patch(Ref(POD, self.namespace, name), patch, subresource="status")


async def test_a_pool_of_ours_has_a_certificate_of_its_own(
    installation: Installation, client: KubeClient
) -> None:
    namespace = installation.namespace
    pool = Pool(client, namespace, "ears")
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        await pool.apply(engine="whisper", image="ears:1", model={"uri": "hf://org/ears"})

        async def certified() -> bool:
            return await client.get(SECRET, namespace, "ears-pool-tls") is not None

        await until(certified)
        secret = await client.get(SECRET, namespace, "ears-pool-tls") or {}
        leaf = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identity = f"spiffe://callfleet.io/ns/{namespace}/providerpool/ears"
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity]
        (owner,) = secret["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ProviderPool", "ears")
        await pool.says("Pending")
        assert (await pool.status())["endpoint"] == f"grpcs://ears-pool.{namespace}.svc:9443"
        deployment = await client.get(DEPLOYMENT, namespace, "ears-pool") or {}
        mounted = deployment["spec"]["template"]["spec"]["volumes"]
        assert "ears-pool-tls" in [(one.get("secret") or {}).get("secretName") for one in mounted]
        await client.delete(pool.ref)


async def live(client: KubeClient, namespace: str) -> LiveProviders | None:
    return live_of(await client.get(CONFIG_MAP, namespace, "card-line-live"))


async def test_a_pool_from_its_manifest_to_its_end(
    installation: Installation, client: KubeClient
) -> None:
    pool = Pool(client, installation.namespace)
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        await pool.apply(**LLM)
        await installation.apply(client, providers={"llm": [{"pool": "llm"}]})
        await pool.says("Pending")
        assert await pool.owned() == {
            kind.kind: "llm-pool-model" if kind == PERSISTENT_VOLUME_CLAIM else "llm-pool"
            for kind in MADE
        }

        # Its pod answers: agents are told that it is there, where, and in which generation.
        await pool.pod(ready=True, initContainerStatuses=[loaded()])
        await pool.says("Serving")

        async def used() -> bool:
            return (await pool.status()).get("users") == ["card-line"]

        await until(used)
        status = await pool.status()
        endpoint = f"http://llm-pool.{installation.namespace}.svc:8080/v1"
        assert status["endpoint"] == endpoint
        assert (status["readyReplicas"], status["users"]) == (1, ["card-line"])
        assert (await pool.condition("ModelCached"))[:2] == ("True", "Cached")

        async def told() -> bool:
            found = await live(client, installation.namespace)
            return found is not None and bool(found.llm) and found.llm[0].available

        await until(told)
        found = await live(client, installation.namespace)
        assert found is not None
        assert found.llm[0].endpoints == (endpoint,)

        # Whoever scales it by /scale finds its pods, and is obeyed.
        await client.patch(pool.ref, {"spec": {"replicas": 2}}, subresource="scale")

        async def scaled() -> bool:
            deployment = await client.get(DEPLOYMENT, installation.namespace, "llm-pool")
            return deployment is not None and deployment["spec"]["replicas"] == 2

        await until(scaled)
        assert status["selector"] == ("app.kubernetes.io/name=providerpool,callfleet.io/pool=llm")

        # In use it is not deleted by accident.
        await client.delete(pool.ref)
        await pool.says("DeletionWaits")
        assert "card-line" in (await pool.condition())[2]
        agent = Ref(VOICE_AGENT, installation.namespace, "card-line")
        await client.patch(agent, {"spec": {"providers": {"llm": []}}})

        async def gone() -> bool:
            return await client.get(PROVIDER_POOL, installation.namespace, "llm") is None

        await until(gone)


def loaded() -> Manifest:
    ended = {"exitCode": 0, "startedAt": None, "finishedAt": None}
    return container("model") | {"state": {"terminated": ended}}


def container(name: str) -> Manifest:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0}


async def test_why_it_does_not_run(installation: Installation, client: KubeClient) -> None:
    pools = {
        name: Pool(client, installation.namespace, name)
        for name in ("noimage", "noprofile", "nosecret", "nokey", "node", "gpu", "broken")
    }
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        model = {"uri": "hf://org/repo/q4.gguf"}
        image = LLM["image"]
        await pools["noimage"].apply(engine="llamacpp", model=model)
        await pools["noprofile"].apply(engine="llamacpp", image=image, model=model, profile="big")
        named = model | {"credentialsSecretName": "hub"}
        await pools["nosecret"].apply(engine="llamacpp", image=image, model=named)
        metadata = {"namespace": installation.namespace, "name": "half"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        await client.create(secret | {"stringData": {"HF_TOKEN": "hf_secret"}})
        half = model | {"credentialsSecretName": "half"}
        await pools["nokey"].apply(engine="llamacpp", image=image, model=half)
        local = {"uri": "file:///srv/models/a.gguf"}
        await pools["node"].apply(engine="llamacpp", image=image, model=local)
        gpu = {"gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}}
        await pools["gpu"].apply(engine="llamacpp", image=image, model=model, resources=gpu)
        await pools["broken"].apply(engine="llamacpp", image=image, model=model)

        await pools["noimage"].says("ImageNotSet")
        assert "spec.image" in (await pools["noimage"].condition())[2]
        await pools["noprofile"].says("ProfileNotFound")
        assert "spec.profile" in (await pools["noprofile"].condition())[2]
        await pools["nosecret"].says("ModelSecretNotFound")
        assert "spec.model.credentialsSecretName" in (await pools["nosecret"].condition())[2]
        await pools["nokey"].says("ModelSecretKeyNotFound")
        assert "Secret half" in (await pools["nokey"].condition())[2]
        assert "no key token" in (await pools["nokey"].condition())[2]
        assert "hf_secret" not in str(await pools["nokey"].status())
        await pools["node"].says("HostPathNotAllowed")
        assert "spec.model.uri" in (await pools["node"].condition())[2]
        assert await pools["noimage"].owned() == {}

        await pools["gpu"].says("Pending")
        refused = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/mig-1g.10gb.",
        }
        await pools["gpu"].pod(ready=False, conditions=[refused])
        await pools["gpu"].says("InsufficientGPU")
        assert "no node offers nvidia.com/mig-1g.10gb" in (await pools["gpu"].condition())[2]

        # A replica that answers beside it hides nothing, and agents have that one.
        await pools["gpu"].pod(ready=True, number=2)
        await pools["gpu"].says("Serving")
        told = await pools["gpu"].condition("Degraded")
        assert told[:2] == ("True", "InsufficientGPU")

        await pools["broken"].says("Pending")
        last = '{"reason": "Checksum", "message": "sha256 differs"}'
        ended = {"exitCode": 1, "message": last, "startedAt": None, "finishedAt": None}
        words = container("model") | {"state": {"terminated": ended}}
        await pools["broken"].pod(ready=False, initContainerStatuses=[words])
        await pools["broken"].says("ModelChecksum")
        assert (await pools["broken"].condition("ModelCached"))[:2] == ("False", "Checksum")
        assert "correct spec.model.checksum" in (await pools["broken"].condition())[2]


async def test_a_cache_that_is_too_small(installation: Installation, client: KubeClient) -> None:
    pool = Pool(client, installation.namespace)
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        await pool.apply(**LLM)
        await pool.says("Pending")
        last = '{"reason": "NoRoom", "message": "7.1 GiB are needed, 4.9 GiB are free"}'
        ended = {"exitCode": 1, "message": last, "startedAt": None, "finishedAt": None}
        words = container("model") | {"state": {"terminated": ended}}
        await pool.pod(ready=False, initContainerStatuses=[words])
        await pool.says("ModelNoRoom")
        assert "raise spec.model.cache.size" in (await pool.condition())[2]


async def test_a_chain_without_a_member_for_its_stage(
    installation: Installation, client: KubeClient
) -> None:
    pool = Pool(client, installation.namespace)
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        await pool.apply(engine="rules")
        await pool.says("Embedded")
        await installation.apply(client, providers={"asr": [{"pool": "llm"}]})

        async def told() -> bool:
            agent = await client.get(VOICE_AGENT, installation.namespace, "card-line") or {}
            found = {c["type"]: c for c in (agent.get("status") or {}).get("conditions") or ()}
            providers = found.get("ProvidersReady") or {"reason": "", "message": ""}
            place = "spec.providers.asr[0].pool"
            return providers["reason"] == "WrongStage" and place in providers["message"]

        await until(told)
        found = await live(client, installation.namespace)
        assert found is not None
        assert found.asr == ()


async def test_a_key_is_followed_and_stays_where_it_belongs(
    installation: Installation, client: KubeClient
) -> None:
    """The address is of nobody: the key is read, sent nowhere, and in one Secret only."""
    pool = Pool(client, installation.namespace)
    external = {"baseUrl": "http://127.0.0.1:9", "secretRef": {"name": "key"}}
    with installation.operator(resyncSeconds=10) as (_, port):
        await until(lambda: leads(port))
        await pool.apply(engine="openai", external=external)
        await installation.apply(client, providers={"llm": [{"pool": "llm"}]})
        await pool.says("SecretNotFound")
        assert "spec.external.secretRef" in (await pool.condition())[2]

        async def held() -> str:
            secret = await client.get(SECRET, installation.namespace, "card-line-providers")
            data = ((secret or {}).get("data") or {}).get("llm") or ""
            return base64.b64decode(data).decode()

        for text in ("sk-first", "sk-rotated"):
            await client.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"namespace": installation.namespace, "name": "key"},
                    "stringData": {"apiKey": text},
                }
            )

            async def followed(text: str = text) -> bool:
                return await held() == text

            await until(followed)
        await pool.says("Unreachable")
    assert "sk-" not in (installation.folder / f"operator-{port}.log").read_text()
    for kind in (PROVIDER_POOL, VOICE_AGENT, CONFIG_MAP, DEPLOYMENT):
        assert "sk-" not in str(await installation.children(client, kind))


async def test_monitors_where_their_definition_is(
    installation: Installation, client: KubeClient
) -> None:
    pool = Pool(client, installation.namespace)
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        await pool.apply(**LLM)
        await pool.says("Pending")
        await client.apply(pod_monitors())

        async def monitored() -> bool:
            try:
                return await client.get(POD_MONITOR, installation.namespace, "llm-pool") is not None
            except NotFoundError:
                return False

        await until(monitored)


def pod_monitors() -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"}
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITION.api_version,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "podmonitors.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }
