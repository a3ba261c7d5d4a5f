"""Who gets which set id and which numbers, and which rows the tables should have.

Pure: a snapshot of the database and what is wanted go in, a plan of writes comes out. The plan is
executed in the transaction that read the snapshot.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from callfleet_operator.ports.proxy import AgentProblem, AgentRows, Refusal, RefusalReason

from .dialect import Dialect
from .diff import RowChanges, StoredRow, WantedDestination, row_changes
from .rows import Key, WantedMemory
from .weights import equal


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has a number. `attrs` is what its dialplan row says, None when the row is missing."""

    uid: str
    owner: str
    ours: bool
    attrs: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database holds. `sets`, `rows`, `freed` are this installation's on this proxy."""

    sets: Mapping[str, int] = field(default_factory=dict)  # agent UID -> set id
    rows: Mapping[tuple[str, str], StoredRow] = field(default_factory=dict)  # agent UID, URI
    numbers: Mapping[str, Claim] = field(default_factory=dict)  # of every installation
    freed: Mapping[int, str] = field(default_factory=dict)  # set id -> last agent, in quarantine
    unusable_sets: Collection[int] = frozenset()  # others', foreign rows', in quarantine
    foreign_rows: Collection[Key] = frozenset()  # in sets of ours, and in those that may become so
    foreign_numbers: Collection[str] = frozenset()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What this installation may do on this proxy."""

    first_set_id: int
    last_set_id: int
    allowed: Callable[[str, str], bool]  # namespace, number

    @property
    def range(self) -> tuple[int, int]:
        return self.first_set_id, self.last_set_id


@dataclass(slots=True)
class AgentPlan:
    """What one agent gets."""

    agent: AgentRows
    set_id: int | None = None
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)
    problem: AgentProblem | None = None


@dataclass(slots=True)
class NumberChanges:
    """Writes of numbers and their dialplan rows."""

    delete: list[str] = field(default_factory=list)
    insert: dict[str, tuple[str, str]] = field(default_factory=dict)  # number -> agent UID, attrs
    restore: dict[str, str] = field(default_factory=dict)  # the dialplan row is missing: attrs
    update: dict[str, str] = field(default_factory=dict)  # number -> attrs

    def __bool__(self) -> bool:
        return bool(self.delete or self.insert or self.restore or self.update)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write and what every instance should then hold."""

    agents: Mapping[str, AgentPlan]
    gone: Sequence[str]
    numbers: NumberChanges
    rows: RowChanges
    wanted: Mapping[Key, WantedMemory]
    owners: Mapping[int, str]  # set id -> agent UID, freed sets too
    foreign: Collection[Key]
    revision: int


def make_plan(
    snapshot: Snapshot,
    agents: Iterable[AgentRows],
    rules: Rules,
    dialect: Dialect,
    active: Collection[Key],
) -> Plan:
    """What to write for these agents. `active`: destinations that an instance sends calls to."""
    listed = {agent.uid: agent for agent in agents}
    plans = {uid: AgentPlan(agent) for uid, agent in listed.items() if not agent.gone}
    gone = sorted(uid for uid in snapshot.sets if uid not in plans)
    _give_sets(snapshot, plans, rules)
    _tell_of_strangers(snapshot, plans)
    numbers = _give_numbers(snapshot, plans, rules)
    wanted = _wanted_rows(snapshot, plans, dialect)
    rows = row_changes(snapshot.rows, wanted, active, dialect)
    owners = {**snapshot.freed, **{snapshot.sets[uid]: uid for uid in gone}}
    owners |= {plan.set_id: uid for uid, plan in plans.items() if plan.set_id is not None}
    return Plan(
        plans,
        gone,
        numbers,
        rows,
        {row.key: row.memory(dialect) for row in wanted},
        owners,
        snapshot.foreign_rows,
        snapshot.revision + bool(numbers),
    )


