"""The VoiceAgents of a measurement: made, and waited for until all that is said of them is true."""

import asyncio
import time
from typing import Any, Final

from callfleet_operator.kube.client import KubeClient, Selection, list_all
from callfleet_operator.ports.kinds import DEPLOYMENT, VOICE_AGENT, Manifest

AT_ONCE: Final = 16
LIMIT_S: Final = 300.0


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


async def at_once(work: list[Any]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Any) -> None:
        async with gate:
            await each

    await asyncio.gather(*(one(each) for each in work))


async def create(client: KubeClient, namespace: str, count: int) -> list[Manifest]:
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    await at_once([client.apply(voice_agent(number, namespace)) for number in range(count)])
    return (await list_all(client, Selection(VOICE_AGENT, namespace))).items


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
