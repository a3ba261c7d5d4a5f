"""A SIP proxy in memory, below the driver: its database as `Store` and `Database` show it, and
instances as `Commands` do. The driver above them is the real one, and so is the dialect's logic.

Faults: `Tables.away`, `Tables.loses_answer` (the next commit takes effect and is not told),
`Running.away` (its RPC; calls go on), `Running.loses_answers` (commands take effect, not told).
"""

import copy
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from callfleet_operator.ports.proxy import ProxyDatabaseUnavailable, StaleEpoch
from callfleet_operator.proxies.dialect import Dialect
from callfleet_operator.proxies.diff import StoredRow
from callfleet_operator.proxies.errors import RpcError
from callfleet_operator.proxies.plan import Claim, Plan, Snapshot
from callfleet_operator.proxies.rows import Columns, Held, Key, MemoryRow, Stored

_HELD = {Stored.NEW: Held.WAITING, Stored.ACTIVE: Held.ACTIVE, Stored.DRAINED: Held.DRAINED}
_FOREIGN = Columns(0, "", "somebody=else")
PROBE_S = 1.0
# How long after a drain the answer to a probe in flight may still undo it, as was measured.
_IN_FLIGHT_S = {"kamailio": PROBE_S, "opensips": 2.0}


@dataclass
class TableState:
    """All that the database holds. `dispatcher` is the proxy's own table, foreign rows as well."""

    epoch: int = 0
    revision: int = 0
    sets: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    freed: dict[int, tuple[str, float]] = field(default_factory=dict)
    owned: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)  # row id, pod UID
    dispatcher: dict[int, tuple[Key, Columns]] = field(default_factory=dict)
    numbers: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    foreign_numbers: frozenset[str] = frozenset()  # rows of nobody's
    others: dict[str, str] = field(default_factory=dict)  # another installation's: number -> owner
    ids: int = 0

    def copied(self) -> "TableState":
        new = copy.copy(self)
        for name in ("sets", "names", "freed", "owned", "dispatcher", "numbers", "others"):
            setattr(new, name, dict(getattr(self, name)))
        return new

    def insert(self, key: Key, columns: Columns) -> int:
        assert all(there != key for there, _ in self.dispatcher.values()), "unique (setid, uri)"
        self.ids += 1
        self.dispatcher[self.ids] = (key, columns)
        return self.ids


