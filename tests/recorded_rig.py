"""An agent's pod and the platform's services as processes, on stores that a test may kill."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc.aio
from redis.asyncio import Redis

from callfleet.v1 import context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc
from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.report import CallReport
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.banking.demo_bank import DemoCard, DemoCustomer
from callfleet_agent.banking.port import CardStatus
from callfleet_agent.services.client import CONTEXT_STORE, SESSION_MANAGER, ServiceClient
from callfleet_agent.storage.sealing import make_keys
from fakes.bank import FakeBank
from fakes.collector import Collected, FakeCollector
from identities import AGENT, ISSUER, SCOPES, SERVICE, Authority, Tokens
from ports import free_port
from stores import (
    KillableServer,
    killable_postgres,
    killable_redis,
    migrated,
    program,
)

LOOPBACK = "127.0.0.1"
CALLER, DISPLAY, HEADER = "+15550177263", "Zebulon Quarkheim", "tk_live_hG7rQ2mZx9"
NUMBER, PIN = "739518", "83062517"
CUSTOMER = DemoCustomer(
    "c-zebulon-1", NUMBER, "8306", PIN, "+15550177264",
    DemoCard(CardStatus.SHIPPED, "2026-11-20", "2026-11-25", "Wilhelmina Couriers", "TRK55281903"),
)  # fmt: skip
SECRETS = {
    "caller id": CALLER.removeprefix("+"), "display name": DISPLAY, "SIP header": HEADER,
    "customer number": NUMBER, "pin": PIN, "the bank's reference": CUSTOMER.id,
    "who brings the card": "Wilhelmina", "parcel": "TRK55281903", "what is said": "Your card",
    "what is asked": "customer number, please",
}  # fmt: skip
QUIET_S = 2.0  # less is no end of what is said: the machine may be busy, or the bank is asked
LIMIT_S = 120.0
CALLFLEET = [sys.executable, "-m", "callfleet_agent.main"]
MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: card-line, namespace: bank}
spec:
  banking: {url: "http://127.0.0.1:9"}
  dialog: {bankName: Example Bank, authentication: {method: pin, digits: 8}}
"""


class MarkedPhone(Phone):
    """One whose INVITE has more headers; `vouched`: the network's word for its number."""

    def __init__(self, settings: PhoneSettings, *, vouched: bool, traceparent: str) -> None:
        super().__init__(settings)
        identity = f'"{DISPLAY}" <sip:{CALLER}@{LOOPBACK}>'
        self._more = (
            ("X-Customer", HEADER), ("Subject", DISPLAY),
            *([("P-Asserted-Identity", identity)] if vouched else []),
            *([("Traceparent", traceparent)] if traceparent else []),
        )  # fmt: skip

    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (*super()._headers(), *self._more)


@dataclass
class Program:
    """A process with a log in a file and health on a port."""

    command: list[str]
    environment: dict[str, str]
    log_file: Path
    http_port: int
    process: "subprocess.Popen[bytes] | None" = None

    async def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220, a moment
                self.command, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )
        deadline = time.monotonic() + 300
        while not await asyncio.to_thread(self._is_ready):
            assert self.process.poll() is None, self.log_file.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log_file.read_text()[-3000:]
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(self.process.wait, 300)
        self.process = None
        return status

    def log(self) -> list[dict[str, Any]]:
        text = self.log_file.read_text(errors="replace")
        whole = text[: text.rfind("\n") + 1].splitlines()  # the last one may be half written
        return [json.loads(line) for line in whole if line.startswith("{")]

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/metrics") as page:
            text: str = page.read().decode()
        return text

    def metric(self, name: str) -> float:
        lines = self.metrics().splitlines()
        return float(next(line for line in lines if line.startswith(name)).split()[-1])

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/readyz"):
                return True
        except (urllib.error.URLError, OSError):
            return False


