"""Which rows of the dispatcher table to write: a pure diff of what is stored and what is wanted."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from .dialect import Dialect
from .rows import Columns, Key, Stored, WantedMemory


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of ours. `columns` is None when somebody deleted it from the proxy's table."""

    row_id: int
    set_id: int
    uri: str
    pod_uid: str
    columns: Columns | None


@dataclass(frozen=True, slots=True)
class WantedDestination:
    """A row as it should be, but for what the table says of its state."""

    uid: str
    set_id: int
    uri: str
    pod_uid: str
    takes_calls: bool
    share: int
    description: str

    @property
    def key(self) -> Key:
        return self.set_id, self.uri

    def memory(self, dialect: Dialect) -> WantedMemory:
        columns = dialect.columns(Stored.ACTIVE, self.share, self.pod_uid)
        return WantedMemory(self.takes_calls, dialect.mark(columns))


@dataclass(slots=True)
class RowChanges:
    """Writes of destinations. `delete` has (agent UID, URI)."""

    delete: list[tuple[str, str]] = field(default_factory=list)
    insert: list[tuple[WantedDestination, Columns]] = field(default_factory=list)
    update: list[tuple[WantedDestination, Columns, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.delete or self.insert or self.update)


def row_changes(
    stored: Mapping[tuple[str, str], StoredRow],
    wanted: Iterable[WantedDestination],
    active: Collection[Key],
    dialect: Dialect,
) -> RowChanges:
    """What to write. `active`: destinations that an instance sends calls to now."""
    changes = RowChanges()
    kept = set()
    for row in wanted:
        name = (row.uid, row.uri)
        before = stored.get(name)
        columns = dialect.columns(
            stored_state(row, before, dialect, active=row.key in active), row.share, row.pod_uid
        )
        if before is None or before.columns is None or before.set_id != row.set_id:
            changes.insert.append((row, columns))
        else:
            kept.add(name)
            if before.columns != columns or before.pod_uid != row.pod_uid:
                changes.update.append((row, columns, before.row_id))
    changes.delete.extend(sorted(name for name in stored if name not in kept))
    return changes


def stored_state(
    row: WantedDestination, before: StoredRow | None, dialect: Dialect, *, active: bool
) -> Stored:
    """What the table should say: what a proxy that starts now may believe without a probe.

    A row is written as active only after a probe of the same pod was answered, so that neither a
    new pod, nor one that comes back from a drain, nor a new pod at an old address takes calls
    before it is known to live; and it stays so, so that a restart of the proxy loses no call.
    """
    if not row.takes_calls:
        return Stored.DRAINED
    if before is None or before.columns is None or before.pod_uid != row.pod_uid:
        return Stored.NEW
    said = dialect.stored(before.columns)
    if said is Stored.ACTIVE or (said is Stored.NEW and active):
        return Stored.ACTIVE
    return Stored.NEW