class Tables:
    """Database and store in one."""

    def __init__(self, dialect: Any, clock: Any, quarantine_s: float) -> None:
        self.proxy = "default"
        self.dialect: Dialect = dialect
        self.state = TableState()
        self.away = False
        self.loses_answer = False
        self.commits = 0  # of writers
        self.refused = 0  # writers of an older epoch
        self._clock = clock
        self._quarantine_s = quarantine_s

    def now(self) -> float:
        return float(self._clock.monotonic())

    # --- Database -----------------------------------------------------------------------------
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[TableState]:
        if self.away:
            raise ProxyDatabaseUnavailable("away")
        state = self.state.copied()
        yield state
        self.state = state
        if self.loses_answer:
            self.loses_answer = False
            raise ProxyDatabaseUnavailable("the answer to the commit was lost")

    async def close(self) -> None:
        return

    # --- Store --------------------------------------------------------------------------------
    async def lead(self, state: TableState, epoch: int) -> None:
        if epoch < state.epoch:
            self.refused += 1
            raise StaleEpoch(epoch, state.epoch)
        state.epoch = epoch

    async def owners(self, state: TableState) -> dict[int, str]:
        freed = {set_id: uid for set_id, (uid, _) in state.freed.items()}
        return freed | {set_id: uid for uid, set_id in state.sets.items()}

    async def foreign_rows(self, state: TableState, _first: int, _last: int) -> set[Key]:
        return {key for key, _ in self.foreign(state).values()}

    async def snapshot(self, state: TableState, first: int, last: int) -> Snapshot:
        now = self._clock.monotonic()
        for set_id, (_, at) in list(state.freed.items()):
            if now > at + self._quarantine_s:
                del state.freed[set_id]
        foreign = await self.foreign_rows(state, first, last)
        rows = {
            (uid, uri): StoredRow(
                row_id, state.sets[uid], uri, pod_uid, _columns(state, row_id, state.sets[uid], uri)
            )
            for (uid, uri), (row_id, pod_uid) in state.owned.items()
        }
        return Snapshot(
            sets=dict(state.sets),
            rows=rows,
            numbers={
                number: Claim(uid, state.names[uid], ours=True, attrs=attrs)
                for number, (uid, attrs) in state.numbers.items()
            }
            | {
                number: Claim("another", owner, ours=False, attrs="set=9")
                for number, owner in state.others.items()
            },
            freed={set_id: uid for set_id, (uid, _) in state.freed.items()},
            unusable_sets={
                *state.freed,
                *state.sets.values(),
                *(key[0] for key in foreign if first <= key[0] <= last),
            },
            foreign_rows=foreign,
            foreign_numbers=state.foreign_numbers,
            revision=state.revision,
        )

    async def execute(self, state: TableState, plan: Plan) -> None:
        for number in plan.numbers.delete:
            del state.numbers[number]
        for name in plan.rows.delete:
            row_id, _ = state.owned.pop(name)
            state.dispatcher.pop(row_id, None)
        for uid in plan.gone:
            set_id = state.sets.pop(uid)
            state.freed[set_id] = (uid, self._clock.monotonic())
        for uid, found in plan.agents.items():
            if found.set_id is not None and uid not in state.sets:
                assert found.set_id not in {*state.sets.values(), *state.freed}, "a set at rest"
                strangers = {key[0] for key, _ in self.foreign(state).values()}
                assert found.set_id not in strangers, "a set with foreign rows"
                state.sets[uid], state.names[uid] = found.set_id, found.agent.owner
        self._write_numbers(state, plan)
        for row, columns in plan.rows.insert:
            state.owned[row.uid, row.uri] = (state.insert(row.key, columns), row.pod_uid)
        for row, columns, row_id in plan.rows.update:
            state.dispatcher[row_id] = (row.key, columns)
            state.owned[row.uid, row.uri] = (row_id, row.pod_uid)
        state.revision = plan.revision
        self.commits += 1

    @staticmethod
    def _write_numbers(state: TableState, plan: Plan) -> None:
        for number, (uid, attrs) in plan.numbers.insert.items():
            assert number not in state.numbers, "unique number"
            state.numbers[number] = (uid, attrs)
        for number, attrs in (plan.numbers.restore | plan.numbers.update).items():
            state.numbers[number] = (state.numbers[number][0], attrs)

    # --- what other people do -----------------------------------------------------------------
    def add_foreign(self, key: Key) -> None:
        if all(there != key for there, _ in self.state.dispatcher.values()):
            self.state.insert(key, _FOREIGN)

    def foreign(self, state: TableState | None = None) -> dict[int, tuple[Key, Columns]]:
        state = state or self.state
        ours = {row_id for row_id, _ in state.owned.values()}
        return {i: row for i, row in state.dispatcher.items() if i not in ours}

    def lose_row(self, row_id: int) -> None:
        """Somebody deletes a row of ours from the proxy's own table."""
        self.state.dispatcher.pop(row_id, None)

    def add_foreign_number(self, number: str, *, claimed: bool) -> None:
        """Somebody else's row of the dialplan, or another installation's claim; first come."""
        state = self.state
        if number in state.numbers or number in state.others or number in state.foreign_numbers:
            return
        if claimed:
            state.others[number] = "elsewhere/agent"
        else:
            state.foreign_numbers |= {number}

    def lose_number(self, number: str) -> None:
        uid, _ = self.state.numbers[number]
        self.state.numbers[number] = (uid, None)


def _columns(state: TableState, row_id: int, set_id: int, uri: str) -> Columns | None:
    key, columns = state.dispatcher.get(row_id, ((0, ""), _FOREIGN))
    return columns if key == (set_id, uri) else None


