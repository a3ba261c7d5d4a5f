"""Kamailio 5.6 and later: dispatcher table version 4, dialplan 2, JSON-RPC over xhttp."""

from collections.abc import Iterator, Mapping
from typing import Any

from .dialect import Rpc, Statements
from .errors import RpcError
from .numbers import REVISION_KEY, REVISION_PLAN, revision_of
from .rows import Columns, Held, Key, MemoryRow, Stored, pod_mark
from .weights import slots

# Flags of a destination: 1 inactive, 4 disabled, 8 probing. Only inactive and disabled are skipped.
_FLAGS = {Stored.NEW: 1 | 8, Stored.ACTIVE: 8, Stored.DRAINED: 4}
_STORED = {flags: stored for stored, flags in _FLAGS.items()}
_SET_STATE = {Held.ACTIVE: "ap", Held.WAITING: "ip", Held.DRAINED: "d"}
_HELD = {"A": Held.ACTIVE, "T": Held.ACTIVE, "I": Held.WAITING, "D": Held.DRAINED}

_STATEMENTS = Statements(
    read_destinations="SELECT id, setid, destination, flags AS state, '' AS weight, attrs "
    "FROM dispatcher WHERE id = ANY($1::int[])",
    insert_destinations="INSERT INTO dispatcher "
    "(setid, destination, flags, priority, attrs, description) "
    "SELECT s, d, f, 0, a, t FROM unnest($1::int[], $2::text[], $3::int[], $4::text[], "
    "$5::text[], $6::text[]) AS n(s, d, f, w, a, t) RETURNING id, setid, destination",
    update_destinations="UPDATE dispatcher SET flags = n.f, attrs = n.a FROM unnest($1::int[], "
    "$2::int[], $3::text[], $4::text[]) AS n(i, f, w, a) WHERE id = n.i",
    insert_numbers="INSERT INTO dialplan "
    "(dpid, pr, match_op, match_exp, match_len, subst_exp, repl_exp, attrs) "
    "SELECT $1, 0, 0, e, length(e), '', '', a FROM unnest($2::text[], $3::text[]) AS n(e, a) "
    "RETURNING id, match_exp",
)


class Kamailio:
    """The dialect. A reload forgets every runtime state, so states are set again after it."""

    name = "kamailio"
    default_path = "/RPC"
    table_versions: Mapping[str, int] = {"dispatcher": 4, "dialplan": 2}
    statements = _STATEMENTS
    reload_forgets_states = True
    # A reload frees the list that was current before the last one: a worker that still walks it
    # must have finished, so two reloads keep this distance.
    reload_gap_s = 0.5

    def columns(self, stored: Stored, share: int, pod_uid: str) -> Columns:
        weight = f"rweight={share};" if share else ""
        return Columns(_FLAGS[stored], "", weight + pod_mark(pod_uid))

    def stored(self, columns: Columns) -> Stored | None:
        return _STORED.get(columns.state)

    def mark(self, columns: Columns) -> str:
        return columns.attrs

    def shares(self, weights: Mapping[str, int]) -> Mapping[str, int]:
        return slots(weights)

    def settle_s(self, probe_interval_s: float) -> float:
        """A probe's answer is dropped for a disabled row, but for one that is being handled."""
        return probe_interval_s

    def commands(self, rpc: Rpc) -> "KamailioCommands":
        return KamailioCommands(rpc)


class KamailioCommands:
    """Remote commands of one instance."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def memory(self) -> dict[Key, MemoryRow]:
        try:
            answer = await self._rpc.call("dispatcher.list")
        except RpcError as error:
            if error.refused and "No Destination Sets" in str(error):
                return {}
            raise
        try:
            return dict(_rows(answer))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise RpcError("dispatcher.list: an answer that is not understood") from error

    async def revision(self) -> int:
        try:
            answer = await self._rpc.call("dialplan.translate", [REVISION_PLAN, REVISION_KEY])
        except RpcError as error:
            if error.refused:
                return 0
            raise
        return revision_of(answer, "Attributes")

    async def reload_destinations(self) -> None:
        await self._rpc.call("dispatcher.reload")

    async def reload_numbers(self) -> None:
        await self._rpc.call("dialplan.reload")

    async def set_state(self, key: Key, held: Held) -> None:
        await self._rpc.call("dispatcher.set_state", [_SET_STATE[held], key[0], key[1]])


def _rows(answer: Any) -> Iterator[tuple[Key, MemoryRow]]:
    for record in answer["RECORDS"]:
        for target in record["SET"]["TARGETS"]:
            dest = target["DEST"]
            attrs = dest.get("ATTRS", {}).get("BODY", "")
            key = (int(record["SET"]["ID"]), str(dest["URI"]))
            yield key, MemoryRow(_HELD[dest["FLAGS"][0]], str(attrs))