@dataclass
class World:
    """Everything that a recorded call needs."""

    folder: Path
    postgres: KillableServer
    database_url: str
    services: Program
    agent: Program
    sip_port: int
    bank: FakeBank
    sessions: Any
    contexts: Any
    tokens: Tokens
    collector: FakeCollector
    redis_url: str
    seen: int = field(default=0)
    pages: list[str] = field(default_factory=list)

    def fresh_tokens(self) -> None:
        mint = replace(self.tokens.mint(AGENT), life_s=3600)  # longer than any test
        for audience in ("session-manager", "context-store", "banking"):
            path = self.folder / "agent" / f"token.{audience}"
            fresh = path.with_suffix(".new")
            fresh.write_text(mint.token([audience], SCOPES))
            fresh.replace(path)

    def phone(
        self, *turns: Turn, trusted: bool = True, traceparent: str = "", **options: Any
    ) -> Phone:
        uri = f"sip:+15550100@{LOOPBACK}:{self.sip_port}"
        settings = {"recognise": False, "turn_timeout_s": 60.0, "agent_quiet_s": QUIET_S, **options}
        given = PhoneSettings(uri=uri, bind=LOOPBACK, turns=turns, **settings)
        return MarkedPhone(given, vouched=trusted, traceparent=traceparent)

    async def call(self, *turns: Turn, **options: Any) -> CallReport:
        self.seen = len(self.agent.log())
        return await self.phone(*turns, **options).run()

    async def logged(self, **fields: Any) -> dict[str, Any]:
        """The first line since the last call began that has these fields."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            entries = self.agent.log()[self.seen :]
            for entry in entries:
                if all(entry.get(name) == value for name, value in fields.items()):
                    return entry
            assert time.monotonic() < deadline, (fields, entries)
            await asyncio.sleep(0.1)

    async def call_id(self) -> str:
        """The session of the call whose detail record is the first since it began."""
        entry = await self.logged(message="call detail record")
        return str(entry["correlation_id"])

    async def delivered(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while await self.owed():  # noqa: ASYNC110, nothing tells of it
                await asyncio.sleep(0.05)

    async def owed(self) -> float:
        """How many records the stores do not have."""
        return await asyncio.to_thread(self.agent.metric, "callfleet_journal_depth")

    async def owes(self, least: int, still_s: float = 0.05) -> float:
        """What the agent owes, once it is so much and has not changed for a while: a turn's line in
        the log may come before its record."""
        depth = -1.0
        async with asyncio.timeout(LIMIT_S):
            while (now := await self.owed()) != depth or now < least:
                depth = now
                await asyncio.sleep(still_s)
        return depth

    async def remembered(self, session_id: str, text: str) -> None:
        """Until a line of this conversation is in the store."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):  # there is nothing of it yet
                    told = conversation(await self.context(session_id))
                    if any(text == said for _, said in told):
                        return
                await asyncio.sleep(0.1)

    async def session(self, session_id: str) -> session_pb2.CallSession:
        request = session_pb2.GetSessionRequest(session_id=session_id)
        return await self._asked(self.sessions, "GetSession", request)  # type: ignore[no-any-return]

    async def context(self, session_id: str) -> context_pb2.ConversationContext:
        request = context_pb2.ContextRequest(session_id=session_id)
        return await self._asked(self.contexts, "GetContext", request)  # type: ignore[no-any-return]

    async def _asked(self, client: ServiceClient, rpc: str, request: Any) -> Any:
        stub: Any = {
            "GetSession": session_pb2_grpc.SessionManagerServiceStub,
            "GetContext": context_pb2_grpc.ContextStoreServiceStub,
        }[rpc]
        ask = getattr(client.stub(stub), rpc)
        # This client's connection may still wait to be made again after a kill.
        return await ask(
            request, metadata=client.metadata("test"), timeout=LIMIT_S, wait_for_ready=True
        )

    async def traced(self, trace: str, *names: str) -> list[Collected]:
        """The spans of a trace, once there is one of each name."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            spans = [span for span in self.collector.spans if span.trace == trace]
            missing = set(names) - {span.name for span in spans}
            if not missing:
                return spans
            assert time.monotonic() < deadline, missing
            await asyncio.sleep(0.1)

    async def keep_pages(self) -> None:
        """What both processes' metrics say now, for a later look."""
        for each in (self.agent, self.services):
            self.pages.append(await asyncio.to_thread(each.metrics))

    async def redis_keys(self) -> list[str]:
        async with Redis.from_url(self.redis_url) as redis:
            return [key.decode() for key in await redis.keys("*")]

    def rows(self, statement: str) -> list[list[str]]:
        psql = str(program("psql", "usr/lib/postgresql/*/bin"))
        command = [psql, "-X", "-q", "-A", "-t", "-F", "|", self.database_url, "-c", statement]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [line.split("|") for line in done.stdout.splitlines() if line]


