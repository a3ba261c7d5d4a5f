"""Months of calls: each table has one partition a month, by the time inside the session id.

Ids of another version than 7, and months that were not made in time, go to the default partition;
nothing is refused for the want of a partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from callfleet_agent.session.identifiers import first_of
from callfleet_agent.storage.tables import PARTITIONED

MONTHS_AHEAD: Final = 3
MIGRATION_LOCK: Final = 0x63616C6D
"""The advisory lock of whoever changes partitions."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar, UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """The month of a moment."""
        at = moment.astimezone(UTC)
        return cls(at.year, at.month)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def partition(self, table: str) -> str:
        """The name of its partition."""
        return f"{table}_y{self.year:04}m{self.month:02}"


def months_from(first: Month, count: int) -> Iterator[Month]:
    """So many months in a row."""
    month = first
    for _ in range(count):
        yield month
        month = month.next


def month_of_partition(name: str, table: str = "call_sessions") -> Month | None:
    """The month of a table's partition, None for the default one."""
    year, found, month = name.removeprefix(f"{table}_y").partition("m")
    if not found or not (year.isdigit() and month.isdigit()):
        return None
    return Month(int(year), int(month))


def create_month(month: Month) -> tuple[str, ...]:
    """Statements that make a month's partitions, parents first."""
    low, high = first_of(month.start), first_of(month.next.start)
    return tuple(
        f"CREATE TABLE IF NOT EXISTS {month.partition(table)} PARTITION OF {table} "
        f"FOR VALUES FROM ('{low}') TO ('{high}')"
        for table in PARTITIONED
    )


def drop_month(month: Month) -> tuple[str, ...]:
    """Statements that drop a month's partitions, children first."""
    return tuple(
        statement
        for table in reversed(PARTITIONED)
        for statement in (
            f"ALTER TABLE {table} DETACH PARTITION {month.partition(table)}",
            f"DROP TABLE {month.partition(table)}",
        )
    )
