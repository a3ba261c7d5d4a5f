"""One operator process: caches from the start, a core while it leads."""

import asyncio
import logging
import platform
import random
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from callfleet_operator.identity.names import agent_host
from callfleet_operator.kopf_source.hints import run_kopf
from callfleet_operator.kopf_source.supervisor import KopfSource
from callfleet_operator.kube.cache import CacheSet
from callfleet_operator.kube.cert_manager import need_cert_manager
from callfleet_operator.kube.client import KubeClient, Selection
from callfleet_operator.kube.connection import Connection
from callfleet_operator.kube.events import EventRecorder
from callfleet_operator.kube.fenced import FencedWriter
from callfleet_operator.kube.lease import Lease, LeaseTerms
from callfleet_operator.kube.projection import projection_of
from callfleet_operator.kube.reflector import Reflector, run_all
from callfleet_operator.kube.watched import WATCHED
from callfleet_operator.main import http, metrics
from callfleet_operator.main.clock import SystemClock
from callfleet_operator.main.identities import Identities
from callfleet_operator.main.probe import HttpProbe
from callfleet_operator.model import OperatorSettings
from callfleet_operator.pods.dial import GrpcDialer
from callfleet_operator.pods.link import PodStreams
from callfleet_operator.ports.errors import KubeError, PortError
from callfleet_operator.ports.kube import Change, Ref
from callfleet_operator.ports.proxy import Proxy
from callfleet_operator.proxies import open_proxy
from callfleet_operator.reconcile.core import Core, Outside

_log = logging.getLogger(__name__)

_HANDOVER_S = 15.0


@dataclass
class OperatorProcess:
    settings: OperatorSettings
    connection: Connection
    client: KubeClient
    probe: HttpProbe
    proxies: Mapping[str, Proxy]
    clock: SystemClock = field(default_factory=SystemClock)
    core: Core | None = None
    port: int = 0

    def __post_init__(self) -> None:
        settings = self.settings
        scopes = settings.watch_namespaces or ("",)
        self.caches = CacheSet([watched.kind for watched in WATCHED], self._changed, scopes)
        self.reflectors = [
            Reflector(
                self.client,
                Selection(watched.kind, scope if watched.kind.namespaced else "", watched.labels),
                self.caches.of(watched.kind),
                projection_of(watched.kind),
                self.clock,
                random.random,
                float(settings.resync_seconds),
            )
            for watched in WATCHED
            for scope in (scopes if watched.kind.namespaced else ("",))
        ]
        holder = f"{platform.node()}-{uuid.uuid4().hex[:8]}"
        terms = LeaseTerms(
            settings.namespace,
            settings.lease.name,
            holder,
            float(settings.lease.duration_seconds),
            float(settings.lease.renew_seconds),
        )
        self.lease = Lease(self.client, terms, self.clock, random.random)
        self.kopf = KopfSource(
            partial(run_kopf, self.connection, settings.watch_namespaces),
            self._hinted,
            self.clock,
            random.random,
        )

    async def run(self) -> None:
        """Until cancelled: then stops leading, releases the lease, and returns in an orderly
        way.
        """
        registry = metrics.registry_for(self)
        async with AsyncExitStack() as stack:
            self.port = await stack.enter_async_context(
                http.serving(
                    self.settings.http_port,
                    ready=self.caches.unsynced,
                    metrics=partial(metrics.exposition, registry),
                )
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(run_all(self.reflectors), name="reflectors")
                group.create_task(self.kopf.run(), name="kopf")
                group.create_task(self._lead(), name="leadership")

    async def _lead(self) -> None:
        while True:
            epoch = await self.lease.acquire()
            try:
                await self._term(epoch)
            except* PortError as errors:
                names = sorted({type(error).__name__ for error in _leaves(errors)})
                _log.warning("a term ended with an error", extra={"errors": names})
            await self.clock.sleep(1.0)

    async def _term(self, epoch: int) -> None:
        """One term, from the lease taken to the lease lost or given back."""
        hold = asyncio.create_task(self.lease.hold(), name="lease")
        work = asyncio.create_task(self._work(epoch), name="term")
        try:
            await asyncio.wait([hold, work], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The core finishes what it has begun while the lease is still held, then gives it back.
            work.cancel()
            await asyncio.wait([work], timeout=_HANDOVER_S)
            self.core = None
            hold.cancel()
            await asyncio.wait([hold])
            await self.lease.release()
        if work.done() and not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _work(self, epoch: int) -> None:
        writer = FencedWriter(self.client, self.lease, epoch)
        identities = await self._identities()
        streams = PodStreams(
            GrpcDialer(identities.own, agent_host),
            self.clock,
            epoch,
            self._reported,
            random.random,
        )
        events = EventRecorder(writer, self.clock, self.lease.terms.holder)
        self.core = Core(
            Outside(
                store=self.caches,
                writer=writer,
                reader=self.client,
                clock=self.clock,
                random=random.random,
                events=events,
                proxies=self.proxies,
                links=streams,
                issuer=identities.issuer,
                tokens=identities.minter,
                probe=self.probe,
                settings=self.settings,
                epoch=epoch,
            )
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(streams.run(), name="pods")
            group.create_task(events.run(), name="events")
            group.create_task(self._resync(self.core), name="resync")
            group.create_task(self._keep_identities(self.core, identities), name="identities")
            group.create_task(self.core.run(), name="core")

    async def _resync(self, core: Core) -> None:
        """Every key from time to time: certificates are renewed, and what was missed is seen."""
        while True:
            every_s = min(
                self.settings.resync_seconds, self.settings.identities.lifetimes.renew_look_s
            )
            await self.clock.sleep(every_s * (0.9 + 0.2 * random.random()))
            core.resync()

    async def _identities(self) -> Identities:
        """Raises KubeError, and ConfigurationError when the settings ask for what is not there."""
        settings = self.settings.identities
        made = Identities(self.settings, self.client, self.clock)
        if settings.cert_manager is not None:
            await need_cert_manager(self.client)
        await made.refresh()
        return made

    async def _keep_identities(self, core: Core, identities: Identities) -> None:
        """What changed is signed with, or told, from the next look at each agent on."""
        while True:
            await self.clock.sleep(self.settings.identities.lifetimes.look_s)
            try:
                changed = await identities.refresh()
            except KubeError as error:
                _log.warning(
                    "the identities could not be looked at", extra={"reason": error.reason}
                )
            else:
                if changed:
                    core.resync()

    def _changed(self, change: Change) -> None:
        if self.core is not None:
            self.core.changed(change)

    def _hinted(self, ref: Ref) -> None:
        if self.core is not None and self.caches.synced:
            self.core.hint(ref)

    def _reported(self, namespace: str, agent: str, urgent: bool) -> None:
        if self.core is not None:
            self.core.reported(namespace, agent, urgent)


def _leaves(group: BaseExceptionGroup[PortError]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def open_process(settings: OperatorSettings, connection: Connection) -> OperatorProcess:
    """Opens what needs a loop; `close_process` closes it."""
    return OperatorProcess(
        settings,
        connection,
        KubeClient(connection),
        HttpProbe(),
        {
            proxy.name: open_proxy(proxy, installation=settings.installation)
            for proxy in settings.proxies
        },
    )


async def close_process(process: OperatorProcess) -> None:
    for proxy in process.proxies.values():
        await proxy.close()
    await process.probe.close()
    await process.client.close()
