"""The SQL: reads a snapshot of a proxy's database and executes a plan, in a caller's transaction.

Tables of ours are in the schema `callfleet` (migrations/0001_claims.sql); the proxy's own are
`dispatcher` and `dialplan`, whose columns the dialect's statements name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import asyncpg

from callfleet_operator.ports.proxy import StaleEpoch

from .dialect import Dialect
from .diff import RowChanges, StoredRow, WantedDestination
from .numbers import DIALPLAN, REVISION_KEY, REVISION_PLAN
from .plan import Claim, NumberChanges, Plan, Snapshot
from .rows import Columns, Key

_LOCK = 0x63616C6C


@dataclass(frozen=True, slots=True)
class Store:
    """The statements of one installation on one proxy."""

    installation: str
    proxy: str
    dialect: Dialect
    quarantine_s: float

    async def lead(self, connection: asyncpg.Connection, epoch: int) -> None:
        """Lock out every other writer until the transaction ends. Raises StaleEpoch."""
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        newest = await connection.fetchval(
            "INSERT INTO callfleet.installations AS i VALUES ($1, $2, $3) "
            "ON CONFLICT (installation, proxy) "
            "DO UPDATE SET epoch = greatest(i.epoch, excluded.epoch) RETURNING epoch",
            *self._me,
            epoch,
        )
        if newest > epoch:
            raise StaleEpoch(epoch, newest)

    async def snapshot(self, connection: asyncpg.Connection, first: int, last: int) -> Snapshot:
        """Everything that a plan for set ids `first` to `last` depends on."""
        sets = {
            row["uid"]: row["set_id"]
            for row in await connection.fetch(
                "SELECT uid, set_id FROM callfleet.agents WHERE installation = $1 AND proxy = $2",
                *self._me,
            )
        }
        freed, resting = await self._freed(connection)
        others = await connection.fetch("SELECT set_id FROM callfleet.agents")
        foreign = await self.foreign_rows(connection, first, last)
        return Snapshot(
            sets=sets,
            rows=await self._rows(connection),
            numbers=await self._numbers(connection),
            freed=freed,
            unusable_sets={row["set_id"] for row in others} | resting | {key[0] for key in foreign},
            foreign_rows=foreign,
            foreign_numbers=await self._foreign_numbers(connection),
            revision=await connection.fetchval("SELECT revision FROM callfleet.revision"),
        )

    async def owners(self, connection: asyncpg.Connection) -> dict[int, str]:
        """Set id -> agent UID, for sets that are ours or were until they began to rest."""
        rows = await connection.fetch(
            "SELECT set_id, uid FROM callfleet.freed_sets WHERE installation = $1 AND proxy = $2 "
            "UNION ALL "
            "SELECT set_id, uid FROM callfleet.agents WHERE installation = $1 AND proxy = $2",
            *self._me,
        )
        return {row["set_id"]: row["uid"] for row in rows}

    async def foreign_rows(self, connection: asyncpg.Connection, first: int, last: int) -> set[Key]:
        """Rows that nobody of ours wrote, in sets `first` to `last` and in sets given before."""
        rows = await connection.fetch(
            "SELECT setid, destination FROM dispatcher WHERE (setid BETWEEN $1 AND $2 "
            "OR setid IN (SELECT set_id FROM callfleet.agents "
            "UNION SELECT set_id FROM callfleet.freed_sets)) "
            "AND id NOT IN (SELECT dispatcher_id FROM callfleet.destinations)",
            first,
            last,
        )
        return {(row["setid"], row["destination"]) for row in rows}

    async def execute(self, connection: asyncpg.Connection, plan: Plan) -> None:
        """Write the plan; the order satisfies the tables' constraints."""
        await self._delete_numbers(connection, plan.numbers.delete)
        await self._delete_rows(connection, plan.rows.delete)
        await self._free_agents(connection, plan.gone)
        await self._write_agents(connection, plan)
        await self._write_numbers(connection, plan.numbers)
        await self._write_rows(connection, plan.rows)
        if plan.numbers:
            await self._count_revision(connection, plan.revision)

    @property
    def _me(self) -> tuple[str, str]:
        return self.installation, self.proxy

    # --- reading ------------------------------------------------------------------------------
    async def _freed(self, connection: asyncpg.Connection) -> tuple[dict[int, str], set[int]]:
        """Ours that rest, and all that rest. What has rested enough is forgotten."""
        await connection.execute(
            "DELETE FROM callfleet.freed_sets WHERE freed_at < now() - $1 * interval '1 second'",
            self.quarantine_s,
        )
        rows = await connection.fetch("SELECT * FROM callfleet.freed_sets")
        ours = {r["set_id"]: r["uid"] for r in rows if (r["installation"], r["proxy"]) == self._me}
        return ours, {row["set_id"] for row in rows}

    async def _rows(self, connection: asyncpg.Connection) -> dict[tuple[str, str], StoredRow]:
        owned = await connection.fetch(
            "SELECT d.uid, d.uri, d.pod_uid, d.dispatcher_id, a.set_id "
            "FROM callfleet.destinations d "
            "JOIN callfleet.agents a USING (installation, proxy, uid) "
            "WHERE d.installation = $1 AND d.proxy = $2",
            *self._me,
        )
        found = {
            row["id"]: row
            for row in await connection.fetch(
                self.dialect.statements.read_destinations, [row["dispatcher_id"] for row in owned]
            )
        }
        return {(row["uid"], row["uri"]): _stored(row, found) for row in owned}

    async def _numbers(self, connection: asyncpg.Connection) -> dict[str, Claim]:
        rows = await connection.fetch(
            "SELECT n.number, n.uid, a.namespace || '/' || a.name AS owner, p.attrs, "
            "n.installation = $1 AND n.proxy = $2 AS ours FROM callfleet.numbers n "
            "JOIN callfleet.agents a USING (installation, proxy, uid) "
            "LEFT JOIN dialplan p ON p.id = n.dialplan_id AND p.match_exp = n.number",
            *self._me,
        )
        return {r["number"]: Claim(r["uid"], r["owner"], r["ours"], r["attrs"]) for r in rows}

    async def _foreign_numbers(self, connection: asyncpg.Connection) -> set[str]:
        rows = await connection.fetch(
            "SELECT match_exp FROM dialplan WHERE dpid = $1 AND match_op = 0 "
            "AND id NOT IN (SELECT dialplan_id FROM callfleet.numbers)",
            DIALPLAN,
        )
        return {row["match_exp"] for row in rows}

    # --- writing ------------------------------------------------------------------------------
    async def _delete_numbers(self, connection: asyncpg.Connection, numbers: list[str]) -> None:
        if numbers:
            await connection.execute(
                "WITH gone AS (DELETE FROM callfleet.numbers WHERE number = ANY($3::text[]) "
                "AND installation = $1 AND proxy = $2 RETURNING dialplan_id) "
                "DELETE FROM dialplan WHERE id IN (SELECT dialplan_id FROM gone)",
                *self._me,
                numbers,
            )

    async def _delete_rows(
        self, connection: asyncpg.Connection, names: list[tuple[str, str]]
    ) -> None:
        if names:
            await connection.execute(
                "WITH gone AS (DELETE FROM callfleet.destinations "
                "WHERE installation = $1 AND proxy = $2 "
                "AND (uid, uri) IN (SELECT * FROM unnest($3::text[], $4::text[])) "
                "RETURNING dispatcher_id) "
                "DELETE FROM dispatcher WHERE id IN (SELECT dispatcher_id FROM gone)",
                *self._me,
                [uid for uid, _ in names],
                [uri for _, uri in names],
            )

    async def _free_agents(self, connection: asyncpg.Connection, uids: Iterable[str]) -> None:
        if uids:
            await connection.execute(
                "WITH gone AS (DELETE FROM callfleet.agents WHERE installation = $1 AND proxy = $2 "
                "AND uid = ANY($3::text[]) RETURNING set_id, uid) "
                "INSERT INTO callfleet.freed_sets (set_id, installation, proxy, uid) "
                "SELECT set_id, $1, $2, uid FROM gone",
                *self._me,
                list(uids),
            )

    async def _write_agents(self, connection: asyncpg.Connection, plan: Plan) -> None:
        agents = [found for found in plan.agents.values() if found.set_id is not None]
        await connection.execute(
            "INSERT INTO callfleet.agents AS a (installation, proxy, uid, namespace, name, set_id) "
            "SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::int[]) "
            "ON CONFLICT (installation, proxy, uid) DO NOTHING",
            *self._me,
            [found.agent.uid for found in agents],
            [found.agent.namespace for found in agents],
            [found.agent.name for found in agents],
            [found.set_id for found in agents],
        )

    async def _write_numbers(self, connection: asyncpg.Connection, changes: NumberChanges) -> None:
        attrs = {number: text for number, (_, text) in changes.insert.items()} | changes.restore
        ids = await self._insert_dialplan(connection, attrs)
        if changes.insert:
            await connection.execute(
                "INSERT INTO callfleet.numbers (installation, proxy, number, uid, dialplan_id) "
                "SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::int[])",
                *self._me,
                list(changes.insert),
                [uid for uid, _ in changes.insert.values()],
                [ids[number] for number in changes.insert],
            )
        for number in changes.restore:
            await connection.execute(
                "UPDATE callfleet.numbers SET dialplan_id = $4 "
                "WHERE installation = $1 AND proxy = $2 AND number = $3",
                *self._me,
                number,
                ids[number],
            )
        if changes.update:
            await connection.execute(
                "UPDATE dialplan SET attrs = u.a FROM unnest($3::text[], $4::text[]) AS u(n, a) "
                "JOIN callfleet.numbers c ON c.number = u.n "
                "WHERE id = c.dialplan_id AND c.installation = $1 AND c.proxy = $2",
                *self._me,
                list(changes.update),
                list(changes.update.values()),
            )

    async def _insert_dialplan(
        self, connection: asyncpg.Connection, attrs: Mapping[str, str], plan: int = DIALPLAN
    ) -> dict[str, int]:
        if not attrs:
            return {}
        rows = await connection.fetch(
            self.dialect.statements.insert_numbers, plan, list(attrs), list(attrs.values())
        )
        return {row["match_exp"]: row["id"] for row in rows}

    async def _write_rows(self, connection: asyncpg.Connection, changes: RowChanges) -> None:
        if changes.insert:
            await self._insert_rows(connection, changes.insert)
        if changes.update:
            columns = [columns for _, columns, _ in changes.update]
            await connection.execute(
                self.dialect.statements.update_destinations,
                [row_id for _, _, row_id in changes.update],
                [c.state for c in columns],
                [c.weight for c in columns],
                [c.attrs for c in columns],
            )
            await connection.execute(
                "UPDATE callfleet.destinations SET pod_uid = n.p "
                "FROM unnest($1::int[], $2::text[]) AS n(i, p) WHERE dispatcher_id = n.i",
                [row_id for _, _, row_id in changes.update],
                [row.pod_uid for row, _, _ in changes.update],
            )

    async def _insert_rows(
        self, connection: asyncpg.Connection, rows: list[tuple[WantedDestination, Columns]]
    ) -> None:
        made = await connection.fetch(
            self.dialect.statements.insert_destinations,
            [row.set_id for row, _ in rows],
            [row.uri for row, _ in rows],
            [columns.state for _, columns in rows],
            [columns.weight for _, columns in rows],
            [columns.attrs for _, columns in rows],
            [row.description for row, _ in rows],
        )
        ids = {(row["setid"], row["destination"]): row["id"] for row in made}
        await connection.execute(
            "INSERT INTO callfleet.destinations "
            "(installation, proxy, uid, uri, pod_uid, dispatcher_id) "
            "SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::int[])",
            *self._me,
            [row.uid for row, _ in rows],
            [row.uri for row, _ in rows],
            [row.pod_uid for row, _ in rows],
            [ids[row.key] for row, _ in rows],
        )

    async def _count_revision(self, connection: asyncpg.Connection, revision: int) -> None:
        attrs = f"revision={revision}"
        changed = await connection.fetchval(
            "UPDATE dialplan SET attrs = $1 FROM callfleet.revision r "
            "WHERE id = r.dialplan_id RETURNING id",
            attrs,
        )
        if changed is None:
            made = await self._insert_dialplan(connection, {REVISION_KEY: attrs}, REVISION_PLAN)
            changed = made[REVISION_KEY]
        await connection.execute(
            "UPDATE callfleet.revision SET revision = $1, dialplan_id = $2", revision, changed
        )


def _stored(row: asyncpg.Record, found: Mapping[int, asyncpg.Record]) -> StoredRow:
    table = found.get(row["dispatcher_id"])
    ours = table is not None and (table["setid"], table["destination"]) == (
        row["set_id"],
        row["uri"],
    )
    columns = Columns(table["state"], table["weight"], table["attrs"]) if table and ours else None
    return StoredRow(row["dispatcher_id"], row["set_id"], row["uri"], row["pod_uid"], columns)