class Running:
    """One instance: what it holds and where it sends calls, whether its RPC answers or not."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.rows: dict[Key, MemoryRow] = {}
        self.loaded = 0
        self.numbers: dict[str, tuple[str, str | None]] = {}
        self.away = False
        self.down = False  # its process: sends no calls
        self.loses_answers = False
        self.faults = 0  # commands that failed
        self.changes = 0  # reloads and states that were set
        self.drained_at: dict[Key, float] = {}
        self.restart()

    def active(self) -> Iterator[Key]:
        if not self.down:
            yield from (key for key, row in self.rows.items() if row.held is Held.ACTIVE)

    def restart(self) -> None:
        """It forgets everything; without its database it does not start."""
        self.rows, self.down = {}, True
        if not self._tables.away:
            self.down = False
            self._load(keep=False)
            self._load_numbers()

    def probe(self, answers: Callable[[str], bool], late: Callable[[str], bool]) -> None:
        """A probe interval passes. `answers(uri)` is whether a pod does; `late(uri)`: does the
        answer to a probe that was under way as its row was drained make the row active again?"""
        for key, row in self.rows.items():
            if "pod=" not in row.mark:
                continue  # somebody else's
            if row.held is not Held.DRAINED:
                held = Held.ACTIVE if answers(key[1]) else Held.WAITING
            else:
                flew = self.in_flight(key) and late(key[1])
                held = Held.ACTIVE if flew else Held.DRAINED
            self.rows[key] = MemoryRow(held, row.mark)

    def in_flight(self, key: Key) -> bool:
        """A probe of a row that was drained may still be answered."""
        since = self._tables.now() - self.drained_at.get(key, float("-inf"))
        return since < _IN_FLIGHT_S[self._tables.dialect.name]

    def set_foreign(self, key: Key, held: Held) -> None:
        """Its owner takes a row of his in or out of service."""
        if key in self.rows and "pod=" not in self.rows[key].mark:
            self.rows[key] = MemoryRow(held, self.rows[key].mark)

    # --- Commands -----------------------------------------------------------------------------
    async def memory(self) -> dict[Key, MemoryRow]:
        self._answer()
        return dict(self.rows)

    async def revision(self) -> int:
        self._answer()
        return self.loaded

    async def reload_destinations(self) -> None:
        self._needs_database()
        self.changes += 1
        self._load(keep=not self._tables.dialect.reload_forgets_states)
        self._lose()

    async def reload_numbers(self) -> None:
        self._needs_database()
        self.changes += 1
        self._load_numbers()
        self._lose()

    async def set_state(self, key: Key, held: Held) -> None:
        self._answer()
        if key not in self.rows:
            self.faults += 1
            raise RpcError("set_state: no such destination", refused=True)
        self.changes += 1
        if held is Held.DRAINED and self.rows[key].held is not Held.DRAINED:
            self.drained_at[key] = self._tables.now()
        self.rows[key] = MemoryRow(held, self.rows[key].mark)
        self._lose()

    def _answer(self) -> None:
        if self.away or self.down:
            self.faults += 1
            raise RpcError("away")

    def _needs_database(self) -> None:
        self._answer()
        if self._tables.away:
            self.faults += 1
            raise RpcError("reload: 500", refused=True)

    def _lose(self) -> None:
        if self.loses_answers:
            self.faults += 1
            raise RpcError("no answer in time")

    def _load_numbers(self) -> None:
        self.loaded = self._tables.state.revision
        self.numbers = dict(self._tables.state.numbers)

    def _load(self, *, keep: bool) -> None:
        dialect = self._tables.dialect
        before, self.rows = self.rows, {}
        for key, columns in self._tables.state.dispatcher.values():
            stored = dialect.stored(columns)
            held = _HELD[stored] if stored is not None else Held.ACTIVE
            if keep and key in before:
                held = before[key].held
            self.rows[key] = MemoryRow(held, dialect.mark(columns))
