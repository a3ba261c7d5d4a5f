"""The runs of the operator: apply to true, idle, and restarted."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench.fleet.agents import create, until_true
from bench.fleet.floor import floor
from bench.fleet.operator_process import cost, requests_of, running_operator, scrape
from bench.fleet.row import Row

from callfleet_operator.kube.client import KubeClient, Selection, list_all
from callfleet_operator.kube.connection import connect
from callfleet_operator.ports.kinds import VOICE_AGENT
from callfleet_operator.ports.kube import Ref


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is measured, and where: `port` is that of the operator's metrics, `memory` what its
    proxy holds. `settle_s` after a run, `idle_s` without anything to do."""

    kubeconfig: Path
    count: int
    port: int
    memory: Path
    settle_s: float = 3.0
    idle_s: float = 10.0


async def measure(fleet: Fleet) -> list[Row]:
    """All of it, the floor first."""
    connection = await connect(fleet.kubeconfig)
    async with KubeClient(connection) as client:
        await client.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "callfleet-system"}}
        )
        rows = [await floor(client, await create(client, "floor", fleet.count))]
        for agent in (await list_all(client, Selection(VOICE_AGENT, "floor"))).items:
            ref = Ref(VOICE_AGENT, "floor", agent["metadata"]["name"])
            await client.patch(ref, {"metadata": {"finalizers": None}})
            await client.delete(ref)
        with running_operator(fleet.kubeconfig, fleet.port, fleet.memory) as process:
            while not (await scrape(fleet.port)).get("leader"):  # noqa: ASYNC110, it is polled
                await asyncio.sleep(0.1)
            rows.append(await _made(fleet, client, process))
            rows.append(await _idle(fleet, process))
    return [*rows, await _restarted(fleet)]


async def _made(fleet: Fleet, client: KubeClient, process: psutil.Process) -> Row:
    before = await scrape(fleet.port)
    cpu_before, _ = cost(process)
    began = time.monotonic()
    await create(client, "bank", fleet.count)
    await until_true(client, "bank", fleet.count)
    seconds = time.monotonic() - began
    await asyncio.sleep(fleet.settle_s)
    after = await scrape(fleet.port)
    cpu, peak = cost(process)
    return Row(
        "operator: apply to true",
        seconds,
        (requests_of(after) - requests_of(before)) / fleet.count,
        cpu - cpu_before,
        peak,
        int(after["writes"]),
    )


async def _idle(fleet: Fleet, process: psutil.Process) -> Row:
    before = await scrape(fleet.port)
    cpu_before, _ = cost(process)
    await asyncio.sleep(fleet.idle_s)
    after = await scrape(fleet.port)
    cpu, peak = cost(process)
    return Row(
        f"operator: idle for {fleet.idle_s:g} s",
        fleet.idle_s,
        (requests_of(after) - requests_of(before)) / fleet.count,
        cpu - cpu_before,
        peak,
        int(after["writes"] - before["writes"]),
    )


async def _restarted(fleet: Fleet) -> Row:
    began = time.monotonic()
    with running_operator(fleet.kubeconfig, fleet.port, fleet.memory) as process:
        while True:
            figures = await scrape(fleet.port)
            if _is_in_sync(figures, fleet.count):
                break
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        await asyncio.sleep(fleet.settle_s)
        figures = await scrape(fleet.port)
        cpu, peak = cost(process)
        return Row(
            "operator: restart to in sync",
            seconds,
            requests_of(figures) / fleet.count,
            cpu,
            peak,
            int(figures["writes"]),
        )


def _is_in_sync(figures: dict[str, float], count: int) -> bool:
    looked_at = figures.get("reconcile_rounds", 0) >= count and not figures.get("queue_length")
    return looked_at and bool(figures["proxy_in_sync"])
