"""A caller's last call is found without reading the hour's calls of everybody."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX idx_call_sessions_caller ON call_sessions (caller_phone, call_start_time)"
    )


def downgrade() -> None:
    op.execute("DROP INDEX idx_call_sessions_caller")
