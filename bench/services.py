"""Requests a second and latency of the stored services, and a plain echo server beside them.

    python bench/services.py [--seconds 5] [--clients 8]

Everything is real: mutual TLS, tokens, PostgreSQL and Redis of the bench's own. Server and load are
processes of their own; the baseline is grpc.aio with the same certificates and nothing else.
"""

# ruff: noqa: E402 - paths first

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests")]

import grpc
import psutil
import uvloop

import callfleet_agent  # noqa: F401, says first what gRPC reads when it is imported
from callfleet.v1 import context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc
from callfleet_agent.app.platform import Platform, PlatformSettings
from callfleet_agent.services.tls import TlsFiles, server_credentials
from callfleet_agent.storage.sealing import make_keys
from identities import AGENT, ISSUER, SERVICE, Authority, Tokens, channel
from stores import free_port, killable_postgres, killable_redis, migrated

Ask = Callable[[int], Awaitable[Any]]


def serve_platform(settings: PlatformSettings, ready: Event) -> None:
    async def serve() -> None:
        async with Platform(settings).running():
            ready.set()
            await asyncio.Event().wait()

    uvloop.run(serve())


def serve_echo(tls: Path, port: int, ready: Event) -> None:
    async def echo(request: bytes, _: object) -> bytes:
        return request

    async def serve() -> None:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(echo)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),)
        )
        server.add_secure_port(f"127.0.0.1:{port}", server_credentials(TlsFiles.in_folder(tls)))
        await server.start()
        ready.set()
        await asyncio.Event().wait()

    uvloop.run(serve())


async def load(ask: Ask, clients: int, seconds: float, server: psutil.Process) -> dict[str, Any]:
    """So many clients that ask one after the other."""
    took: list[float] = []
    ends = time.perf_counter() + seconds
    before = server.cpu_times()

    async def client(number: int) -> None:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            await ask(number)
            took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*map(client, range(clients)))
    after = server.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    took.sort()
    return {
        "per_second": round(len(took) / seconds),
        "per_core_second": round(len(took) / cpu_s),
        "p50_ms": round(took[len(took) // 2], 2),
        "p99_ms": round(took[int(len(took) * 0.99)], 2),
        "server_rss_mib": round(server.memory_info().rss / 2**20),
    }


async def asks(on: grpc.aio.Channel, clients: int, metadata: Any) -> dict[str, Ask]:
    """One kind of request after the other; each client has a session of its own."""
    sessions: Any = session_pb2_grpc.SessionManagerServiceStub(on)  # type: ignore[no-untyped-call]
    contexts: Any = context_pb2_grpc.ContextStoreServiceStub(on)  # type: ignore[no-untyped-call]
    message = context_pb2.ConversationMessage(
        role=context_pb2.ROLE_CALLER, content="where is my credit card"
    )

    async def create(_: int) -> Any:
        request = session_pb2.CallSession(sip_call_id=str(uuid4()), caller_phone="+15550100")
        return await sessions.CreateSession(request, metadata=metadata)

    made = [(await create(number)).session_id for number in range(clients)]

    async def get(number: int) -> Any:
        request = session_pb2.GetSessionRequest(session_id=made[number])
        return await sessions.GetSession(request, metadata=metadata)

    async def update(number: int) -> Any:
        request = context_pb2.ContextUpdateRequest(
            session_id=made[number], append=[message], request_id=str(uuid4())
        )
        return await contexts.UpdateContext(request, metadata=metadata)

    async def read(number: int) -> Any:
        request = context_pb2.ContextRequest(session_id=made[number], history_limit=10)
        return await contexts.GetContext(request, metadata=metadata)

    return {
        "CreateSession": create,
        "GetSession": get,
        "UpdateContext": update,
        "GetContext": read,
    }


async def measure(
    options: argparse.Namespace, ports: tuple[int, int], rig: tuple[Authority, Tokens, Path],
    pids: tuple[int, int],
) -> dict[str, Any]:  # fmt: skip
    authority, tokens, folder = rig
    files = authority.issue(folder / "agent", AGENT)
    results: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        plain: Any = await stack.enter_async_context(channel(ports[1], files))
        echo = plain.unary_unary("/bench.Echo/Echo")
        platform = await stack.enter_async_context(channel(ports[0], files))
        run = (options.clients, options.seconds)
        results["echo (baseline)"] = await load(
            lambda _: echo(b"x" * 100), *run, psutil.Process(pids[1])
        )
        for name, ask in (await asks(platform, options.clients, tokens.metadata(AGENT))).items():
            results[name] = await load(ask, *run, psutil.Process(pids[0]))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        authority, tokens = Authority(), Tokens(folder / "jwks.json")
        tls = authority.issue(folder / "server", SERVICE).certificate.parent
        make_keys(folder / "sealing", "k1")
        with killable_postgres() as (_, database), killable_redis(folder / "redis") as (_, redis):
            migrated(database)
            ports, ready = (free_port(), free_port()), (context.Event(), context.Event())
            settings = PlatformSettings(
                roles=("session-manager", "context-store"),
                tls=tls,
                token_keys=tokens.path,
                token_issuer=ISSUER,
                database_url=database,
                redis_url=redis,
                sealing_keys=folder / "sealing",
                bind="127.0.0.1",
                port=ports[0],
                http_port=None,
                agents_per_minute=6e7,
            )
            servers = (
                context.Process(target=serve_platform, args=(settings, ready[0]), daemon=True),
                context.Process(target=serve_echo, args=(tls, ports[1], ready[1]), daemon=True),
            )
            for server, event in zip(servers, ready, strict=True):
                server.start()
                assert event.wait(60)
            pids = (servers[0].pid or 0, servers[1].pid or 0)
            rig = (authority, tokens, folder)
            print(json.dumps(asyncio.run(measure(options, ports, rig, pids)), indent=2))
            for server in servers:
                server.kill()


if __name__ == "__main__":
    main()