@contextmanager
def _stores(folder: Path) -> Iterator[tuple[KillableServer, str, str]]:
    (folder / "redis").mkdir()
    with killable_postgres() as (postgres, url), killable_redis(folder / "redis") as (_, redis):
        migrated_in_thread(url)
        yield postgres, url, redis


def migrated_in_thread(url: str) -> None:
    """A loop runs here: the schema is made in another thread."""
    import threading

    thread = threading.Thread(target=migrated, args=(url,))
    thread.start()
    thread.join()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """The services and an agent, up; with what they need."""
    async with AsyncExitStack() as stack:
        postgres, database, redis = stack.enter_context(_stores(folder))
        bank = await stack.enter_async_context(FakeBank([CUSTOMER]))
        collector = await stack.enter_async_context(FakeCollector())
        told = {
            "CALLFLEET_LOG_LEVEL": "DEBUG", "CALLFLEET_TRACING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100",
        }  # fmt: skip
        authority, tokens = Authority(), Tokens(folder / "jwks.json")
        authority.issue(folder / "server", SERVICE)
        authority.issue(folder / "agent", AGENT)
        make_keys(folder / "sealing", "k1")
        port, *ports = (free_port() for _ in range(5))
        services = Program(
            [
                *CALLFLEET, "serve", "session-manager", "context-store", "banking",
                "--bind", LOOPBACK, "--port", str(port), "--http-port", str(ports[0]),
                "--tls", str(folder / "server"), "--token-keys", str(tokens.path),
                "--token-issuer", ISSUER, "--sealing-keys", str(folder / "sealing"),
                "--database-url", database, "--redis-url", redis, "--bank-url", bank.url,
            ],
            told, folder / "services.log", ports[0],
        )  # fmt: skip
        (folder / "agent.yaml").write_text(MANIFEST)
        address = f"localhost:{port}"
        agent = Program(
            [
                *CALLFLEET, "serve", "agent", "--settings", str(folder / "agent.yaml"),
                "--bind", LOOPBACK, "--port", str(ports[1]), "--rtp-ports", "58000-59999",
                "--http-port", str(ports[2]), "--control-port", str(ports[3]),
                "--tls", str(folder / "agent"), "--trust", "127.0.0.0/8",
            ],
            told
            | {
                "CALLFLEET_SESSION_MANAGER": address, "CALLFLEET_CONTEXT_STORE": address,
                "CALLFLEET_BANKING": address, "CALLFLEET_JOURNAL": str(folder / "journal"),
                "CALLFLEET_EARLIER_CALL_SECONDS": "30",
                "POD_NAME": "card-line-0", "POD_NAMESPACE": "bank", "POD_UID": "uid-1",
            },
            folder / "agent.log", ports[2],
        )  # fmt: skip
        sessions = ServiceClient(address, SESSION_MANAGER, folder / "agent")
        contexts = ServiceClient(address, CONTEXT_STORE, folder / "agent")
        made = World(
            folder, postgres, database, services, agent, ports[1], bank, sessions, contexts,
            tokens, collector, redis,
        )  # fmt: skip
        made.fresh_tokens()
        stack.push_async_callback(sessions.close)
        stack.push_async_callback(contexts.close)
        stack.callback(services.kill)
        stack.callback(agent.kill)
        await asyncio.gather(services.start(), agent.start())
        yield made


def conversation(context: context_pb2.ConversationContext) -> list[tuple[int, str]]:
    return [(line.role, line.content) for line in context.conversation_history]


def transactions(w: World, session_id: str) -> list[list[str]]:
    return w.rows(
        "SELECT transaction_type, authentication_status, response_data IS NOT NULL"
        f" FROM banking_transactions WHERE session_id = '{session_id}' ORDER BY created_at"
    )
