"""The operator in a process of its own, on a proxy in memory; what it counts and costs."""

# ruff: noqa: ASYNC240 - its loop may wait for a small file

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from callfleet_operator.kube.client import KubeClient
from callfleet_operator.kube.connection import connect
from callfleet_operator.main import logs
from callfleet_operator.main.probe import HttpProbe
from callfleet_operator.main.process import OperatorProcess, close_process
from callfleet_operator.model import OperatorSettings
from fakes.proxy import FakeProxy

ROOT = Path(__file__).resolve().parent.parent.parent


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
    command = [sys.executable, sys.argv[0], "--operator", str(kubeconfig), str(port), str(memory)]
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
