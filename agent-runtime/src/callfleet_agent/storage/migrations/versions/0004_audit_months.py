"""The audit log by months, so that a month can leave as a whole, and notes of those that have left.

Rows that are there move to the partitions of their months; none goes to the default one, which is
for a month that was not made in time.
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = """
    stream VARCHAR(32) NOT NULL,
    sequence BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    phase VARCHAR(10) NOT NULL,
    operation VARCHAR(50) NOT NULL,
    outcome VARCHAR(50) NOT NULL,
    request_id UUID,
    session_id UUID,
    actor VARCHAR(400) NOT NULL,
    correlation_id VARCHAR(36) NOT NULL,
    customer VARCHAR(100) NOT NULL,
    previous BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    seal BYTEA NOT NULL,
    PRIMARY KEY (stream, sequence)
"""
_ASIDE = (
    "ALTER TABLE audit_entries RENAME TO audit_entries_before",
    "ALTER INDEX audit_entries_pkey RENAME TO audit_entries_before_pkey",
    "ALTER INDEX idx_audit_entries_session_id RENAME TO idx_audit_entries_before_session_id",
    "ALTER INDEX idx_audit_entries_customer RENAME TO idx_audit_entries_before_customer",
)
_INDEXES = (
    "CREATE INDEX idx_audit_entries_session_id ON audit_entries (session_id)",
    "CREATE INDEX idx_audit_entries_customer ON audit_entries (customer, at)",
)
_OVER = (
    "INSERT INTO audit_entries SELECT * FROM audit_entries_before",
    "DROP TABLE audit_entries_before",
)
_ARCHIVES = """
    CREATE TABLE audit_archives (
        stream VARCHAR(32) PRIMARY KEY,
        rows BIGINT NOT NULL,
        digest BYTEA NOT NULL,
        file VARCHAR(255) NOT NULL,
        sha256 BYTEA NOT NULL,
        archived_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        seal BYTEA NOT NULL
    )
"""


def _rows_are_kept(table: str) -> tuple[str, ...]:
    return (
        f"CREATE TRIGGER keep_audit_entries BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()",
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER keep_audit_entries",
    )


def _table_is_kept(table: str) -> tuple[str, ...]:
    return (
        f"CREATE TRIGGER keep_all_audit_entries BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()",
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER keep_all_audit_entries",
    )


def _run(*statements: str) -> None:
    for statement in statements:
        op.execute(statement)


def _partition(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    following = f"{year + number // 12:04}-{number % 12 + 1:02}"
    name = f"audit_entries_y{year:04}m{number:02}"
    op.execute(
        f"CREATE TABLE {name} PARTITION OF audit_entries"
        f" FOR VALUES FROM ('{month}') TO ('{following}')"
    )
    return name


def upgrade() -> None:
    _run(*_ASIDE)
    op.execute(f"CREATE TABLE audit_entries ({_COLUMNS}) PARTITION BY RANGE (stream)")
    op.execute("CREATE TABLE audit_entries_default PARTITION OF audit_entries DEFAULT")
    months = op.get_bind().execute(
        text(
            "SELECT DISTINCT left(stream, 7) FROM audit_entries_before"
            " WHERE stream ~ '^[0-9]{4}-(0[1-9]|1[0-2])[.]'"
        )
    )
    named: list[str] = sorted(months.scalars())
    partitions = [_partition(month) for month in named]
    _run(*_INDEXES, *_OVER, *_rows_are_kept("audit_entries"))
    for table in ("audit_entries", "audit_entries_default", *partitions):
        _run(*_table_is_kept(table))
    for table in ("audit_entries_default", *partitions):
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER keep_audit_entries")
    _run(_ARCHIVES, *_rows_are_kept("audit_archives"), *_table_is_kept("audit_archives"))


def downgrade() -> None:
    _run(*_ASIDE)
    op.execute(f"CREATE TABLE audit_entries ({_COLUMNS})")
    _run(*_INDEXES, *_OVER)
    _run(*_rows_are_kept("audit_entries"), *_table_is_kept("audit_entries"))
    op.execute("DROP TABLE audit_archives")
