"""Calls, their contexts and their banking transactions, by months.

The tables, checks, indexes and the trigger are those of the platform's data model. session_id
stays the primary key of call_sessions, and what the others refer to, because partitions follow the
time inside the id (UUID version 7); a default partition takes every other id.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE call_sessions (
        session_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        caller_phone VARCHAR(20) NOT NULL,
        call_start_time TIMESTAMPTZ NOT NULL DEFAULT now(),
        call_end_time TIMESTAMPTZ,
        sip_call_id VARCHAR(255) NOT NULL,
        status VARCHAR(20) NOT NULL CONSTRAINT call_sessions_status
            CHECK (status IN ('ACTIVE', 'COMPLETED', 'FAILED', 'INTERRUPTED')),
        ai_provider_config JSONB,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        caller_phone_sealed JSONB,
        avc_instance VARCHAR(253) NOT NULL DEFAULT '',
        voice_agent VARCHAR(253) NOT NULL DEFAULT '',
        version BIGINT NOT NULL DEFAULT 1
    ) PARTITION BY RANGE (session_id)
    """,
    """
    CREATE TABLE conversation_contexts (
        context_id UUID NOT NULL DEFAULT gen_random_uuid(),
        session_id UUID NOT NULL REFERENCES call_sessions (session_id) ON DELETE CASCADE,
        conversation_history JSONB NOT NULL DEFAULT '[]'::jsonb,
        current_intent VARCHAR(100),
        customer_data JSONB,
        last_updated TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires_at TIMESTAMPTZ NOT NULL,
        version BIGINT NOT NULL DEFAULT 1,
        PRIMARY KEY (context_id, session_id)
    ) PARTITION BY RANGE (session_id)
    """,
    """
    CREATE TABLE banking_transactions (
        transaction_id UUID NOT NULL DEFAULT gen_random_uuid(),
        session_id UUID NOT NULL REFERENCES call_sessions (session_id) ON DELETE CASCADE,
        customer_id VARCHAR(100),
        transaction_type VARCHAR(50) NOT NULL,
        authentication_status VARCHAR(20) NOT NULL
            CONSTRAINT banking_transactions_authentication_status
            CHECK (authentication_status IN ('PENDING', 'VERIFIED', 'FAILED')),
        query_parameters JSONB,
        response_data JSONB,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        customer_id_sealed JSONB,
        PRIMARY KEY (transaction_id, session_id)
    ) PARTITION BY RANGE (session_id)
    """,
    """
    CREATE TABLE applied_requests (
        request_id UUID NOT NULL,
        session_id UUID NOT NULL REFERENCES call_sessions (session_id) ON DELETE CASCADE,
        version BIGINT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (request_id, session_id)
    ) PARTITION BY RANGE (session_id)
    """,
    "CREATE TABLE call_sessions_default PARTITION OF call_sessions DEFAULT",
    "CREATE TABLE conversation_contexts_default PARTITION OF conversation_contexts DEFAULT",
    "CREATE TABLE banking_transactions_default PARTITION OF banking_transactions DEFAULT",
    "CREATE TABLE applied_requests_default PARTITION OF applied_requests DEFAULT",
    "CREATE INDEX idx_call_sessions_status ON call_sessions (status)",
    "CREATE INDEX idx_call_sessions_start_time ON call_sessions (call_start_time)",
    "CREATE INDEX idx_call_sessions_sip_call_id ON call_sessions (sip_call_id)",
    # One context a session: a second one is a lost update.
    "CREATE UNIQUE INDEX idx_conversation_contexts_session_id"
    " ON conversation_contexts (session_id)",
    "CREATE INDEX idx_conversation_contexts_expires_at ON conversation_contexts (expires_at)",
    "CREATE INDEX idx_banking_transactions_session_id ON banking_transactions (session_id)",
    "CREATE INDEX idx_banking_transactions_customer_id ON banking_transactions (customer_id)",
    "CREATE INDEX idx_applied_requests_session_id ON applied_requests (session_id)",
    """
    CREATE FUNCTION update_updated_at_column() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
        NEW.updated_at := now();
        RETURN NEW;
    END
    $$
    """,
    "CREATE TRIGGER update_call_sessions_updated_at BEFORE UPDATE ON call_sessions"
    " FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()",
)
_DOWN = (
    "DROP TABLE applied_requests",
    "DROP TABLE banking_transactions",
    "DROP TABLE conversation_contexts",
    "DROP TABLE call_sessions",
    "DROP FUNCTION update_updated_at_column()",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
