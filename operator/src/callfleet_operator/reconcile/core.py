"""The core of one term of leadership: caches in, queues, reconcilers and proxy rounds inside.

Nothing is written before every cache is synced. Ends by being cancelled; what was begun is finished
within `STOP_S`, unless leadership is lost, when the writer refuses everything.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass

from callfleet_operator.model import OperatorSettings
from callfleet_operator.ports.certificates import LeafIssuer, TokenIssuer
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import NotLeaderError
from callfleet_operator.ports.events import Events
from callfleet_operator.ports.kinds import (
    DEPLOYMENT,
    NODE,
    POD,
    PROVIDER_POOL,
    VOICE_AGENT,
    name_of,
    namespace_of,
)
from callfleet_operator.ports.kube import Change, KubeReader, KubeStore, KubeWriter, Ref
from callfleet_operator.ports.pods import PodLink
from callfleet_operator.ports.probe import EngineProbe
from callfleet_operator.ports.proxy import AgentRows, Proxy
from callfleet_operator.reconcile.agents import AgentReconciler
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.bank_secrets import BankSecrets
from callfleet_operator.reconcile.children import Children
from callfleet_operator.reconcile.conditions import StatusWriter
from callfleet_operator.reconcile.deletion import Deletion
from callfleet_operator.reconcile.dispatcher import DispatcherSync
from callfleet_operator.reconcile.facts import Gatherer
from callfleet_operator.reconcile.fleet_rows import FleetRows
from callfleet_operator.reconcile.keys import AGENT_LABEL, keys_of, pools_of, proxy_of
from callfleet_operator.reconcile.platform import PlatformIdentities
from callfleet_operator.reconcile.pods import PodSteps
from callfleet_operator.reconcile.pool_children import PoolChildren
from callfleet_operator.reconcile.pool_keys import PoolKeys
from callfleet_operator.reconcile.pool_scaler import PoolScaler
from callfleet_operator.reconcile.pools import PoolReconciler
from callfleet_operator.reconcile.queue import Backoff, KeyQueue
from callfleet_operator.reconcile.report import AgentReport
from callfleet_operator.reconcile.scaler import Scaler
from callfleet_operator.reconcile.secrets import SecretShelf
from callfleet_operator.reconcile.workers import Workers

_log = logging.getLogger(__name__)

WORKERS = 16
STOP_S = 10.0
SURE_S = 5.0
GATHER_S = 0.1
ECHO_S = 0.25
_AT_ONCE = frozenset({VOICE_AGENT, PROVIDER_POOL, POD, NODE, DEPLOYMENT})
_FIGURES_S = 1.0


@dataclass(frozen=True)
class Outside:
    """Everything that the core sees of the world, for one term."""

    store: KubeStore
    writer: KubeWriter
    reader: KubeReader
    clock: Clock
    random: Callable[[], float]
    events: Events
    proxies: Mapping[str, Proxy]
    links: PodLink
    issuer: LeafIssuer
    tokens: TokenIssuer
    probe: EngineProbe
    settings: OperatorSettings
    epoch: int


class Core:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        clock, settings = outside.clock, outside.settings
        self.keys: KeyQueue[Ref] = KeyQueue(clock)
        self.rounds: KeyQueue[str] = KeyQueue(clock)
        self.applied = Applied(outside.store, outside.writer)
        self.dispatcher = DispatcherSync(
            outside.proxies, self._wanted, self._wake, clock, outside.epoch
        )
        self._gatherer = gatherer = Gatherer(
            self.applied,
            outside.links,
            self.dispatcher,
            clock,
            float(settings.deletion_give_up_seconds),
            settings.refuses_own_banks,
        )
        self._rows = FleetRows(gatherer, outside.events)
        pool_keys = PoolKeys()
        status = StatusWriter(self.applied, outside.events, clock)
        secrets = SecretShelf(outside.reader, outside.writer, clock)
        children = Children(
            self.applied, settings, pool_keys, outside.issuer, outside.tokens, secrets
        )
        self.platform = PlatformIdentities(secrets, outside.issuer, outside.tokens, settings, clock)
        probes = {proxy.name: float(proxy.probe_interval_seconds) for proxy in settings.proxies}
        self.agents = AgentReconciler(
            applied=self.applied,
            gatherer=gatherer,
            children=children,
            steps=PodSteps(self.applied, outside.links, probes),
            rows=self._rows,
            scaler=Scaler(self.applied, clock),
            report=AgentReport(
                self.applied, settings, status, clock, BankSecrets(outside.reader, clock)
            ),
            deletion=Deletion(self.applied, children, outside.events),
            links=outside.links,
            events=outside.events,
            sync=self._sync,
        )
        self.pools = PoolReconciler(
            applied=self.applied,
            reader=outside.reader,
            probe=outside.probe,
            keys=pool_keys,
            children=PoolChildren(
                self.applied, outside.reader, settings, clock, outside.issuer, secrets
            ),
            scaler=PoolScaler(self.applied, clock, self._calls),
            status=status,
            clock=clock,
            changed=self._add_all,
        )
        self._deposed = asyncio.Event()
        self.workers = Workers(
            self.keys,
            self._reconcile,
            Backoff(outside.random),
            count=WORKERS,
            deposed=self._deposed.set,
        )
        self.round_workers = Workers(
            self.rounds,
            self.dispatcher.round,
            Backoff(outside.random, first_s=0.5, last_s=5.0),
            count=max(1, len(outside.proxies)),
            deposed=self._deposed.set,
        )

    async def run(self) -> None:
        """Until cancelled. Raises NotLeaderError when somebody else turns out to lead."""
        await self._outside.store.wait_synced()
        self.agents.sure_after = self._outside.clock.wall() + SURE_S
        self.resync()
        _log.info("the core began", extra={"epoch": self._outside.epoch})
        async with asyncio.TaskGroup() as group:
            group.create_task(_finishing(self.workers.run(), self.keys.close))
            group.create_task(_finishing(self.round_workers.run(), self.rounds.close))
            group.create_task(self.platform.run())
            group.create_task(self._until_deposed())

    async def _until_deposed(self) -> None:
        await self._deposed.wait()
        raise NotLeaderError

    def resync(self) -> None:
        """Every key and every proxy once more."""
        store = self._outside.store
        for kind in (PROVIDER_POOL, VOICE_AGENT):
            for item in store.list(kind):
                self.keys.add(Ref(kind, namespace_of(item), name_of(item)))
        for proxy in self._outside.proxies:
            self.rounds.add(proxy)

    def hint(self, ref: Ref) -> None:
        """Somebody heard that an object changed."""
        self.keys.add(ref)

    def changed(self, change: Change) -> None:
        """A cache heard of an object. Called for every change, by the reflectors."""
        self.applied.heard(change)
        self._explain(change)
        for key in keys_of(change, self._outside.store):
            if change.kind in _AT_ONCE:
                self.keys.add(key)
            else:
                # Mostly the echoes of one round's writes: one more round looks at them all.
                self.keys.add_after(key, ECHO_S)
        if change.kind == VOICE_AGENT and change.new is None and change.old is not None:
            self._gatherer.forget(str(change.old["metadata"]["uid"]))
            self._sync(proxy_of(change.old))

    def reported(self, namespace: str, agent: str, urgent: bool) -> None:
        """Figures of an agent's pods changed."""
        ref = Ref(VOICE_AGENT, namespace, agent)
        if urgent:
            self.keys.add(ref)
        else:
            self.keys.add_after(ref, _FIGURES_S)
        for pool in pools_of(self._outside.store.get(VOICE_AGENT, namespace, agent) or {}):
            found = self._outside.store.get(PROVIDER_POOL, namespace, pool) or {}
            if (found.get("spec") or {}).get("scaling"):
                self.keys.add_after(Ref(PROVIDER_POOL, namespace, pool), _FIGURES_S)

    def _calls(self, namespace: str, agents: Iterable[str]) -> int:
        """The calls of some agents, by the last reports of their pods."""
        store, links = self._outside.store, self._outside.links
        pods = (pod for agent in agents for pod in store.of_agent(POD, namespace, agent))
        figures = (links.figures(str(pod["metadata"]["uid"])) for pod in pods)
        return sum(found.calls for found in figures if found is not None)

    def _sync(self, proxy: str) -> None:
        """A round soon: what many agents want at once goes into one."""
        if proxy in self._outside.proxies:
            self.rounds.add_after(proxy, GATHER_S)

    async def _reconcile(self, ref: Ref) -> float | None:
        if ref.kind == VOICE_AGENT:
            return await self.agents.reconcile(ref)
        return await self.pools.reconcile(ref)

    def _wanted(self, proxy: str) -> list[AgentRows]:
        return self._rows(proxy)

    def _wake(self, proxy: str, uids: set[str] | None) -> None:
        """The agents of a proxy, or those of them with these UIDs."""
        for agent in self._outside.store.list(VOICE_AGENT):
            if proxy_of(agent) == proxy and (uids is None or agent["metadata"]["uid"] in uids):
                self.keys.add(Ref(VOICE_AGENT, namespace_of(agent), name_of(agent)))

    def _add_all(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self.keys.add(ref)

    def _explain(self, change: Change) -> None:
        """A pod that is seen going explains why its row goes."""
        if change.kind != POD or change.old is None:
            return
        if change.new is not None and not change.new["metadata"].get("deletionTimestamp"):
            return
        owner = (change.old["metadata"].get("labels") or {}).get(AGENT_LABEL)
        agent = self._outside.store.get(VOICE_AGENT, namespace_of(change.old), str(owner))
        if agent is not None and proxy_of(agent) in self.dispatcher.memories:
            memory = self.dispatcher.memory(proxy_of(agent)).agent(agent["metadata"]["uid"])
            memory.explained.add(str(change.old["metadata"]["uid"]))


async def _finishing(work: Coroutine[None, None, None], close: Callable[[], None]) -> None:
    """Runs the workers; when cancelled, lets them finish what they have begun, for a while."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        close()
        done, _ = await asyncio.wait([task], timeout=STOP_S)
        if not done:
            task.cancel()
            await asyncio.wait([task])
        raise
