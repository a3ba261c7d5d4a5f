"""Whose each session is, and by what a proof that comes again is known.

Sessions that name their agent belong to that agent from now on; others can be seen by the platform
alone.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = (
    "ALTER TABLE call_sessions ADD COLUMN owner VARCHAR(400) NOT NULL DEFAULT ''",
    """
    UPDATE call_sessions
    SET owner = 'spiffe://callfleet.io/ns/' || replace(voice_agent, '/', '/voiceagent/')
    WHERE voice_agent ~ '^[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}$'
    """,
    "ALTER TABLE banking_transactions ADD COLUMN request_digest BYTEA",
    "CREATE INDEX idx_banking_transactions_request_digest ON banking_transactions (created_at)"
    " WHERE request_digest IS NOT NULL",
)
_DOWN = (
    "ALTER TABLE banking_transactions DROP COLUMN request_digest",
    "ALTER TABLE call_sessions DROP COLUMN owner",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
