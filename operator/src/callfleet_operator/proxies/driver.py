"""The Proxy of the port, for every dialect: one transaction, then the instances, then a verdict."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.proxy import (
    AgentOutcome,
    AgentRows,
    Observation,
    SeenState,
    SyncOutcome,
)

from . import states
from .database import Database
from .dialect import Dialect
from .endpoints import Endpoints
from .errors import RpcError
from .instance import Instance, Target, each
from .plan import Plan, Rules, make_plan
from .rows import Held, Key
from .rpc import JsonRpc
from .store import Store

_RETRY_S = 2.0  # when to look again at an instance that did not answer


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `rpc_limit_s` bounds one remote command, `database_limit_s` one transaction."""

    probe_interval_s: float = 1.0
    rpc_limit_s: float = 3.0
    database_limit_s: float = 5.0
    quarantine_s: float = 300.0


class TableProxy:
    """A proxy that loads its destinations and numbers from PostgreSQL."""

    def __init__(
        self,
        store: Store,
        database: Database,
        endpoints: Endpoints,
        rules: Rules,
        timing: Timing,
        clock: Clock,
    ) -> None:
        self._store = store
        self._database = database
        self._endpoints = endpoints
        self._rules = rules
        self._timing = timing
        self._clock = clock
        self._lock = asyncio.Lock()
        self._instances: dict[str, Instance] = {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        return self._store.proxy

    @property
    def _dialect(self) -> Dialect:
        return self._store.dialect

    async def sync(self, agents: Sequence[AgentRows], *, epoch: int) -> SyncOutcome:
        """See Proxy.sync. Looks, writes, makes, and says what it then sees."""
        async with self._lock:
            lost = await self._look()
            plan = await self._write(agents, epoch)
            ours = states.Ours(frozenset(plan.owners), plan.foreign)
            target = Target(plan.wanted, ours, plan.revision)
            await each(self._instances.values(), target)
            return self._outcome(agents, plan, target, lost)

    async def observe(self) -> Observation:
        """See Proxy.observe."""
        async with self._lock:
            async with self._database.transaction() as connection:
                owners = await self._store.owners(connection)
                foreign = await self._store.foreign_rows(connection, *self._rules.range)
            lost = await self._look()
            ours = states.Ours(owners, foreign)
            agents = self._seen(owners, ours, ())
            again = self._look_again_s(agents, lost)
            return Observation(agents, self._errors(lost), again, self._beside(owners, ours))

    async def close(self) -> None:
        """Let go of connections; instances and database stay as they are."""
        await self._database.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _look(self) -> dict[str, str]:
        """Look at every instance there is now; errors of finding them, by what was looked for."""
        try:
            urls = await self._endpoints()
        except RpcError as error:
            self._instances = {}
            return {"endpoints": str(error)}
        self._instances = {url: self._instances.get(url) or self._instance(url) for url in urls}
        await each(self._instances.values())
        return {}

    def _instance(self, url: str) -> Instance:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        rpc = JsonRpc(self._session, url, self._timing.rpc_limit_s)
        settle_s = self._dialect.settle_s(self._timing.probe_interval_s)
        return Instance(url, self._dialect.commands(rpc), self._dialect, settle_s, self._clock)

    async def _write(self, agents: Sequence[AgentRows], epoch: int) -> Plan:
        rules = self._rules
        async with self._database.transaction() as connection:
            await self._store.lead(connection, epoch)
            snapshot = await self._store.snapshot(connection, *rules.range)
            plan = make_plan(snapshot, agents, rules, self._dialect, self._active())
            await self._store.execute(connection, plan)
            return plan

    def _active(self) -> set[Key]:
        """Destinations that an instance sends calls to now."""
        return {
            key
            for instance in self._instances.values()
            for key, row in (instance.view.memory or {}).items()
            if row.held is Held.ACTIVE
        }

    def _outcome(
        self, agents: Sequence[AgentRows], plan: Plan, target: Target, lost: Mapping[str, str]
    ) -> SyncOutcome:
        seen = self._seen(plan.owners, target.ours, agents)
        outcomes = {agent.uid: _outcome(agent, plan, seen.get(agent.uid, {})) for agent in agents}
        problems = (found.problem for found in plan.agents.values())
        kept_out = any(problem is not None and problem.keeps_rows_out for problem in problems)
        right = all(instance.right(target) for instance in self._instances.values())
        return SyncOutcome(
            outcomes,
            self._errors(lost),
            in_sync=bool(self._instances) and right and not kept_out,
            look_again_s=self._look_again_s(seen, lost),
            beside=self._beside(plan.owners, target.ours),
        )

    def _seen(
        self, owners: Mapping[int, str], ours: states.Ours, agents: Collection[AgentRows]
    ) -> dict[str, dict[str, SeenState]]:
        """Every destination that is wanted, or is ours and an instance still has it."""
        sets = {uid: set_id for set_id, uid in owners.items()}
        keys = {(sets[a.uid], row.uri) for a in agents if a.uid in sets for row in a.rows}
        for instance in self._instances.values():
            keys.update(key for key in instance.view.memory or {} if key in ours)
        return self._combined(owners, keys)

    def _beside(
        self, owners: Mapping[int, str], ours: states.Ours
    ) -> dict[str, dict[str, SeenState]]:
        """Every row of others in a set of ours that an instance has."""
        held = {key for i in self._instances.values() for key in i.view.memory or {}}
        return self._combined(owners, {key for key in held if key[0] in owners and key not in ours})

    def _combined(
        self, owners: Mapping[int, str], keys: Collection[Key]
    ) -> dict[str, dict[str, SeenState]]:
        found: dict[str, dict[str, SeenState]] = {}
        for key in sorted(keys):
            seen = states.combined(instance.seen(key) for instance in self._instances.values())
            found.setdefault(owners[key[0]], {})[key[1]] = seen
        return found

    def _errors(self, lost: Mapping[str, str]) -> dict[str, str | None]:
        return {**lost, **{url: found.view.error for url, found in self._instances.items()}}

    def _look_again_s(
        self, seen: Mapping[str, Mapping[str, SeenState]], lost: Mapping[str, str]
    ) -> float | None:
        waits = [i.look_again_s() for i in self._instances.values()]
        if any(self._errors(lost).values()):
            waits.append(_RETRY_S)
        if any(state is SeenState.PROBING for rows in seen.values() for state in rows.values()):
            waits.append(self._timing.probe_interval_s)
        return min((wait for wait in waits if wait is not None), default=None)


def _outcome(agent: AgentRows, plan: Plan, seen: Mapping[str, SeenState]) -> AgentOutcome:
    found = plan.agents.get(agent.uid)
    if found is None:
        return AgentOutcome(agent.uid, seen=seen)
    return AgentOutcome(
        agent.uid, found.set_id, tuple(found.accepted), found.refused, seen, found.problem
    )
