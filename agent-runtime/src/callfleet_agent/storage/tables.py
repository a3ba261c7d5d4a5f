"""The tables as SQLAlchemy sees them. The migrations make them; a test compares the two.

Types are those of the platform's data model. Columns that hold what belongs to a customer keep
their types: JSONB holds a sealed value, a searched text holds a fingerprint, and the text itself is
sealed in the column beside it.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata: Final = MetaData()
PARENT: Final = "call_sessions.session_id"
PHONE_LENGTH: Final = 20
CUSTOMER_LENGTH: Final = 52
OWNER_LENGTH: Final = 400


def _moment(name: str, *, nullable: bool = False, default: bool = True) -> Column[object]:
    server_default = func.now() if default else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=server_default)


def _session() -> Column[object]:
    parent = ForeignKey(PARENT, ondelete="CASCADE")
    return Column("session_id", UUID(), parent, primary_key=True, nullable=False)


call_sessions: Final = Table(
    "call_sessions",
    metadata,
    Column("session_id", UUID(), primary_key=True, server_default=func.gen_random_uuid()),
    Column("caller_phone", String(PHONE_LENGTH), nullable=False),
    _moment("call_start_time"),
    _moment("call_end_time", nullable=True, default=False),
    Column("sip_call_id", String(255), nullable=False),
    Column("status", String(20), nullable=False),
    Column("ai_provider_config", JSONB(none_as_null=True)),
    _moment("created_at"),
    _moment("updated_at"),
    Column("caller_phone_sealed", JSONB(none_as_null=True)),
    Column("avc_instance", String(253), nullable=False, server_default=""),
    Column("voice_agent", String(253), nullable=False, server_default=""),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("owner", String(OWNER_LENGTH), nullable=False, server_default=""),
    CheckConstraint(
        "status IN ('ACTIVE', 'COMPLETED', 'FAILED', 'INTERRUPTED')", name="call_sessions_status"
    ),
    Index("idx_call_sessions_status", "status"),
    Index("idx_call_sessions_start_time", "call_start_time"),
    Index("idx_call_sessions_sip_call_id", "sip_call_id"),
    Index("idx_call_sessions_caller", "caller_phone", "call_start_time"),
    postgresql_partition_by="RANGE (session_id)",
)

conversation_contexts: Final = Table(
    "conversation_contexts",
    metadata,
    Column("context_id", UUID(), primary_key=True, server_default=func.gen_random_uuid()),
    _session(),
    Column(
        "conversation_history",
        JSONB(none_as_null=True),
        nullable=False,
        server_default=text("'[]'::jsonb"),
    ),
    Column("current_intent", String(100)),
    Column("customer_data", JSONB(none_as_null=True)),
    _moment("last_updated"),
    _moment("expires_at", default=False),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Index("idx_conversation_contexts_session_id", "session_id", unique=True),
    Index("idx_conversation_contexts_expires_at", "expires_at"),
    postgresql_partition_by="RANGE (session_id)",
)

banking_transactions: Final = Table(
    "banking_transactions",
    metadata,
    Column("transaction_id", UUID(), primary_key=True, server_default=func.gen_random_uuid()),
    _session(),
    Column("customer_id", String(100)),
    Column("transaction_type", String(50), nullable=False),
    Column("authentication_status", String(20), nullable=False),
    Column("query_parameters", JSONB(none_as_null=True)),
    Column("response_data", JSONB(none_as_null=True)),
    _moment("created_at"),
    Column("customer_id_sealed", JSONB(none_as_null=True)),
    Column("request_digest", LargeBinary),
    CheckConstraint(
        "authentication_status IN ('PENDING', 'VERIFIED', 'FAILED')",
        name="banking_transactions_authentication_status",
    ),
    Index("idx_banking_transactions_session_id", "session_id"),
    Index("idx_banking_transactions_customer_id", "customer_id"),
    Index(
        "idx_banking_transactions_request_digest",
        "created_at",
        postgresql_where=text("request_digest IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (session_id)",
)

applied_requests: Final = Table(
    "applied_requests",
    metadata,
    Column("request_id", UUID(), primary_key=True),
    _session(),
    Column("version", BigInteger, nullable=False),
    _moment("created_at"),
    Index("idx_applied_requests_session_id", "session_id"),
    postgresql_partition_by="RANGE (session_id)",
)

PARTITIONED: Final = (
    "call_sessions",
    "conversation_contexts",
    "banking_transactions",
    "applied_requests",
)
