"""The platform's services, an echo server and a bank, each in a process, on real stores."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import grpc
import psutil
import uvloop
from bench.meter import Meter

import callfleet_agent  # noqa: F401, says first what gRPC reads when it is imported
from callfleet_agent.app.platform import Platform
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.banking import CardStatus, DemoCard, DemoCustomer, serve_demo_bank
from callfleet_agent.identity import TlsFiles
from callfleet_agent.services.tls import server_credentials
from callfleet_agent.storage.sealing import make_keys
from identities import ISSUER, SERVICE, Authority, Tokens, channel
from ports import free_port
from stores import killable_postgres, killable_redis, migrated

# What is started from here starts programs that speak: as callfleet_agent.main has it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

START_LIMIT_S: Final = 300
LOOPBACK: Final = "127.0.0.1"


def on_one_core() -> None:
    """This process and the engines' processes that it has started."""
    process = psutil.Process()
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # one that has spoken its sentence is gone
            one.cpu_affinity([0])


def serve_platform(settings: PlatformSettings, pinned: bool, ready: Event) -> None:
    """A process of the platform."""

    async def serve() -> None:
        async with Platform(settings).running():
            if pinned:
                on_one_core()
            ready.set()
            await asyncio.Event().wait()

    uvloop.run(serve())


def serve_echo(tls: Path, port: int, ready: Event) -> None:
    """A process of grpc.aio with the same certificates and nothing else."""

    async def echo(request: bytes, _: object) -> bytes:
        return request

    async def echo_stream(requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def serve() -> None:
        server = grpc.aio.server()
        handlers = {
            "Echo": grpc.unary_unary_rpc_method_handler(echo),
            "EchoStream": grpc.stream_stream_rpc_method_handler(echo_stream),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("bench.Echo", handlers),)
        )
        server.add_secure_port(f"{LOOPBACK}:{port}", server_credentials(TlsFiles.in_folder(tls)))
        await server.start()
        ready.set()
        await asyncio.Event().wait()

    on_one_core()
    uvloop.run(serve())


def customer_of(number: int) -> str:
    """Each client's own: proofs of one customer that are under way count as tries."""
    return f"{300_000 + number}"


def serve_bank(port: int, customers: int, ready: Event) -> None:
    """The bank for demonstrations, with so many customers."""
    card = DemoCard(CardStatus.SHIPPED, "2026-11-20", "2026-11-25", "Royal Mail", "12345")
    known = [
        DemoCustomer(f"c-{number}", customer_of(number), "4271", "4271", f"+1555{number:05}", card)
        for number in range(customers)
    ]
    uvloop.run(serve_demo_bank(LOOPBACK, port, known, started=lambda _: ready.set()))


@dataclass(frozen=True, slots=True)
class Server:
    """One that serves, and who watches it."""

    port: int
    meter: Meter


@dataclass(frozen=True, slots=True)
class Rig:
    """Stores and a bank that run; certificates, tokens, and servers to be started."""

    authority: Authority
    tokens: Tokens
    folder: Path
    settings: dict[str, Any]

    @contextmanager
    def platform(self, *roles: str, pinned: bool = True) -> Iterator[Server]:
        """A process of these roles, on one core or on any."""
        port = free_port()
        settings = PlatformSettings(roles=roles, port=port, **self.settings)
        with started(serve_platform, settings, pinned) as meter:
            yield Server(port, meter)

    @contextmanager
    def echo(self) -> Iterator[Server]:
        """The baseline."""
        port = free_port()
        with started(serve_echo, self.settings["tls"], port) as meter:
            yield Server(port, meter)

    def channel(self, server: Server, identity: str) -> grpc.aio.Channel:
        """A connection of its own, with a certificate of its own."""
        files = self.authority.issue(self.folder / str(uuid4()), identity)
        return channel(server.port, files)


def _tied(serve: Callable[..., None], *arguments: object) -> None:
    """Serves, and dies with who started it, by whatever signal (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid == os.getppid():  # else it has died meanwhile
        serve(*arguments)


@contextmanager
def started(serve: Callable[..., None], *arguments: object) -> Iterator[Meter]:
    """A process that serves until the block ends; it is ready when this returns."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_tied, args=(serve, *arguments, ready))
    process.start()
    try:
        if not ready.wait(START_LIMIT_S):
            raise SystemExit(f"{serve.__name__} did not start")
        yield Meter.of(process.pid)
    finally:
        process.terminate()
        process.join(10)
        process.kill()


@contextmanager
def rigged(*, clients: int, calls: int) -> Iterator[Rig]:
    """PostgreSQL, Redis and a bank with a customer for each client; nobody is over a rate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        authority, tokens = Authority(), Tokens(folder / "jwks.json")
        tls = authority.issue(folder / "server", SERVICE).certificate.parent
        make_keys(folder / "sealing", "k1")
        bank = free_port()
        with (
            killable_postgres() as (_, database),
            killable_redis(folder / "redis") as (_, redis),
            started(serve_bank, bank, clients),
        ):
            with ThreadPoolExecutor(1) as thread:  # a loop may run in this one
                thread.submit(migrated, database).result()
            settings = {
                "tls": tls,
                "token_keys": tokens.path,
                "token_issuer": ISSUER,
                "database_url": database,
                "redis_url": redis,
                "sealing_keys": folder / "sealing",
                "bank_url": f"http://{LOOPBACK}:{bank}",
                "bind": LOOPBACK,
                "http_port": None,
                "per_minute": 6e7,
                "burst": 1e6,
                "agents_per_minute": 6e7,
                "calls": calls,
            }
            yield Rig(authority, tokens, folder, settings)
