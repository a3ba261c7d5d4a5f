"""Rows of all agents of a proxy: one round at a time for each proxy, apart from the reconciles.

A round computes what every agent wants from the caches, makes the proxy equal to that, remembers
what the read-back said, and wakes the agents for which something changed. A proxy or database that
hangs holds up its own rounds and nothing else; while it is away, what was confirmed before stays.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import NotLeaderError
from callfleet_operator.ports.proxy import (
    AgentOutcome,
    AgentRows,
    Observation,
    Proxy,
    ProxyDatabaseUnavailable,
    ProxyError,
    ProxyMisconfigured,
    SeenState,
    StaleEpoch,
    SyncOutcome,
    WantedRow,
)
from callfleet_operator.reconcile.errors import RowsHeldError, UnreadableError

_log = logging.getLogger(__name__)

ROUND_LIMIT_S = 30.0
SWEEP_S = 60.0
_LOOK_AGAIN_S = 2.0
_NOT_OUT = {SeenState.ACTIVE, SeenState.PROBING}


@dataclass
class RowMemory:
    """What is known of one agent's rows in its proxy. Lost with the process, read back at once.

    `pods` are the addresses of the pods that there are, with a row or without, and their UIDs;
    `whose` are the pods for which rows were confirmed; `out_since` tells since when (Unix time),
    without a break, a pod has been confirmed to get no calls. `explained` are pods whose going was
    seen; `guard` says why rows were not changed.
    """

    pods: Mapping[str, str] = field(default_factory=dict)
    synced: AgentRows | None = None
    seen: Mapping[str, SeenState] = field(default_factory=dict)
    confirmed: dict[str, SeenState] = field(default_factory=dict)
    whose: dict[str, str] = field(default_factory=dict)
    out_since: dict[tuple[str, str], float] = field(default_factory=dict)
    outcome: AgentOutcome | None = None
    explained: set[str] = field(default_factory=set)
    guard: str = ""

    @property
    def rows(self) -> tuple[WantedRow, ...]:
        """The rows of the last round."""
        return self.synced.rows if self.synced is not None else ()

    @property
    def known(self) -> dict[str, SeenState]:
        """What was last confirmed of each row, its absence too."""
        absent = {u: s for u, s in self.seen.items() if s is SeenState.ABSENT}
        return absent | self.confirmed

    @property
    def undone(self) -> bool:
        """A row was last seen otherwise than it was told: a late answer to a probe brought it back,
        or somebody took it out. What waits for a probe, or could not be seen, is neither.
        """
        seen = ((row, self.seen.get(row.uri, SeenState.UNKNOWN)) for row in self.rows)
        return any(state.out if row.takes_calls else state in _NOT_OUT for row, state in seen)

    def uids(self) -> dict[str, str]:
        return self._row_owners() | dict(self.pods)

    def _row_owners(self) -> dict[str, str]:
        return {row.uri: row.pod_uid for row in self.rows}

    @property
    def held(self) -> set[str]:
        """What an instance had when it was last looked at, or may have had."""
        return {uri for uri, state in self.seen.items() if state is not SeenState.ABSENT}

    def forget_others(self, current: Mapping[str, str]) -> None:
        """An address that came back with another pod inherits nothing of what was seen of it."""
        for uri, uid in (self.whose | self._row_owners()).items():
            if uri in current and current[uri] != uid:
                self.confirmed.pop(uri, None)
                self.whose.pop(uri, None)
                self.seen = {known: state for known, state in self.seen.items() if known != uri}

    def doubt(self, rows: Iterable[WantedRow]) -> None:
        """About to be written as taking calls: should the answer be lost, they may take some."""
        doubted = {row.uri for row in rows if row.takes_calls and self._out(row.uri)}
        self.seen = {
            uri: SeenState.UNKNOWN if uri in doubted else state for uri, state in self.seen.items()
        }
        for key in [key for key in self.out_since if key[0] in doubted]:
            del self.out_since[key]

    def _out(self, uri: str) -> bool:
        state = self.seen.get(uri)
        return state is not None and state.out

    def take(self, seen: Mapping[str, SeenState], now: float) -> bool:
        """A read-back. Answers whether it says anything new."""
        news = dict(seen) != dict(self.seen)
        self.seen = dict(seen)
        uids, owners = self.uids(), self._row_owners()
        for uri, state in seen.items():
            key = (uri, uids.get(uri, ""))
            if state is SeenState.ABSENT:
                self.confirmed.pop(uri, None)
                self.whose.pop(uri, None)
            elif state is not SeenState.UNKNOWN:
                self.confirmed[uri] = state
                if uri in uids:
                    self.whose[uri] = owners.get(uri, uids[uri])
            if not state.out:
                self.out_since.pop(key, None)
            else:
                self.out_since.setdefault(key, now)
        for key in [key for key in self.out_since if key[0] not in seen]:
            del self.out_since[key]
        return news


@dataclass
class ProxyMemory:
    """What is known of one proxy. `fault` is why the last round came to nothing."""

    synced: tuple[AgentRows, ...] | None = None
    in_sync: bool = False
    observed: bool = False
    sweep_at: float = 0.0
    fault: tuple[str, str] | None = None
    instances: Mapping[str, str | None] = field(default_factory=dict)
    agents: dict[str, RowMemory] = field(default_factory=dict)

    @property
    def undone(self) -> bool:
        return any(agent.undone for agent in self.agents.values())

    def agent(self, uid: str) -> RowMemory:
        return self.agents.setdefault(uid, RowMemory())


@dataclass
class DispatcherSync:
    """`wanted(proxy)` answers the rows of all agents of a proxy, the oldest agent first.

    `wake(uids)` is called with the agents for which something changed, None for all of the proxy.
    """

    proxies: Mapping[str, Proxy]
    wanted: Callable[[str], Sequence[AgentRows]]
    wake: Callable[[str, set[str] | None], None]
    clock: Clock
    epoch: int
    memories: dict[str, ProxyMemory] = field(default_factory=dict)

    def memory(self, proxy: str) -> ProxyMemory:
        return self.memories.setdefault(proxy, ProxyMemory())

    async def round(self, name: str) -> float | None:
        """One round; the seconds after which another one is due. Raises ProxyError."""
        memory = self.memory(name)
        try:
            async with asyncio.timeout(ROUND_LIMIT_S):
                again = await self._round(self.proxies[name], memory)
        except StaleEpoch:
            _log.error("the proxy has heard of a newer leader", extra={"proxy": name})
            raise NotLeaderError from None
        except (ProxyError, RowsHeldError, UnreadableError, TimeoutError) as error:
            self._failed(name, memory, error)
            raise
        if memory.fault is not None:
            memory.fault = None
            self.wake(name, None)
        return again

    async def _round(self, proxy: Proxy, memory: ProxyMemory) -> float | None:
        now = self.clock.monotonic()
        if not memory.observed:
            # What pods had before this process started must be known before anything is decided.
            self._look(proxy.name, memory, await proxy.observe())
            memory.observed = True
        wanted = tuple(self.wanted(proxy.name))
        settled = (
            memory.in_sync
            and wanted == memory.synced
            and now < memory.sweep_at
            and not memory.undone
        )
        if settled:
            observation = await proxy.observe()
            self._look(proxy.name, memory, observation)
            memory.in_sync = observation.complete
            again = observation.look_again_s
        else:
            for rows in wanted:
                memory.agent(rows.uid).doubt(rows.rows)
            outcome = await proxy.sync(wanted, epoch=self.epoch)
            memory.sweep_at = self.clock.monotonic() + SWEEP_S
            self._synced(proxy.name, memory, wanted, outcome)
            again = outcome.look_again_s
        if not memory.in_sync or memory.undone:
            again = min(again or _LOOK_AGAIN_S, _LOOK_AGAIN_S)
        until_sweep = max(0.1, memory.sweep_at - self.clock.monotonic())
        return min(again, until_sweep) if again is not None else until_sweep

    def _synced(
        self, name: str, memory: ProxyMemory, wanted: tuple[AgentRows, ...], outcome: SyncOutcome
    ) -> None:
        changed, observation = set(), outcome.observation
        now = self.clock.wall()
        for rows in wanted:
            known = memory.agent(rows.uid)
            before = (known.synced, known.outcome)
            known.forget_others({row.uri: row.pod_uid for row in rows.rows})
            known.synced, known.outcome = rows, outcome.agents.get(rows.uid)
            uris = observation.uris(rows.uid, known.uids(), known.held)
            news = known.take({uri: observation.state_of(rows.uid, uri) for uri in uris}, now)
            if news or before != (known.synced, known.outcome):
                changed.add(rows.uid)
        for uid in memory.agents.keys() - {rows.uid for rows in wanted}:
            del memory.agents[uid]
        if (memory.in_sync, memory.instances) != (outcome.in_sync, outcome.instances):
            changed |= {rows.uid for rows in wanted}
        memory.synced, memory.in_sync = wanted, outcome.in_sync
        memory.instances = outcome.instances
        if changed:
            self.wake(name, changed)

    def _look(self, name: str, memory: ProxyMemory, observation: Observation) -> None:
        now = self.clock.wall()
        changed = set()
        for uid in {*memory.agents, *observation.agents}:
            known = memory.agent(uid)
            uris = observation.uris(uid, known.uids(), known.held)
            if known.take({uri: observation.state_of(uid, uri) for uri in uris}, now):
                changed.add(uid)
        if dict(memory.instances) != dict(observation.instances):
            changed |= set(memory.agents)
        memory.instances = observation.instances
        if changed:
            self.wake(name, changed)

    def _failed(self, name: str, memory: ProxyMemory, error: Exception) -> None:
        memory.in_sync = False
        fault = _fault(error)
        if memory.fault != fault:
            memory.fault = fault
            self.wake(name, None)


def _fault(error: Exception) -> tuple[str, str]:
    """The reason and message of DispatcherSynced. The error's own text may name hosts: not here."""
    if isinstance(error, RowsHeldError):
        return "MassDeactivation", str(error)
    if isinstance(error, UnreadableError):
        return "AgentUnreadable", str(error)
    if isinstance(error, ProxyMisconfigured):
        return "ProxyMisconfigured", "the SIP proxy's tables are missing or not ours: migrate"
    if isinstance(error, ProxyDatabaseUnavailable):
        return "DatabaseUnavailable", "the SIP proxy's database does not answer"
    return "ProxyUnavailable", "the SIP proxy could not be written or read"
