"""CA, certificates, tokens and their keys change under constant calls, and no call fails.

The operator's process on a real kube-apiserver issues them; the services run as a process of their
own on real stores, and read what a kubelet would mount, late.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import jwt
import pytest
from cryptography import x509

from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.identity import FollowingChannel, TlsFiles, TokenFile
from callfleet_operator.kube.client import KubeClient
from callfleet_operator.kube.connection import connect
from callfleet_operator.ports.kinds import SERVICE
from mounted import Mount
from platform_rig import session_manager
from ports import free_port
from running_operator import LIMIT_S, Installation, http, until
from stores import Server

ROOT = Path(__file__).resolve().parents[2]
NAME = "callfleet-session-manager"
# Two minutes' worth of everything, scaled: CAs change every 48 s, keys every 40 s, certificates are
# renewed after 26 s and tokens after 14 s. Whoever is late by some seconds is still in time.
LIVES = {
    "caSeconds": 100, "leafSeconds": 40, "tokenSeconds": 40, "tokenKeySeconds": 40,
    "settleSeconds": 12,
}  # fmt: skip
CALLS_FOR_S, CALLS_AT_MOST_S = 120.0, 400.0
SERVER_LAG_S, CLIENT_LAG_S = 2.0, 1.0
OPTIONS = (("grpc.ssl_target_name_override", NAME),)


@pytest.fixture
async def client(crds: None, apiserver: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient(await connect(apiserver), timeout_s=LIMIT_S) as client:
        yield client


@dataclass
class Caller:
    """An agent that asks for the same session, over and over."""

    address: str
    folder: Path
    session: str = ""
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.files = TlsFiles.in_folder(self.folder)
        self.token = TokenFile(self.folder / "token.session-manager")

    def channel(self) -> FollowingChannel:
        return FollowingChannel(self.address, self.files, options=OPTIONS, linger_s=90)

    async def begin(self) -> None:
        """A session, as soon as the services are there."""
        channel = self.channel()
        request = session_pb.CallSession(sip_call_id=f"{uuid4()}@phone")
        answer = await session_manager(channel.channel()).CreateSession(
            request, metadata=self.metadata(), timeout=60, wait_for_ready=True
        )
        self.session = answer.session_id
        await channel.close()

    async def call(self, pause_s: float, *, anew: bool) -> None:
        """Until cancelled; `anew`: with a handshake for each call."""
        kept = self.channel()
        try:
            while True:
                channel = self.channel() if anew else kept
                await self._ask(channel)
                if anew:
                    await channel.close()
                await asyncio.sleep(pause_s)
        finally:
            await kept.close()

    async def _ask(self, channel: FollowingChannel) -> None:
        request: Any = session_pb.GetSessionRequest(session_id=self.session)
        try:
            await session_manager(channel.channel()).GetSession(
                request, metadata=self.metadata(), timeout=60
            )
        except grpc.aio.AioRpcError as error:
            self.answers[f"{error.code().name}: {error.details()}"] += 1
        else:
            self.answers["OK"] += 1

    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token.text()}"),)


@contextmanager
def serving(folder: Path, database: str, redis: str, port: int, http_port: int) -> Iterator[Path]:
    program = [sys.executable, "-m", "callfleet_agent.main"]
    for words in (
        ["storage", "migrate", "--database-url", database],
        ["storage", "new-key", "k1", "--sealing-keys", str(folder / "sealing")],
    ):
        subprocess.run([*program, *words], check=True, capture_output=True)
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *program, "serve", "session-manager", "--bind", "127.0.0.1", "--port", str(port),
                "--http-port", str(http_port), "--tls", str(folder / "service"),
                "--token-keys", str(folder / "keys" / "jwks.json"),
                "--sealing-keys", str(folder / "sealing"),
                "--database-url", database, "--redis-url", redis,
            ],
            stderr=output, stdout=output,
        )  # fmt: skip
        try:
            yield log
        finally:
            process.terminate()
            process.wait(timeout=LIMIT_S)


@asynccontextmanager
async def background(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def distinct(mount: Mount, file: str, read: Any) -> int:
    return len({read(files[file]) for files in mount.seen})


def issuer_of(pem: bytes) -> object:
    return x509.load_pem_x509_certificate(pem).issuer


def key_of(token: bytes) -> object:
    return jwt.get_unverified_header(token.decode())["kid"]


def settings(system: str) -> dict[str, object]:
    return {
        "identities": LIVES,
        "platform": {
            "sessionManager": f"{NAME}.{system}.svc:7443",
            "services": [{"role": "session-manager", "service": NAME}],
        },
    }


@pytest.mark.drill
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nobody_is_refused_while_everything_changes(
    client: KubeClient, apiserver: Path, tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    installation = Installation(apiserver, tmp_path)
    await installation.prepare(client)
    system, bank = installation.system, installation.namespace
    await client.create(
        {"apiVersion": "v1", "kind": SERVICE.kind,
         "metadata": {"namespace": system, "name": NAME}, "spec": {"ports": [{"port": 7443}]}}
    )  # fmt: skip
    await installation.apply(client)
    service = Mount(client, system, tmp_path / "service", (f"{NAME}-tls",), lag_s=SERVER_LAG_S)
    keys = Mount(
        client, system, tmp_path / "keys", (), ("callfleet-token-keys",), lag_s=SERVER_LAG_S
    )
    agent = Mount(
        client, bank, tmp_path / "agent", ("card-line-tls", "card-line-tokens"), lag_s=CLIENT_LAG_S
    )
    mounts = (service, keys, agent)
    port, http_port = free_port(), free_port()
    caller = Caller(f"127.0.0.1:{port}", tmp_path / "agent")
    async with AsyncExitStack() as stack:
        stack.enter_context(installation.operator(**settings(system)))
        log = await asyncio.to_thread(
            stack.enter_context,
            serving(tmp_path, postgres.url, redis_server.url, port, http_port),
        )
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(mount.there() for mount in mounts))
        await stack.enter_async_context(background(*(mount.follow() for mount in mounts)))
        await until(lambda: http(http_port, "/readyz")[0] == 200)
        await caller.begin()
        calling = [caller.call(0.1, anew=False) for _ in range(4)]

        def everything_changed() -> bool:
            return (
                distinct(agent, "tls.crt", issuer_of) >= 3
                and distinct(service, "tls.crt", issuer_of) >= 3
                and distinct(agent, "tls.crt", bytes) >= 6
                and distinct(agent, "token.session-manager", key_of) >= 3
            )

        async with background(*calling, caller.call(0.2, anew=True)):
            await asyncio.sleep(CALLS_FOR_S)
            await until(everything_changed, CALLS_AT_MOST_S - CALLS_FOR_S)
    assert set(caller.answers) == {"OK"}, caller.answers
    assert caller.answers["OK"] > 200
    with suppress(UnicodeDecodeError):
        assert "Bearer" not in log.read_text()
