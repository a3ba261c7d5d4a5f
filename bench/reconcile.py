"""How fast the operator makes a fleet, and what it costs: on a real kube-apiserver.

    bench/reconcile.py [--agents 200] [--quick] [--json FILE]

200 VoiceAgents are applied at once to a real API server without nodes (the control plane of the
integration tests); the time runs until every child exists and every status tells the truth:
observedGeneration current, numbers accepted, dispatcher synced, and Ready=False because no pod can
run. The floor in the same run: the same objects, applied by a plain client that does nothing else,
as many at once. Then the operator is started again: the time until it is in sync, and its writes,
of which there should be none. The SIP proxy is the fake one, in memory: what is measured is the
operator and Kubernetes.
"""

# ruff: noqa: E402, ASYNC240, ASYNC110 - paths first; a bench may block its own loop and poll

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests")]

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from callfleet_hack.control_plane import control_plane
from callfleet_operator.kube.certificates import Authority, Issuer, make_ca
from callfleet_operator.kube.client import KubeClient, Selection, list_all
from callfleet_operator.kube.connection import connect
from callfleet_operator.main import logs
from callfleet_operator.main.clock import SystemClock
from callfleet_operator.main.probe import HttpProbe
from callfleet_operator.main.process import OperatorProcess, close_process
from callfleet_operator.model import OperatorSettings, VoiceAgent
from callfleet_operator.policies.scaling import FleetPlan, RevisionPlan
from callfleet_operator.ports.kinds import DEPLOYMENT, VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Ref
from callfleet_operator.resources.desired import desired
from callfleet_operator.resources.facts import Facts, operator_facts
from callfleet_operator.resources.revision import revision_of
from fakes.proxy import FakeProxy

AT_ONCE = 16
CHILDREN = 9
LIMIT_S = 300.0
WRITES = ("APPLY", "PATCH", "POST", "PUT", "DELETE")


@dataclass
class Row:
    what: str
    seconds: float
    requests_per_agent: float
    cpu_s: float
    peak_rss_mib: float
    writes: int


