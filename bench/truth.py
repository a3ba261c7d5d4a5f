"""How long `kubectl get voiceagents` says something that is no longer so: on a real kube-apiserver.

    bench/truth.py [--changes 120] [--quick] [--json FILE]

Pods become unready and ready through the API, by a stand-in for the kubelets, and say how many
calls they have, by the control service on real sockets. Measured is the time from the request
that changes a pod to the first event of a watch in which status.readyReplicas, status.capacity and
the condition Ready all tell it (limit 2 s), and from a report of calls to status.calls, which is
written every 15 s at most (limit 15 s, and the 2 s). The baseline in the same run: a process that
watches pods, counts, and patches the same status, with nothing to decide. The SIP proxy is the fake
one.
"""

# ruff: noqa: E402, ASYNC110, ASYNC220 - paths first; a bench may block its own loop and poll

import argparse
import asyncio
import base64
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "hack"), str(ROOT / "tests")]

import grpc
from bench.report import commit, load, machine, percentile, show

from callfleet.v1 import fleet_pb2_grpc
from callfleet_hack.control_plane import control_plane
from callfleet_operator.kube.client import KubeClient, Selection, list_all
from callfleet_operator.kube.connection import connect
from callfleet_operator.main import logs
from callfleet_operator.main.probe import HttpProbe
from callfleet_operator.main.process import OperatorProcess, close_process
from callfleet_operator.model import OperatorSettings
from callfleet_operator.pods.dial import CONTROL_PORT
from callfleet_operator.ports.errors import KubeError
from callfleet_operator.ports.kinds import DEPLOYMENT, POD, SECRET, VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Ref
from callfleet_operator.reconcile.keys import AGENT_LABEL
from callfleet_operator.reconcile.views import GATE
from fakes.agent_pod import FakeAgentPod
from fakes.proxy import FakeProxy

BANK, FLOOR, SYSTEM = "bank", "floor", "callfleet-system"
PODS, CAPACITY = 3, 20
LIMIT_S, CALLS_LIMIT_S, GIVE_UP_S = 2.0, 15.0 + 2.0, 60.0


# --- the two processes that are compared ----------------------------------------------------------


