"""What differs between the proxies: columns, words and remote commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .rows import Columns, Held, Key, MemoryRow, Stored


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements that name columns of the proxy's own tables. Parameters are arrays."""

    read_destinations: str  # id, setid, destination, state, weight, attrs
    insert_destinations: str  # setids, destinations, states, weights, attrs, descriptions -> id
    update_destinations: str  # ids, states, weights, attrs
    insert_numbers: str  # dpid, match_exps, attrs -> id, match_exp


class Commands(Protocol):
    """One instance's remote commands. All raise RpcError."""

    async def memory(self) -> dict[Key, MemoryRow]: ...

    async def revision(self) -> int:
        """Which revision of the numbers is loaded; 0 when none is."""
        ...

    async def reload_destinations(self) -> None: ...

    async def reload_numbers(self) -> None: ...

    async def set_state(self, key: Key, held: Held) -> None: ...


class Rpc(Protocol):
    """A remote call with a time limit. Raises RpcError."""

    async def call(self, method: str, params: object = None) -> object: ...


class Dialect(Protocol):
    """One kind of proxy."""

    name: str
    default_path: str
    table_versions: Mapping[str, int]
    statements: Statements
    reload_forgets_states: bool
    reload_gap_s: float

    def columns(self, stored: Stored, share: int, pod_uid: str) -> Columns: ...

    def stored(self, columns: Columns) -> Stored | None:
        """What the columns say, None when somebody wrote what we never write."""
        ...

    def mark(self, columns: Columns) -> str:
        """What an instance shows of these columns once it has loaded them."""
        ...

    def shares(self, weights: Mapping[str, int]) -> Mapping[str, int]: ...

    def settle_s(self, probe_interval_s: float) -> float:
        """How long after a drain the answer to a probe in flight may still undo it."""
        ...

    def commands(self, rpc: Rpc) -> Commands: ...