def settings(port: int) -> OperatorSettings:
    return OperatorSettings.model_validate(
        {
            "agentImage": "localhost/callfleet/agent:dev",
            "httpPort": port,
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


def voice_agent(number: int, namespace: str) -> Manifest:
    return {
        "apiVersion": VOICE_AGENT.api_version,
        "kind": "VoiceAgent",
        "metadata": {"name": f"line-{number:04}", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "sip": {"numbers": [f"+1555{number:06}"]},
            "banking": {"url": "http://bank.example"},
        },
    }


# --- the operator, in a process of its own --------------------------------------------------------


async def operator(kubeconfig: Path, port: int, memory: Path) -> None:
    """The operator as it is, but for the proxy: what that holds outlives a restart in `memory`."""
    logs.configure(os.environ.get("CALLFLEET_LOG_LEVEL", "WARNING"))
    proxy = FakeProxy(set_ids=(1000, 9999))
    if memory.exists():
        held = json.loads(memory.read_text())
        proxy.sets, proxy.numbers, proxy.owners = held["sets"], held["numbers"], held["owners"]
    connection = await connect(kubeconfig)
    process = OperatorProcess(
        settings(port), connection, KubeClient(connection), HttpProbe(), {"default": proxy}
    )
    work = asyncio.create_task(process.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    await asyncio.wait([work])
    memory.write_text(
        json.dumps({"sets": proxy.sets, "numbers": proxy.numbers, "owners": proxy.owners})
    )
    await close_process(process)


@contextmanager
def running_operator(kubeconfig: Path, port: int, memory: Path) -> Iterator[psutil.Process]:
    command = [sys.executable, __file__, "--operator", str(kubeconfig), str(port), str(memory)]
    child = subprocess.Popen(command, cwd=ROOT)
    try:
        yield psutil.Process(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)


async def scrape(port: int) -> dict[str, float]:
    """The operator's metrics, summed over labels; verbs as kube_requests/VERB. At first empty."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as response,
        ):
            text = await response.text()
    except aiohttp.ClientError:
        return {}
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("callfleet_operator_").removesuffix("_total")
            if verb := sample.labels.get("verb"):
                name = f"{name}/{verb}"
            found[name] = found.get(name, 0.0) + sample.value
    return found


def requests_of(figures: dict[str, float], verbs: tuple[str, ...] | None = None) -> float:
    return sum(
        value
        for name, value in figures.items()
        if name.startswith("kube_requests/") and (verbs is None or name.split("/")[1] in verbs)
    )


def cost(process: psutil.Process) -> tuple[float, float]:
    """CPU seconds and the highest resident memory in MiB."""
    times = process.cpu_times()
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return times.user + times.system, int(peak.split()[1]) / 1024


# --- what is waited for ---------------------------------------------------------------------------


def is_true(agent: Manifest) -> bool:
    """The status tells what is so on a cluster where no pod can run."""
    status = agent.get("status") or {}
    generation = agent["metadata"]["generation"]
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    wanted = {
        "Ready": "False",
        "Progressing": "True",
        "DispatcherSynced": "True",
        "ProvidersReady": "True",
        "NumbersAccepted": "True",
    }
    return status.get("observedGeneration") == generation and all(
        conditions.get(kind, {}).get("status") == value
        and conditions[kind].get("observedGeneration") == generation
        for kind, value in wanted.items()
    )


async def until_true(client: KubeClient, namespace: str, count: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        page = await list_all(client, Selection(VOICE_AGENT, namespace))
        if sum(is_true(agent) for agent in page.items) == count:
            deployments = await list_all(
                client, Selection(DEPLOYMENT, namespace, metadata_only=True)
            )
            if len(deployments.items) == count:
                return
        await asyncio.sleep(0.25)
    raise SystemExit(f"not every status was true within {LIMIT_S:.0f} s")


async def at_once(work: list[Any]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Any) -> None:
        async with gate:
            await each

    await asyncio.gather(*(one(each) for each in work))


# --- the runs -------------------------------------------------------------------------------------


async def floor(client: KubeClient, agents: list[Manifest]) -> Row:
    """The same objects and status writes, by a client that decides nothing."""
    ready = [VoiceAgent.model_validate(agent, extra="ignore") for agent in agents]
    ca = make_ca("bench", time.time())
    issuer = Issuer(Authority(ca, ca.certificate), SystemClock())
    requests = sum(client.requests.values())
    cpu = time.process_time()
    began = time.monotonic()
    await at_once([_floor_one(client, issuer, agent) for agent in ready])
    seconds = time.monotonic() - began
    spent = sum(client.requests.values()) - requests
    _, peak = cost(psutil.Process())
    return Row(
        "floor: plain client", seconds, spent / len(agents), time.process_time() - cpu, peak, spent
    )


async def _floor_one(client: KubeClient, issuer: Issuer, agent: VoiceAgent) -> None:
    plan = FleetPlan({revision_of(agent): RevisionPlan("", "", wanted=1, replicas=1)})
    facts = Facts(operator_facts(settings(1), "default"), plan)
    ref = Ref(VOICE_AGENT, agent.metadata.namespace, agent.metadata.name)
    await client.patch(ref, {"metadata": {"finalizers": ["example.com/floor"]}})
    leaf = issuer.issue(ref.namespace, ref.name, None)
    for manifest in [*([leaf] if leaf else []), *desired(agent, {}, facts)]:
        await client.apply(manifest)
    for replicas in (0, 1):
        await client.patch(ref, {"status": {"replicas": replicas}}, subresource="status")


async def create(client: KubeClient, namespace: str, count: int) -> list[Manifest]:
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    await at_once([client.apply(voice_agent(number, namespace)) for number in range(count)])
    return (await list_all(client, Selection(VOICE_AGENT, namespace))).items


async def measure(kubeconfig: Path, count: int, port: int, memory: Path) -> list[Row]:
    connection = await connect(kubeconfig)
    async with KubeClient(connection) as client:
        await client.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "callfleet-system"}}
        )
        baseline = await floor(client, await create(client, "floor", count))
        for agent in (await list_all(client, Selection(VOICE_AGENT, "floor"))).items:
            ref = Ref(VOICE_AGENT, "floor", agent["metadata"]["name"])
            await client.patch(ref, {"metadata": {"finalizers": None}})
            await client.delete(ref)
        with running_operator(kubeconfig, port, memory) as process:
            while not (await scrape(port)).get("leader"):
                await asyncio.sleep(0.1)
            before = await scrape(port)
            cpu_before, _ = cost(process)
            began = time.monotonic()
            await create(client, "bank", count)
            await until_true(client, "bank", count)
            seconds = time.monotonic() - began
            await asyncio.sleep(2)
            after = await scrape(port)
            cpu, peak = cost(process)
            made = Row(
                "operator: apply to true",
                seconds,
                (requests_of(after) - requests_of(before)) / count,
                cpu - cpu_before,
                peak,
                int(after["writes"]),
            )
            cpu_idle, _ = cost(process)
            await asyncio.sleep(10)
            still = await scrape(port)
            idle = Row(
                "operator: idle for 10 s",
                10.0,
                (requests_of(still) - requests_of(after)) / count,
                cost(process)[0] - cpu_idle,
                cost(process)[1],
                int(still["writes"] - after["writes"]),
            )
        return [baseline, made, idle, await restarted(kubeconfig, count, port, memory)]


async def restarted(kubeconfig: Path, count: int, port: int, memory: Path) -> Row:
    began = time.monotonic()
    with running_operator(kubeconfig, port, memory) as process:
        while True:
            figures = await scrape(port)
            rounds = figures.get("reconcile_rounds", 0)
            if rounds >= count and not figures.get("queue_length") and figures["proxy_in_sync"]:
                break
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        await asyncio.sleep(3)
        figures = await scrape(port)
        cpu, peak = cost(process)
        return Row(
            "operator: restart to in sync",
            seconds,
            requests_of(figures) / count,
            cpu,
            peak,
            int(figures["writes"]),
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def table(rows: list[Row]) -> str:
    head = f"{'':30}{'seconds':>10}{'req/agent':>11}{'CPU s':>8}{'peak MiB':>10}{'writes':>8}"
    lines = [
        f"{row.what:30}{row.seconds:>10.2f}{row.requests_per_agent:>11.2f}{row.cpu_s:>8.2f}"
        f"{row.peak_rss_mib:>10.0f}{row.writes:>8}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def machine() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="10 agents: does it still work?")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--port", type=int, help="of the operator's metrics; default: a free one")
    parser.add_argument("--operator", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.operator:
        kubeconfig, port, memory = options.operator
        asyncio.run(operator(Path(kubeconfig), int(port), Path(memory)))
        return
    count = 10 if options.quick else options.agents
    about = machine()
    with TemporaryDirectory(prefix="callfleet-bench-") as folder:
        plane = Path(folder) / "plane"
        plane.mkdir()
        with control_plane(plane) as running:
            apply = ["kubectl", "--kubeconfig", str(running.kubeconfig), "apply", "--server-side"]
            subprocess.run([*apply, "-f", str(ROOT / "crds")], check=True, capture_output=True)
            time.sleep(3)
            rows = asyncio.run(
                measure(
                    running.kubeconfig,
                    count,
                    options.port or free_port(),
                    Path(folder) / "proxy.json",
                )
            )
    print(f"reconcile: {count} VoiceAgents, {CHILDREN} children each; {about}")
    print(table(rows))
    result = {"bench": "reconcile", "agents": count, "machine": about}
    result["rows"] = [asdict(row) for row in rows]
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
