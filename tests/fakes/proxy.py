"""FakeProxy: a proxy in memory, with the behaviour of the real drivers and faults to switch on.

Time is an argument: `clock` is the running loop's time unless another is given, so that a test in
virtual time sees probes answer when it says so. The contract test (tests/integration) runs the same
cases here, on Kamailio and on OpenSIPS.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from callfleet_operator.ports.proxy import (
    AgentOutcome,
    AgentProblem,
    AgentRows,
    Observation,
    ProxyDatabaseUnavailable,
    Refusal,
    RefusalReason,
    SeenState,
    StaleEpoch,
    SyncOutcome,
)

Row = tuple[int, str]  # set id, URI
_AWAY = "connection refused"
_SILENT = "no answer in time"


@dataclass
class FakeRow:
    """A row as the database holds it."""

    pod_uid: str
    takes_calls: bool
    weight: int
    owner: str = ""  # agent UID, empty for a foreign row


@dataclass
class FakeMemory:
    """A row as an instance holds it; `since`: when it became inactive or began to wait."""

    row: FakeRow
    state: SeenState
    since: float


@dataclass
class FakeInstance:
    """One running proxy: its memory, and whether its RPC answers (None), is away, or hangs."""

    fault: str | None = None
    rows: dict[Row, FakeMemory] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)


def _allow_all(_namespace: str, _number: str) -> bool:
    return True


class FakeProxy:
    """See the port for what sync and observe promise.

    Faults: `database_away`, `database_hangs` (the time limit passes first), `rpc_away(endpoint)`,
    `rpc_hangs(endpoint)`, `rpc_back(endpoint)`, `kill(uri)` and `revive(uri)` for a pod that
    answers no probe, `probe_s` (how long a new row waits for its first answer), `settle_s` (how
    long after a drain a probe in flight may still change it).
    """

    def __init__(
        self,
        name: str = "default",
        *,
        endpoints: Iterable[str] = ("http://127.0.0.1:5066/RPC",),
        set_ids: tuple[int, int] = (1000, 1999),
        allowed: Callable[[str, str], bool] = _allow_all,
        clock: Callable[[], float] | None = None,
        probe_s: float = 1.0,
        settle_s: float = 0.0,
        quarantine_s: float = 60.0,
        time_limit_s: float = 5.0,
    ) -> None:
        self._name = name
        self.set_ids = set_ids
        self.allowed = allowed
        self.probe_s = probe_s
        self.settle_s = settle_s
        self.quarantine_s = quarantine_s
        self.time_limit_s = time_limit_s
        self._clock = clock
        self.instances = {endpoint: FakeInstance() for endpoint in endpoints}
        self.dead: set[str] = set()
        self.database_away = False
        self.database_hangs = False
        self.epoch = 0
        self.rows: dict[Row, FakeRow] = {}
        self.sets: dict[str, int] = {}
        self.freed: dict[int, float] = {}
        self.numbers: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.foreign_numbers: dict[str, str] = {}
        self.syncs = 0
        self.observes = 0
        self.reloads = 0
        self.closed = False

    @property
    def name(self) -> str:
        return self._name

    # --- faults and looks for tests -----------------------------------------------------------
    def rpc_away(self, endpoint: str) -> None:
        self.instances[endpoint].fault = _AWAY

    def rpc_hangs(self, endpoint: str) -> None:
        self.instances[endpoint].fault = _SILENT

    def rpc_back(self, endpoint: str) -> None:
        self.instances[endpoint].fault = None

    def kill(self, uri: str) -> None:
        self.dead.add(uri)

    def revive(self, uri: str) -> None:
        self.dead.discard(uri)

    def restart(self, endpoint: str) -> None:
        """The instance loads the database again and has forgotten everything else."""
        self._load(self.instances[endpoint], forget=True)

    def add_foreign_row(self, set_id: int, uri: str) -> None:
        self.rows[set_id, uri] = FakeRow("", takes_calls=True, weight=1)

    def add_foreign_number(self, number: str, attrs: str = "") -> None:
        self.foreign_numbers[number] = attrs

    def active(self, set_id: int) -> set[str]:
        """The destinations of a set that every instance sends calls to."""
        held = [self._active_of(instance, set_id) for instance in self.instances.values()]
        return set.intersection(*held)

    def route(self, number: str) -> set[str]:
        """Where a call to a number would go, at the first instance."""
        instance = next(iter(self.instances.values()))
        return self._active_of(instance, instance.numbers.get(number, -1))

    # --- the port -----------------------------------------------------------------------------
    async def sync(self, agents: Sequence[AgentRows], *, epoch: int) -> SyncOutcome:
        self.syncs += 1
        await self._reach_database()
        if epoch < self.epoch:
            raise StaleEpoch(epoch, self.epoch)
        self.epoch = epoch
        outcomes = self._write(agents)
        await self._reach_instances()
        for instance in self.instances.values():
            if instance.fault is None:
                self._load(instance, forget=False)
        seen = self._look(agents)
        outcomes = {
            uid: AgentOutcome(
                uid, found.set_id, found.accepted, found.refused, seen.agents[uid], found.problem
            )
            for uid, found in outcomes.items()
        }
        problems = [found.problem for found in outcomes.values() if found.problem is not None]
        good = seen.complete and not any(problem.keeps_rows_out for problem in problems)
        return SyncOutcome(
            outcomes,
            seen.instances,
            in_sync=good,
            look_again_s=seen.look_again_s,
            beside=seen.beside,
        )

    async def observe(self) -> Observation:
        self.observes += 1
        await self._reach_database()
        await self._reach_instances()
        return self._look(())

    async def close(self) -> None:
        self.closed = True

    # --- database -----------------------------------------------------------------------------
    async def _reach_database(self) -> None:
        if self.database_hangs:
            await asyncio.sleep(self.time_limit_s)
        if self.database_hangs or self.database_away:
            raise ProxyDatabaseUnavailable(_SILENT if self.database_hangs else _AWAY)

    def _write(self, agents: Sequence[AgentRows]) -> dict[str, AgentOutcome]:
        wanted = {agent.uid: agent for agent in agents if not agent.gone}
        for uid in [uid for uid in self.sets if uid not in wanted]:
            self._release(uid)
        for number, uid in list(self.numbers.items()):
            if uid not in wanted or number not in wanted[uid].numbers:
                del self.numbers[number]
        outcomes = {agent.uid: AgentOutcome(agent.uid) for agent in agents if agent.gone}
        for agent in wanted.values():
            outcomes[agent.uid] = self._write_agent(agent)
        return outcomes

    def _write_agent(self, agent: AgentRows) -> AgentOutcome:
        self.owners[agent.uid] = agent.owner
        set_id = self.sets.get(agent.uid) or self._allocate()
        if set_id is None:
            return AgentOutcome(agent.uid, problem=AgentProblem.SET_IDS_EXHAUSTED)
        self.sets[agent.uid] = set_id
        refused = {n: r for n in agent.numbers if (r := self._claim(agent, n)) is not None}
        wanted = {(set_id, row.uri): row for row in agent.rows}
        for key in [
            k for k, row in self.rows.items() if row.owner == agent.uid and k not in wanted
        ]:
            del self.rows[key]
        foreign = False
        for key, row in wanted.items():
            if key in self.rows and not self.rows[key].owner:
                foreign = True
            else:
                self.rows[key] = FakeRow(row.pod_uid, row.takes_calls, row.weight, agent.uid)
        return AgentOutcome(
            agent.uid,
            set_id,
            tuple(number for number in agent.numbers if number not in refused),
            refused,
            problem=AgentProblem.FOREIGN_ROW if foreign else self._beside(set_id),
        )

    def _beside(self, set_id: int) -> AgentProblem | None:
        strange = any(held == set_id and not row.owner for (held, _), row in self.rows.items())
        return AgentProblem.FOREIGN_ROW_BESIDE if strange else None

    def _allocate(self) -> int | None:
        taken = {*self.sets.values(), *(set_id for set_id, _ in self.rows)}
        now = self._now()
        for set_id in range(self.set_ids[0], self.set_ids[1] + 1):
            resting = now < self.freed.get(set_id, -self.quarantine_s) + self.quarantine_s
            if set_id not in taken and not resting:
                return set_id
        return None

    def _claim(self, agent: AgentRows, number: str) -> Refusal | None:
        if not self.allowed(agent.namespace, number):
            self.numbers.pop(number, None)
            return Refusal(RefusalReason.NOT_ALLOWED)
        if number in self.foreign_numbers:
            return Refusal(RefusalReason.CLAIMED)
        owner = self.numbers.setdefault(number, agent.uid)
        return None if owner == agent.uid else Refusal(RefusalReason.CLAIMED, self.owners[owner])

    def _release(self, uid: str) -> None:
        self.freed[self.sets.pop(uid)] = self._now()
        for key in [key for key, row in self.rows.items() if row.owner == uid]:
            del self.rows[key]

    # --- instances ----------------------------------------------------------------------------
    async def _reach_instances(self) -> None:
        if any(instance.fault == _SILENT for instance in self.instances.values()):
            await asyncio.sleep(self.time_limit_s)

    def _load(self, instance: FakeInstance, *, forget: bool) -> None:
        self._probe(instance)
        numbers = {number: self.sets[uid] for number, uid in self.numbers.items()}
        before = {} if forget else instance.rows
        if before.keys() != self.rows.keys() or instance.numbers != numbers:
            self.reloads += 1
        instance.numbers = numbers
        instance.rows = {key: self._loaded(row, before.get(key)) for key, row in self.rows.items()}

    def _loaded(self, row: FakeRow, old: FakeMemory | None) -> FakeMemory:
        if old is not None and old.row == row:
            return old
        state = SeenState.PROBING if row.takes_calls else SeenState.INACTIVE
        if not row.owner:
            state = SeenState.ACTIVE
        unchanged = (
            old is not None
            and old.row.pod_uid == row.pod_uid
            and old.row.takes_calls == row.takes_calls
        )
        return FakeMemory(
            row,
            old.state if old is not None and unchanged else state,
            old.since if old is not None and unchanged else self._now(),
        )

    def _probe(self, instance: FakeInstance) -> None:
        for (_, uri), memory in instance.rows.items():
            if not memory.row.takes_calls:
                continue
            if uri in self.dead:
                memory.state, memory.since = SeenState.PROBING, self._now()
            elif self._now() >= memory.since + self.probe_s:
                memory.state = SeenState.ACTIVE

    def _look(self, agents: Sequence[AgentRows]) -> Observation:
        for instance in self.instances.values():
            self._probe(instance)
        uris: dict[str, set[str]] = {uid: set() for uid in self.sets}
        uris.update({agent.uid: {row.uri for row in agent.rows} for agent in agents})
        for instance in self.instances.values():
            for (_, uri), memory in instance.rows.items():
                if memory.row.owner:
                    uris.setdefault(memory.row.owner, set()).add(uri)
        agents_seen = {
            uid: {uri: self._seen(uid, uri) for uri in sorted(known)} for uid, known in uris.items()
        }
        return Observation(
            agents_seen,
            {endpoint: instance.fault for endpoint, instance in self.instances.items()},
            self._look_again(agents_seen),
            {
                uid: {
                    uri: self._seen("", uri)
                    for instance in self.instances.values()
                    for (held, uri), memory in instance.rows.items()
                    if held == set_id and not memory.row.owner
                }
                for uid, set_id in self.sets.items()
            },
        )

    def _seen(self, uid: str, uri: str) -> SeenState:
        states = set()
        for instance in self.instances.values():
            if instance.fault is not None:
                return SeenState.UNKNOWN
            held = [m for (_, u), m in instance.rows.items() if u == uri and m.row.owner == uid]
            states.add(self._settled(held[0]) if held else SeenState.ABSENT)
        if len(states) == 1:
            return states.pop()
        out = all(state.out for state in states)
        return SeenState.INACTIVE if out else SeenState.PROBING

    def _settled(self, memory: FakeMemory) -> SeenState:
        waits = memory.state is SeenState.INACTIVE and self._now() < memory.since + self.settle_s
        return SeenState.PROBING if waits else memory.state

    def _look_again(self, seen: dict[str, dict[str, SeenState]]) -> float | None:
        moving = {SeenState.PROBING, SeenState.UNKNOWN}
        open_ = any(state in moving for states in seen.values() for state in states.values())
        return max(self.probe_s, self.settle_s, 0.1) if open_ else None

    @staticmethod
    def _active_of(instance: FakeInstance, set_id: int) -> set[str]:
        return {
            uri
            for (held, uri), memory in instance.rows.items()
            if held == set_id and memory.state is SeenState.ACTIVE
        }

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()