def _give_sets(snapshot: Snapshot, plans: Mapping[str, AgentPlan], rules: Rules) -> None:
    taken = {*snapshot.unusable_sets, *snapshot.sets.values(), *snapshot.freed}
    free = (i for i in range(rules.first_set_id, rules.last_set_id + 1) if i not in taken)
    for uid, plan in plans.items():
        plan.set_id = snapshot.sets.get(uid)
        if plan.set_id is None:
            plan.set_id = next(free, None)
        if plan.set_id is None:
            plan.problem = AgentProblem.SET_IDS_EXHAUSTED


def _tell_of_strangers(snapshot: Snapshot, plans: Mapping[str, AgentPlan]) -> None:
    """Calls to an agent's number go to every row of its set, whoever wrote it."""
    strange = {set_id for set_id, _ in snapshot.foreign_rows}
    for plan in plans.values():
        if plan.set_id in strange:
            plan.problem = AgentProblem.FOREIGN_ROW_BESIDE


def _give_numbers(
    snapshot: Snapshot, plans: Mapping[str, AgentPlan], rules: Rules
) -> NumberChanges:
    changes = NumberChanges()
    claims = dict(snapshot.numbers)
    for number, claim in snapshot.numbers.items():
        if claim.ours and not _keeps(plans.get(claim.uid), number, rules):
            del claims[number]
            changes.delete.append(number)
    for uid, plan in plans.items():
        attrs = number_attrs(plan)
        for number in plan.agent.numbers if plan.set_id is not None else ():
            refusal = _refusal(plan.agent, number, claims, snapshot, rules)
            if refusal is not None:
                plan.refused[number] = refusal
                continue
            plan.accepted.append(number)
            _write_number(number, uid, attrs, snapshot.numbers.get(number), changes)
            claims[number] = Claim(uid, plan.agent.owner, ours=True, attrs=attrs)
    return changes


def _keeps(plan: AgentPlan | None, number: str, rules: Rules) -> bool:
    return (
        plan is not None
        and number in plan.agent.numbers
        and rules.allowed(plan.agent.namespace, number)
    )


def _refusal(
    agent: AgentRows, number: str, claims: Mapping[str, Claim], snapshot: Snapshot, rules: Rules
) -> Refusal | None:
    if not rules.allowed(agent.namespace, number):
        return Refusal(RefusalReason.NOT_ALLOWED)
    if number in claims:
        claim = claims[number]
        mine = claim.ours and claim.uid == agent.uid
        return None if mine else Refusal(RefusalReason.CLAIMED, claim.owner)
    return Refusal(RefusalReason.CLAIMED) if number in snapshot.foreign_numbers else None


def _write_number(
    number: str, uid: str, attrs: str, before: Claim | None, changes: NumberChanges
) -> None:
    if before is None or before.uid != uid:
        changes.insert[number] = (uid, attrs)
    elif before.attrs is None:
        changes.restore[number] = attrs
    elif before.attrs != attrs:
        changes.update[number] = attrs


def number_attrs(plan: AgentPlan) -> str:
    """What the proxy's script reads for a number: at most 64 characters."""
    weights = {row.uri: row.weight for row in plan.agent.rows}
    choice = "rr" if equal(weights) else "weighted"
    return f"set={plan.set_id};alg={choice};media={plan.agent.media}"


def _wanted_rows(
    snapshot: Snapshot, plans: Mapping[str, AgentPlan], dialect: Dialect
) -> list[WantedDestination]:
    wanted = []
    for uid, plan in plans.items():
        if plan.set_id is None:
            continue
        weights = {row.uri: row.weight for row in plan.agent.rows}
        shares = dict.fromkeys(weights, 1) if equal(weights) else dialect.shares(weights)
        for row in plan.agent.rows:
            if (plan.set_id, row.uri) in snapshot.foreign_rows:
                plan.problem = AgentProblem.FOREIGN_ROW
                continue
            share = shares[row.uri] if row.weight else 1  # 0 is drained: its share is moot
            description = plan.agent.owner[:64]
            wanted.append(
                WantedDestination(
                    uid, plan.set_id, row.uri, row.pod_uid, row.takes_calls, share, description
                )
            )
    return wanted
