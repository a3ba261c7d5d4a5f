"""The platform's services in one process: `callfleet serve session-manager context-store …`."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import randbits
from time import time
from typing import Any, Final
from uuid import UUID

import uvloop

from callfleet.v1 import banking_pb2_grpc, context_pb2_grpc, session_pb2_grpc
from callfleet_agent.app import logs
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.app.platform_settings import (
    BANKING,
    CONTEXT_STORE,
    SESSION_MANAGER,
    SPOKEN,
    PlatformSettings,
)
from callfleet_agent.app.settings import log_level
from callfleet_agent.app.trace_setup import traced
from callfleet_agent.banking import Bank, HttpBank
from callfleet_agent.banking.audit import Occasion
from callfleet_agent.banking.audited import AuditedCommands, Auditor
from callfleet_agent.banking.commands import BankingCommands
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.identity import TlsFiles
from callfleet_agent.services import banking, context_store, session_manager
from callfleet_agent.services.actor import acting
from callfleet_agent.services.correlation import current
from callfleet_agent.services.edge import Edge
from callfleet_agent.services.http import health_app, serve_http
from callfleet_agent.services.limits import Buckets
from callfleet_agent.services.ownership import asking, own_namespace
from callfleet_agent.services.policy import POLICY
from callfleet_agent.services.server import Part, ServiceServer
from callfleet_agent.services.shared_choices import SharedChoices
from callfleet_agent.services.tls import server_credentials
from callfleet_agent.services.tokens import KeySet, TokenVerifier
from callfleet_agent.session.access import WhoAsks
from callfleet_agent.session.commands import SessionCommands
from callfleet_agent.session.identifiers import uuid7
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.storage.audit import PostgresAuditLog
from callfleet_agent.storage.cache import Cache
from callfleet_agent.storage.cached import CachedContexts, CachedSessions
from callfleet_agent.storage.contexts import PostgresContexts
from callfleet_agent.storage.database import Database
from callfleet_agent.storage.errors import StoreUnavailableError
from callfleet_agent.storage.sealing import Sealer, read_keys
from callfleet_agent.storage.sessions import PostgresSessions
from callfleet_agent.storage.transactions import PostgresTransactions

_ASK_AGAIN_S: Final = 5.0
_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A new id that carries its time."""
    return uuid7(int(time() * 1000), randbits(74))


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept, and how it is asked and told."""

    database: Database
    cache: Cache
    sealer: Sealer
    asks: WhoAsks

    def sessions(self) -> CachedSessions:
        """Sessions on both stores."""
        truth = PostgresSessions(self.database, self.sealer, self.asks)
        return CachedSessions(truth, self.cache, self.sealer, self.asks)

    def contexts(self) -> CachedContexts:
        """Contexts on both stores."""
        truth = PostgresContexts(self.database, self.sealer, self.asks)
        return CachedContexts(truth, self.cache, self.sealer, utc_now, self.asks)

    def transactions(self) -> PostgresTransactions:
        """Banking transactions."""
        return PostgresTransactions(self.database, self.sealer, self.asks)

    def banking(self, bank: Bank) -> BankingCommands:
        """What makes the bank do something, recorded."""
        return BankingCommands(
            bank, self.transactions(), utc_now, partial(self.sealer.digest, "request")
        )

    def auditor(self) -> Auditor:
        """Writes down every banking operation."""
        log = PostgresAuditLog(self.database, self.sealer)
        return Auditor(log, utc_now, lambda: Occasion(acting(), current()))


def stored_parts(settings: PlatformSettings, stores: Stores, bank: HttpBank | None) -> list[Part]:
    """The services that keep something."""
    parts: list[Part] = []
    if SESSION_MANAGER in settings.roles:
        sessions = stores.sessions()
        parts.append(
            Part(
                session_manager.NAME,
                session_pb2_grpc.add_SessionManagerServiceServicer_to_server,
                session_manager.SessionManagerService(
                    SessionCommands(sessions, utc_now, new_id),
                    SessionQueries(sessions),
                    ContextCommands(stores.contexts(), utc_now, new_id),
                ),
                session_manager.READERS,
            )
        )
    if CONTEXT_STORE in settings.roles:
        contexts = stores.contexts()
        parts.append(
            Part(
                context_store.NAME,
                context_pb2_grpc.add_ContextStoreServiceServicer_to_server,
                context_store.ContextStoreService(
                    ContextCommands(contexts, utc_now, new_id), ContextQueries(contexts, utc_now)
                ),
                context_store.READERS,
            )
        )
    if bank is not None and BANKING in settings.roles:
        auditor = stores.auditor()
        parts.append(
            Part(
                banking.NAME,
                banking_pb2_grpc.add_BankingServiceServicer_to_server,
                banking.BankingService(AuditedCommands(stores.banking(bank), auditor)),
                banking.READERS,
            )
        )
    return parts


class Platform:
    """A running process of the platform."""

    def __init__(self, settings: PlatformSettings) -> None:
        self.settings = settings
        self.metrics = PlatformMetrics()
        self.port = 0
        self._not_ready: str | None = "starting"
        self._silent: Callable[[], str | None] = lambda: None

    def not_ready(self) -> str | None:
        """Why the process should be asked nothing."""
        return self._not_ready or self._silent()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Platform"]:
        """Serve within the block; requests in progress end before it is left."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            cache: Cache | None = None
            if settings.redis_url:
                cache = await stack.enter_async_context(
                    Cache(settings.redis_url, limit_s=settings.patience.redis_s)
                )
                self.metrics.watch(cache)
            database, parts = await self._served(stack, cache)
            edge = self._edge(parts, cache)
            server = ServiceServer(
                parts, edge, server_credentials(TlsFiles.in_folder(settings.tls))
            )
            if settings.http_port is not None:
                app = health_app(self.metrics.registry, lambda: None, self.not_ready)
                runner = await serve_http(app, settings.bind, settings.http_port)
                stack.push_async_callback(runner.cleanup)
            self.port = await server.start(settings.bind, settings.port)
            stack.push_async_callback(server.close)
            tasks = await stack.enter_async_context(_tasks())
            if cache is not None:
                tasks.append(asyncio.create_task(cache.clean()))
            if database is not None:
                tasks.append(asyncio.create_task(self._watch(database)))
            else:
                self._not_ready = None
            _log.info("the services are up", extra={"roles": list(settings.roles)})
            yield self

    async def _served(
        self, stack: AsyncExitStack, cache: Cache | None
    ) -> tuple[Database | None, list[Part]]:
        """The store where there is one, and the services of the roles."""
        settings = self.settings
        bank = await self._bank(stack)
        stores: Stores | None = None
        parts: list[Part] = []
        if cache is not None and settings.database_url and settings.sealing_keys is not None:
            sealer = read_keys(settings.sealing_keys)
            database = await stack.enter_async_context(Database(settings.database))
            home = own_namespace(TlsFiles.in_folder(settings.tls))
            stores = Stores(database, cache, sealer, asking(home))
            parts += stored_parts(settings, stores, bank)
        if set(settings.roles) & set(SPOKEN):
            from callfleet_agent.app.platform_speech import SpeechParts

            redis_s = settings.patience.redis_s
            choices = SharedChoices(cache.client, limit_s=redis_s) if cache is not None else None
            speech = await stack.enter_async_context(
                SpeechParts(settings, stores, bank, self.metrics, choices)
            )
            parts += speech.parts
            self._silent = speech.silent
        return (stores.database if stores else None), parts

    async def _bank(self, stack: AsyncExitStack) -> HttpBank | None:
        settings = self.settings
        if not settings.bank_url:
            return None
        bank = HttpBank(settings.bank)
        stack.push_async_callback(bank.close)
        self.metrics.watch_bank(bank)
        return bank

    def _edge(self, parts: Iterable[Part], cache: Cache | None) -> Edge:
        readers: dict[str, Any] = {}
        for part in parts:
            readers |= part.readers
        return Edge(
            rules=POLICY,
            readers=readers,
            verifier=TokenVerifier(KeySet(self.settings.token_keys), self.settings.token_issuer),
            buckets=Buckets(
                cache.client if cache else None, limit_s=self.settings.patience.redis_s
            ),
            watcher=self.metrics,
            limits=self.settings.limits,
            home=own_namespace(TlsFiles.in_folder(self.settings.tls)),
        )

    async def _watch(self, database: Database) -> None:
        """Ready from PostgreSQL's first answer on, and then for good: what Redis holds can be read
        without it, and a replica that is taken away helps nobody when the store is away for all."""
        while True:
            try:
                await database.ping()
            except StoreUnavailableError as error:
                self.metrics.store_is(up=False)
                _log.warning("the store does not answer", extra={"reason": str(error)})
            else:
                self.metrics.store_is(up=True)
                self._not_ready = None
            await asyncio.sleep(_ASK_AGAIN_S if self._not_ready is None else 1.0)


@asynccontextmanager
async def _tasks() -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Tasks that are cancelled and awaited at the end."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run_platform(settings: PlatformSettings, environment: Mapping[str, str]) -> None:
    """Run until SIGTERM or Ctrl-C."""
    name = f"callfleet-{settings.roles[0]}" if len(settings.roles) == 1 else "callfleet-platform"
    logs.configure(name, log_level(environment), fixed=logs.instance(environment))
    journal = environment.get("CALLFLEET_JOURNAL")
    if journal and settings.journal is None:
        settings = replace(settings, journal=Path(journal))
    settings = replace(settings, pod=settings.pod or environment.get("POD_NAME", ""))
    with traced(name, environment):
        uvloop.run(_until_told(Platform(settings)))


async def _until_told(platform: Platform) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with platform.running():
        await stop.wait()
