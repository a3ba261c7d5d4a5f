"""OpenSIPS 3.4 to 3.6: dispatcher table version 9, dialplan 5, management over mi_http."""

from collections.abc import Iterator, Mapping
from typing import Any

from .dialect import Rpc, Statements
from .errors import RpcError
from .numbers import REVISION_KEY, REVISION_PLAN, revision_of
from .rows import Columns, Held, Key, MemoryRow, Stored, pod_mark
from .weights import reduced

_STATES = {Stored.ACTIVE: 0, Stored.DRAINED: 1, Stored.NEW: 2}
_STORED = {state: stored for stored, state in _STATES.items()}
_SET_STATE = {Held.ACTIVE: "a", Held.WAITING: "p", Held.DRAINED: "i"}
_HELD = {"Active": Held.ACTIVE, "Probing": Held.WAITING, "Inactive": Held.DRAINED}
PROBE_TIMEOUT_S = 2.0  # fr_timeout of the configuration: how long an OPTIONS may be in flight

_STATEMENTS = Statements(
    read_destinations="SELECT id, setid, destination, state, weight, coalesce(attrs, '') AS attrs "
    "FROM dispatcher WHERE id = ANY($1::int[])",
    insert_destinations="INSERT INTO dispatcher "
    "(setid, destination, socket, state, probe_mode, weight, priority, attrs, description) "
    "SELECT s, d, NULL, f, 1, w, 0, a, t FROM unnest($1::int[], $2::text[], $3::int[], $4::text[], "
    "$5::text[], $6::text[]) AS n(s, d, f, w, a, t) RETURNING id, setid, destination",
    update_destinations="UPDATE dispatcher SET state = n.f, weight = n.w, attrs = n.a FROM unnest("
    "$1::int[], $2::int[], $3::text[], $4::text[]) AS n(i, f, w, a) WHERE id = n.i",
    insert_numbers="INSERT INTO dialplan "
    "(dpid, pr, match_op, match_exp, match_flags, disabled, attrs) "
    "SELECT $1, 0, 0, e, 0, 0, a FROM unnest($2::text[], $3::text[]) AS n(e, a) "
    "RETURNING id, match_exp",
)


class OpenSips:
    """The dialect. A reload keeps the state in memory of rows that match by set and URI."""

    name = "opensips"
    default_path = "/mi"
    table_versions: Mapping[str, int] = {"dispatcher": 9, "dialplan": 5}
    statements = _STATEMENTS
    reload_forgets_states = False
    reload_gap_s = 0.0

    def columns(self, stored: Stored, share: int, pod_uid: str) -> Columns:
        return Columns(_STATES[stored], str(share), pod_mark(pod_uid))

    def stored(self, columns: Columns) -> Stored | None:
        return _STORED.get(columns.state)

    def mark(self, columns: Columns) -> str:
        return f"weight={columns.weight};{columns.attrs}"

    def shares(self, weights: Mapping[str, int]) -> Mapping[str, int]:
        return reduced(weights)

    def settle_s(self, probe_interval_s: float) -> float:
        """An OPTIONS in flight that is answered after the drain makes the row active again."""
        return max(PROBE_TIMEOUT_S, probe_interval_s) + 0.2

    def commands(self, rpc: Rpc) -> "OpenSipsCommands":
        return OpenSipsCommands(rpc)


class OpenSipsCommands:
    """Management commands of one instance."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def memory(self) -> dict[Key, MemoryRow]:
        answer = await self._rpc.call("ds_list", {"full": 1})
        try:
            return dict(_rows(answer))
        except (KeyError, TypeError, ValueError) as error:
            raise RpcError("ds_list: an answer that is not understood") from error

    async def revision(self) -> int:
        params = {"dpid": str(REVISION_PLAN), "input": REVISION_KEY}
        try:
            answer = await self._rpc.call("dp_translate", params)
        except RpcError as error:
            if error.refused:
                return 0
            raise
        return revision_of(answer, "ATTRIBUTES")

    async def reload_destinations(self) -> None:
        await self._rpc.call("ds_reload")

    async def reload_numbers(self) -> None:
        await self._rpc.call("dp_reload")

    async def set_state(self, key: Key, held: Held) -> None:
        params = {"state": _SET_STATE[held], "group": str(key[0]), "address": key[1]}
        await self._rpc.call("ds_set_state", params)
        if held is Held.WAITING:
            # The first "p" on an inactive destination only makes it active, the second probing.
            await self._rpc.call("ds_set_state", params)


def _rows(answer: Any) -> Iterator[tuple[Key, MemoryRow]]:
    for partition in answer["PARTITIONS"]:
        for group in partition.get("SETS", ()):
            for dest in group.get("Destinations", ()):
                mark = f"weight={dest.get('weight', 1)};{dest.get('attr') or ''}"
                yield (int(group["id"]), str(dest["URI"])), MemoryRow(_HELD[dest["state"]], mark)