async def operator(kubeconfig: Path) -> None:
    """The operator as it is, but for the proxy."""
    logs.configure("ERROR")
    settings = OperatorSettings.model_validate(
        {
            "agentImage": "localhost/callfleet/agent:dev",
            "namespace": SYSTEM,
            "watchNamespaces": [BANK],
            "httpPort": free_port(),
            "proxies": [
                {
                    "name": "default",
                    "driver": "kamailio",
                    "endpoints": ["http://127.0.0.1:5066/RPC"],
                    "databaseUrlFile": "/nowhere/url",
                    "sipAddress": "127.0.0.1:5060",
                }
            ],
        }
    )
    connection = await connect(kubeconfig)
    client, proxy = KubeClient(connection), FakeProxy(probe_s=0.1)
    process = OperatorProcess(settings, connection, client, HttpProbe(), {"default": proxy})
    work = asyncio.create_task(process.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    await asyncio.wait([work])
    await close_process(process)


async def bare_watcher(kubeconfig: Path) -> None:
    """Counts ready pods and patches the status, and that is all."""
    ready: dict[str, dict[str, bool]] = {}
    async with KubeClient(await connect(kubeconfig)) as client:
        async for pod in watched(client, Selection(POD, FLOOR)):
            agent = pod["metadata"]["labels"][AGENT_LABEL]
            ready.setdefault(agent, {})[pod["metadata"]["name"]] = bool(holds(pod, "Ready"))
            status = {"readyReplicas": sum(ready[agent].values())}
            await client.patch(
                Ref(VOICE_AGENT, FLOOR, agent), {"status": status}, subresource="status"
            )


@asynccontextmanager
async def child(role: str, kubeconfig: Path) -> AsyncIterator[None]:
    command = [sys.executable, __file__, "--role", role, str(kubeconfig)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


async def watched(client: KubeClient, selection: Selection) -> AsyncIterator[Manifest]:
    """What there is, and every change of it; also of a kind that is only just being served."""
    while True:
        with suppress(KubeError):
            page = await list_all(client, selection)
            for item in page.items:
                yield item
            async for event in client.watch(selection, page.resource_version, timeout_s=3600):
                if event.type in ("ADDED", "MODIFIED"):
                    yield event.object
        await asyncio.sleep(0.2)


# --- the cluster's side ---------------------------------------------------------------------------


def holds(item: Manifest, kind: str) -> bool | None:
    found = (item.get("status") or {}).get("conditions", ())
    return next((each["status"] == "True" for each in found if each["type"] == kind), None)


@dataclass
class Cluster:
    """ReplicaSets, kubelets and a person who watches, as one process."""

    client: KubeClient
    agents: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    pods: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    reporting: dict[str, FakeAgentPod] = field(default_factory=dict)
    _servers: list[grpc.aio.Server] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def look(self, kind: Any, namespace: str, into: dict[tuple[str, str], Manifest]) -> None:
        async for item in watched(self.client, Selection(kind, namespace)):
            into[namespace, item["metadata"]["name"]] = item
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def until(self, told: Callable[..., bool], *of: Any) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while not told(*of):
                    await self._news.wait()
        except TimeoutError:
            seen = {name: item.get("status") for name, item in self.agents.items()}
            raise SystemExit(f"{told.__name__}{of} did not come true: {seen}") from None

    async def make_pod(self, namespace: str, agent: str, name: str, template: Manifest) -> None:
        await self.client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": namespace,
                    "name": name,
                    "labels": template["metadata"]["labels"],
                },
                "spec": template["spec"],
            }
        )
        await self.until(self.there, namespace, name)
        # Each has an address of its own on loopback, where its control service listens.
        host = f"127.{random.randint(64, 126)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        if namespace == BANK:
            await self._serve(agent, self.pods[namespace, name]["metadata"]["uid"], host)
        await self.say(namespace, name, {"ContainersReady": True}, host)

    async def _serve(self, agent: str, uid: str, host: str) -> None:
        secret = await self.client.get(SECRET, BANK, f"{agent}-tls")
        assert secret is not None
        data = {name: base64.b64decode(value) for name, value in secret["data"].items()}
        fake = self.reporting[uid] = FakeAgentPod(uid, capacity=CAPACITY)
        server = grpc.aio.server()
        self._servers.append(server)
        fleet_pb2_grpc.add_AgentPodServiceServicer_to_server(fake, server)  # type: ignore[no-untyped-call]
        pair = [(data["tls.key"], data["tls.crt"])]
        credentials = grpc.ssl_server_credentials(pair, data["ca.crt"], require_client_auth=True)
        server.add_secure_port(f"{host}:{CONTROL_PORT}", credentials)
        await server.start()

    async def say(self, namespace: str, name: str, told: dict[str, bool], host: str = "") -> None:
        """What a kubelet says of a pod."""
        conditions = [{"type": kind, "status": str(value)} for kind, value in told.items()]
        status: Manifest = {"phase": "Running", "conditions": conditions}
        if host:
            status |= {"podIP": host, "podIPs": [{"ip": host}]}
        ref = Ref(POD, namespace, name)
        await self.client.patch(ref, {"status": status}, subresource="status", strategic=True)

    def of(self, namespace: str, agent: str) -> list[Manifest]:
        return [
            pod
            for (space, _), pod in self.pods.items()
            if space == namespace and pod["metadata"]["labels"].get(AGENT_LABEL) == agent
        ]

    def told(self, namespace: str, agent: str, ready: int) -> bool:
        item = self.agents.get((namespace, agent), {})
        status = item.get("status") or {}
        if status.get("readyReplicas") != ready:
            return False
        right = holds(item, "Ready") is (ready == PODS)
        return namespace == FLOOR or (right and status.get("capacity") == ready * CAPACITY)

    async def flips(self, namespace: str, agent: str, count: int) -> dict[str, list[float]]:
        """One pod after the other becomes unready and ready again: seconds until that is told."""
        taken: dict[str, list[float]] = {"unready": [], "ready": []}
        names = [pod["metadata"]["name"] for pod in self.of(namespace, agent)]
        for number in range(count // 2):
            name = names[number % len(names)]
            for up in (False, True):
                if up:
                    await self.say(namespace, name, {"ContainersReady": True})
                    await self.until(self.gated, namespace, name)
                else:
                    await self.say(namespace, name, {"Ready": True})
                began = time.monotonic()
                changed = {"Ready": True} if up else {"ContainersReady": False, "Ready": False}
                await self.say(namespace, name, changed)
                ready = PODS if up else PODS - 1
                await self.until(self.told, namespace, agent, ready)
                taken["ready" if up else "unready"].append(time.monotonic() - began)
                await asyncio.sleep(random.uniform(0.05, 0.5))
        return taken

    def there(self, namespace: str, name: str) -> bool:
        return (namespace, name) in self.pods

    def gated(self, namespace: str, name: str) -> bool:
        return namespace == FLOOR or bool(holds(self.pods[namespace, name], GATE))

    def counted(self, agent: str, calls: int) -> bool:
        return bool(self.agents[BANK, agent]["status"].get("calls") == calls)

    async def calls(self, agent: str, count: int) -> list[float]:
        """A pod says another number of calls, at any moment of the column's 15 s."""
        (first, *_) = self.of(BANK, agent)
        fake, taken = self.reporting[first["metadata"]["uid"]], []
        for number in range(1, count + 1):
            await asyncio.sleep(random.uniform(0.0, 10.0))
            began = time.monotonic()
            fake.say(calls=number)
            await self.until(self.counted, agent, number)
            taken.append(time.monotonic() - began)
        return taken


# --- the run --------------------------------------------------------------------------------------


async def populate(cluster: Cluster, agents: list[str]) -> None:
    client = cluster.client
    for number, agent in enumerate(agents):
        for namespace in (BANK, FLOOR):
            await client.apply(
                {
                    "apiVersion": VOICE_AGENT.api_version,
                    "kind": "VoiceAgent",
                    "metadata": {"name": agent, "namespace": namespace},
                    "spec": {
                        "replicas": PODS,
                        "sip": {"numbers": [f"+1555{number:06}"]},
                        "banking": {"url": "http://bank.example"},
                    },
                }
            )
    for agent in agents:
        while not (made := await deployments(client, agent)):
            await asyncio.sleep(0.1)
        template = made[0]["spec"]["template"]
        for number in range(PODS):
            for namespace in (BANK, FLOOR):
                await cluster.make_pod(namespace, agent, f"{agent}-{number}", template)
    for namespace, name in list(cluster.pods):
        await cluster.until(cluster.gated, namespace, name)
        await cluster.say(namespace, name, {"Ready": True})
    for namespace, agent in cluster.agents:
        await cluster.until(cluster.told, namespace, agent, PODS)


async def deployments(client: KubeClient, agent: str) -> list[Manifest]:
    found = (await list_all(client, Selection(DEPLOYMENT, BANK))).items
    return [item for item in found if item["metadata"]["labels"].get(AGENT_LABEL) == agent]


async def measure(kubeconfig: Path, agents: list[str], changes: int, calls: int) -> list[Any]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(KubeClient(await connect(kubeconfig)))
        for name in (BANK, FLOOR, SYSTEM):
            await client.create(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            )
        await stack.enter_async_context(child("operator", kubeconfig))
        await stack.enter_async_context(child("bare", kubeconfig))
        cluster = Cluster(client)
        looks = [
            asyncio.create_task(cluster.look(kind, namespace, into))
            for namespace in (BANK, FLOOR)
            for kind, into in ((VOICE_AGENT, cluster.agents), (POD, cluster.pods))
        ]
        try:
            await populate(cluster, agents)
            each = max(2, changes // len(agents))
            rows = []
            for namespace, who in ((FLOOR, "bare watcher (baseline)"), (BANK, "operator")):
                flips = await asyncio.gather(*(cluster.flips(namespace, a, each) for a in agents))
                for what in ("unready", "ready"):
                    taken = [value for one in flips for value in one[what]]
                    rows.append(row(f"{who}: pod {what}", taken, LIMIT_S))
            counts = await asyncio.gather(*(cluster.calls(a, calls) for a in agents))
            told = [value for one in counts for value in one]
            return [*rows, row("operator: calls", told, CALLS_LIMIT_S)]
        finally:
            for task in looks:
                task.cancel()
            await asyncio.gather(*looks, return_exceptions=True)


def row(what: str, taken: list[float], limit_s: float) -> dict[str, Any]:
    told = {f"p{percent}_ms": percentile(taken, percent) * 1000 for percent in (50, 95)}
    late = sum(value > limit_s for value in taken)
    return {
        "what": what,
        "changes": len(taken),
        **told,
        "max_ms": max(taken) * 1000,
        "limit_ms": limit_s * 1000,
        "late": late,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--changes", type=int, default=120, help="of readiness, for each of both")
    parser.add_argument("--quick", action="store_true", help="a few: does it still work?")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--role", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        role, kubeconfig = options.role
        asyncio.run({"operator": operator, "bare": bare_watcher}[role](Path(kubeconfig)))
        return
    agents = [f"line-{number}" for number in range(2 if options.quick else 5)]
    changes, calls = (8, 1) if options.quick else (options.changes, 6)
    about = machine()
    with (
        TemporaryDirectory(prefix="callfleet-bench-") as folder,
        control_plane(Path(folder)) as running,
    ):
        apply = ["kubectl", "--kubeconfig", str(running.kubeconfig), "apply", "--server-side"]
        subprocess.run([*apply, "-f", str(ROOT / "crds")], check=True, capture_output=True)
        time.sleep(3)
        rows = asyncio.run(measure(running.kubeconfig, agents, changes, calls))
    facts = {**about, "load_after": load(), "agents": len(agents), "pods": PODS * len(agents)}
    show("truth", facts, rows)
    if options.json:
        result = {"bench": "truth", "commit": commit(), **facts, "rows": rows}
        options.json.write_text(json.dumps(result, indent=2))
    if not options.quick and any(each["late"] for each in rows):
        raise SystemExit("some changes were told later than the limit")


if __name__ == "__main__":
    main()
