"""Requests under load: how many a second, how fast, and what the server takes for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench.meter import Meter
from bench.platform.clients import Clients, clients_of
from bench.platform.requests import Make, Subjects, requests_of
from bench.platform.servers import Rig, Server
from bench.report import percentile

from callfleet.v1 import llm_pb2
from identities import AGENT

Ask = Callable[[int], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Load:
    """So many clients that ask one after the other, for so long."""

    clients: int
    seconds: float

    async def row(self, name: str, ask: Ask, meter: Meter) -> dict[str, Any]:
        """What came of it."""
        took: list[float] = []
        await ask(0)  # connections and statements are prepared
        before, ends = meter.cpu_s(), time.perf_counter() + self.seconds

        async def client(number: int) -> None:
            while time.perf_counter() < ends:
                began = time.perf_counter()
                await ask(number)
                took.append((time.perf_counter() - began) * 1000)

        await asyncio.gather(*map(client, range(self.clients)))
        return {
            "rpc": name,
            "per_second": round(len(took) / self.seconds),
            "per_core_second": round(len(took) / max(1e-9, meter.cpu_s() - before)),
            "p50_ms": round(percentile(took, 50), 2),
            "p99_ms": round(percentile(took, 99), 2),
            "rss_mib": round(meter.rss_mib()),
        }


async def of_echo(rig: Rig, server: Server, load: Load) -> list[dict[str, Any]]:
    """The baseline."""
    async with rig.channel(server, AGENT) as channel:
        plain: Any = channel
        echo = plain.unary_unary("/bench.Echo/Echo")

        async def echoed(_: int) -> Any:
            return await echo(b"x" * 100)

        return [await load.row("echo (baseline)", echoed, server.meter)]


async def of_platform(rig: Rig, server: Server, load: Load) -> list[dict[str, Any]]:
    """Every unary RPC, and the one that is asked like a unary: text to text."""
    async with clients_of(rig, server) as clients:
        subjects = await Subjects.made(clients, load.clients)
        asks = {
            name: _asker(clients.rpc(*name.split("/")), make)
            for name, make in requests_of(subjects).items()
        }
        asks["LLMService/ProcessText"] = await _answers(clients, load.clients)
        return [await load.row(name, ask, server.meter) for name, ask in asks.items()]


def _asker(rpc: Callable[[Any], Any], make: Make) -> Ask:
    async def ask(number: int) -> Any:
        return await rpc(make(number))

    return ask


async def _answers(clients: Clients, count: int) -> Ask:
    mine = [await clients.session() for _ in range(count)]
    process = clients.rpc("LLMService", "ProcessText", "unary_stream")

    async def ask(number: int) -> None:
        request = llm_pb2.TextProcessingRequest(text="hello", session_id=mine[number])
        async for _ in process(request):
            pass

    return ask
