"""FakeControllers: what Kubernetes does with Deployments and pods, as far as the operator sees it.

Pods get an address and run after `start_s`; Ready is containers and gate together; of too many,
the ReplicaSet's order decides (not ready before ready, then the lower deletion cost, then the
younger); a deleted pod terminates for `grace_s`, or until `finish(pod)` is called. Pods that are
`stuck` do not run; of those that are `late` the kubelet does not tell whether they are ready.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from callfleet_operator.ports.kinds import DEPLOYMENT, POD, Manifest
from fakes.kube import FakeKube
from fakes.virtual_time import EPOCH

AGENT_LABEL = "callfleet.io/agent"
GATE = "callfleet.io/in-dispatcher"
COST = "controller.kubernetes.io/pod-deletion-cost"
_TICK_S = 0.05


@dataclass
class FakeControllers:
    kube: FakeKube
    start_s: float = 0.5
    grace_s: float = 5.0
    numbers: int = 0
    addresses: int = 0
    stuck: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)
    _done: tuple[int, frozenset[str]] = (0, frozenset())
    _runs_at: dict[str, float] = field(default_factory=dict)
    _ends: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            now = asyncio.get_running_loop().time()
            told = frozenset(self.stuck | self.late)
            if (self.kube.version, told) != self._done or now >= self._due(now):
                self.step(now)
                self._done = (self.kube.version, told)
            await asyncio.sleep(_TICK_S)

    def step(self, now: float) -> None:
        for pod in self.kube.view(POD):
            self._age(pod, now)
        for deployment in self.kube.view(DEPLOYMENT):
            self._scale(deployment, now)
        wanted = {item["metadata"]["uid"] for item in self.kube.view(DEPLOYMENT)}
        for pod in self.kube.view(POD):
            if pod["metadata"]["ownerReferences"][0]["uid"] not in wanted:
                self.delete(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def delete(self, namespace: str, name: str) -> None:
        """As `kubectl delete pod`: it terminates."""
        pod = self.kube.peek(POD, namespace, name)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return
        now = asyncio.get_running_loop().time()
        self._ends[name] = now + self.grace_s
        self.deleted.append(name)
        self.kube.update(
            POD,
            namespace,
            name,
            metadata={
                "deletionTimestamp": _time(now + self.grace_s),
                "deletionGracePeriodSeconds": self.grace_s,
            },
        )

    def finish(self, namespace: str, name: str) -> None:
        """Its process exited."""
        self.kube.remove(POD, namespace, name)

    def _due(self, now: float) -> float:
        """When something happens by itself."""
        times = [*self._runs_at.values(), *self._ends.values()]
        return min((time for time in times if time > now - 2 * _TICK_S), default=float("inf"))

    def _age(self, pod: Manifest, now: float) -> None:
        metadata, name = pod["metadata"], pod["metadata"]["name"]
        if metadata.get("deletionTimestamp"):
            if now >= self._ends.get(name, now):
                self.kube.remove(POD, metadata["namespace"], name)
            return
        running = now >= self._runs_at.get(name, 0) and name not in self.stuck
        conditions = {
            item["type"]: item["status"] for item in (pod.get("status") or {}).get("conditions", ())
        }
        gated = AGENT_LABEL in metadata["labels"]
        ready = running and (not gated or conditions.get(GATE) == "True")
        if name in self.late:
            ready = conditions.get("Ready") == "True"
        told = {"ContainersReady": str(running), "Ready": str(ready)}
        if any(conditions.get(key) != value for key, value in told.items()):
            self.kube.update(
                POD,
                metadata["namespace"],
                name,
                status={
                    "phase": "Running" if running else "Pending",
                    "conditions": [{"type": key, "status": value} for key, value in told.items()],
                },
            )

    def _scale(self, deployment: Manifest, now: float) -> None:
        pods = self._pods_of(deployment)
        alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        wanted = deployment["spec"]["replicas"]
        for _ in range(wanted - len(alive)):
            self._make(deployment, now)
        for pod in sorted(alive, key=_order)[: max(0, len(alive) - wanted)]:
            self.delete(pod["metadata"]["namespace"], pod["metadata"]["name"])
        alive = [
            pod for pod in self._pods_of(deployment) if not pod["metadata"].get("deletionTimestamp")
        ]
        status: dict[str, Any] = {
            "replicas": len(alive),
            "readyReplicas": sum(_ready(pod) for pod in alive),
            "observedGeneration": deployment["metadata"]["generation"],
        }
        if (deployment.get("status") or {}) != status:
            metadata = deployment["metadata"]
            self.kube.update(DEPLOYMENT, metadata["namespace"], metadata["name"], status=status)

    def _pods_of(self, deployment: Manifest) -> list[Manifest]:
        uid = deployment["metadata"]["uid"]
        return [
            pod
            for pod in self.kube.view(POD, deployment["metadata"]["namespace"])
            if pod["metadata"]["ownerReferences"][0]["uid"] == uid
        ]

    def _make(self, deployment: Manifest, now: float) -> None:
        self.numbers += 1
        self.addresses += 1
        name = f"{deployment['metadata']['name']}-{self.numbers}"
        self._runs_at[name] = now + self.start_s
        self.kube.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": deployment["metadata"]["namespace"],
                    "name": name,
                    **deployment["spec"]["template"]["metadata"],
                    "ownerReferences": [{"uid": deployment["metadata"]["uid"]}],
                },
                "spec": {"nodeName": "node-1"},
                "status": {
                    "phase": "Pending",
                    "podIP": f"10.0.{self.addresses // 250}.{self.addresses % 250 + 1}",
                    "conditions": [],
                },
            }
        )


def _ready(pod: Manifest) -> bool:
    return any(
        item["type"] == "Ready" and item["status"] == "True"
        for item in pod["status"].get("conditions", ())
    )


def _order(pod: Manifest) -> tuple[bool, int, str]:
    annotations = pod["metadata"].get("annotations") or {}
    return (_ready(pod), int(annotations.get(COST, 0)), pod["metadata"]["creationTimestamp"])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(EPOCH + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
