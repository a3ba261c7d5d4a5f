"""The audit log: rows that are added and nothing else.

The trigger refuses to change or delete a row, or to empty the table, to whoever it is. The owner of
the table can take the trigger away: what was changed then, the chain of hashes shows.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE audit_entries (
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
    )
    """,
    "CREATE INDEX idx_audit_entries_session_id ON audit_entries (session_id)",
    "CREATE INDEX idx_audit_entries_customer ON audit_entries (customer, at)",
    """
    CREATE FUNCTION refuse_change_of_audit() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of the audit log are never changed or deleted'
            USING ERRCODE = 'insufficient_privilege';
    END
    $$
    """,
    "CREATE TRIGGER keep_audit_entries BEFORE UPDATE OR DELETE ON audit_entries"
    " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()",
    "CREATE TRIGGER keep_all_audit_entries BEFORE TRUNCATE ON audit_entries"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()",
    "ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER keep_audit_entries",
    "ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER keep_all_audit_entries",
)
_DOWN = (
    "DROP TABLE audit_entries",
    "DROP FUNCTION refuse_change_of_audit()",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
