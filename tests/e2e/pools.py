"""What the tests of pools on a cluster do over and over: pools, model servers, calls that go on."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from callfleet_hack.cache import REPOSITORY
from callfleet_hack.demo_models import ON_NODES
from callfleet_hack.platform import NAMESPACE, RELEASE, Platform
from e2e.fleet import SOFTPHONE, Fleet, Object, eventually

SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}}
CLAIM = "models"
VOICE: Object = {
    "engine": "piper",
    "model": {"uri": f"pvc://{CLAIM}/voice", "file": "recordings.onnx"},
    "resources": SMALL,
    "drainSeconds": 5,
}
RECOGNISER: Object = {
    "engine": "whisper",
    "model": {"uri": f"pvc://{CLAIM}/whisper"},
    "resources": SMALL,
    "drainSeconds": 5,
}
ONE_WORD: Object = RECOGNISER | {"engine": "vosk", "model": {"uri": f"pvc://{CLAIM}/vosk"}}
THINKER: Object = {
    "engine": "llamacpp",
    "model": {"uri": f"pvc://{CLAIM}/llama", "file": "tiny.gguf"},
    "extraArgs": ["--threads", "1", "--chat-template", "chatml"],
    "resources": SMALL,
    "drainSeconds": 5,
}
FAKES = REPOSITORY / "tests" / "fakes"
FILES = ("model_pod", "model_server")
MODEL_PORT = 8000


def agent_image(platform: Platform) -> str:
    """What the operator gives agents; it has the libraries that the model server needs."""
    found = platform.get("-n", NAMESPACE, "configmap", f"{RELEASE}-operator")
    return str(yaml.safe_load(found["data"]["operator.yaml"])["agentImage"])


def apply_pool(fleet: Fleet, name: str, **spec: Any) -> None:
    """A ProviderPool in the agent's namespace."""
    fleet.platform.apply(
        yaml.safe_dump(
            {
                "apiVersion": "callfleet.io/v1alpha1",
                "kind": "ProviderPool",
                "metadata": {"name": name, "namespace": fleet.namespace},
                "spec": spec,
            }
        )
    )


def status_of(fleet: Fleet, name: str) -> Object:
    found = fleet.platform.get("-n", fleet.namespace, "providerpool", name)
    status: Object = found.get("status", {})
    return status


def ready_of(fleet: Fleet, name: str) -> Object:
    """The condition Ready."""
    found = [c for c in status_of(fleet, name).get("conditions", []) if c["type"] == "Ready"]
    return found[0] if found else {}


def wait_reason(fleet: Fleet, name: str, reason: str, *, within_s: float = 60) -> Object:
    """Ready, when it has this reason."""

    def look() -> Object:
        ready = ready_of(fleet, name)
        return ready if ready.get("reason") == reason else {}

    return eventually(look, within_s=within_s, what=f"{reason} of {name}")


def wait_ready(fleet: Fleet, *names: str, timeout_s: int = 180) -> None:
    for name in names:
        fleet.platform.wait(
            f"providerpool/{name}", "Ready", namespace=fleet.namespace, timeout_s=timeout_s
        )


def kill_pods(fleet: Fleet, selector: str) -> None:
    """At once, as when their node dies."""
    fleet.platform.kubectl(
        "-n", fleet.namespace, "delete", "pods", "-l", selector, "--grace-period=0", "--force"
    )


def metric_of(fleet: Fleet, selector: str, name: str) -> float:
    """A metric without labels, summed over the pods."""
    found = fleet.platform.get("-n", fleet.namespace, "pods", "-l", selector)["items"]
    total = 0.0
    for pod in found:
        path = f"/api/v1/namespaces/{fleet.namespace}/pods/{pod['metadata']['name']}:8080"
        for line in fleet.platform.kubectl("get", "--raw", f"{path}/proxy/metrics").splitlines():
            if line.startswith(f"{name} "):
                total += float(line.split()[1])
    return total


def claim_models(fleet: Fleet) -> None:
    """The folder of the nodes as a claim: restricted pods may mount no path themselves."""
    volume = f"{fleet.namespace}-{CLAIM}"
    size = {"storage": "100Mi"}
    parts = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadOnlyMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": ON_NODES, "type": "Directory"},
                "claimRef": {"namespace": fleet.namespace, "name": CLAIM},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM, "namespace": fleet.namespace},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "",
                "volumeName": volume,
                "resources": {"requests": size},
            },
        },
    ]
    fleet.platform.apply(yaml.safe_dump_all(parts))


def release_models(fleet: Fleet) -> None:
    """The volume is of no namespace, so it does not go with the fleet's."""
    fleet.platform.kubectl(
        "delete", "pv", f"{fleet.namespace}-{CLAIM}", "--ignore-not-found", "--wait=false"
    )


def model_server(fleet: Fleet, name: str, *options: str) -> str:
    """tests/fakes/model_pod.py as a Deployment with a Service; its base URL, when it answers."""
    files = {f"{file}.py": (FAKES / f"{file}.py").read_text() for file in FILES}
    labels = {"app": name}
    container = {
        "name": "model",
        "image": agent_image(fleet.platform),
        "command": ["python", "-m", "fakes.model_pod", *options],
        "env": [{"name": "PYTHONPATH", "value": "/code"}],
        "ports": [{"containerPort": MODEL_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/v1/models", "port": MODEL_PORT},
            "periodSeconds": 1,
        },
        "resources": SMALL,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "code", "mountPath": "/code/fakes"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "code", "configMap": {"name": name}}],
    }
    spec: Object = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    ports = [{"port": 80, "targetPort": MODEL_PORT}]
    parts = [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": files},
        {"apiVersion": "v1", "kind": "Service", "spec": {"selector": labels, "ports": ports}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec},
    ]
    metadata = {"name": name, "namespace": fleet.namespace}
    fleet.platform.apply(yaml.safe_dump_all([part | {"metadata": metadata} for part in parts]))
    fleet.platform.kubectl(
        "-n", fleet.namespace, "rollout", "status", f"deployment/{name}", "--timeout=90s"
    )
    return f"http://{name}.{fleet.namespace}.svc/v1"


def logs_of(fleet: Fleet, name: str) -> str:
    return fleet.platform.kubectl("-n", fleet.namespace, "logs", f"deployment/{name}")


@dataclass
class Calling:
    """A call by our softphone that goes on; `lines` is what it shows of the turns, without what the
    agent says: recognising that would delay them.
    """

    process: subprocess.Popen[str]
    wav: Path
    lines: list[str] = field(default_factory=list)

    def read(self) -> None:
        """In a thread: a line counts when it is shown."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def shows(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def until(self, text: str, *, within_s: float = 60) -> None:
        eventually(lambda: self.shows(text), within_s=within_s, what=f"{text!r} in {self.lines}")

    def finished(self, *, within_s: float = 120) -> None:
        status = self.process.wait(within_s)
        assert status == 0, f"{status}: {self.lines}"


@contextmanager
def calling(fleet: Fleet, *turns: str) -> Iterator[Calling]:
    """A call, hung up when the block ends."""
    wav = fleet.scratch / "calling.wav"
    with subprocess.Popen(
        [SOFTPHONE, "call", fleet.uri, *turns, "--record", wav, "--no-text"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        call = Calling(process, wav)
        reader = threading.Thread(target=call.read, daemon=True)
        reader.start()
        try:
            yield call
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
            reader.join(10)
