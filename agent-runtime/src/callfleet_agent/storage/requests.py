"""Requests that have been carried out, so that the same one again changes nothing."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_agent.storage.tables import applied_requests


async def applied_version(
    connection: AsyncConnection, session_id: UUID, request_id: UUID
) -> int | None:
    """The version that the request led to, None for one that is new."""
    statement = select(applied_requests.c.version).where(
        applied_requests.c.session_id == session_id,
        applied_requests.c.request_id == request_id,
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else int(row.version)


async def remember(
    connection: AsyncConnection, session_id: UUID, request_id: UUID, version: int
) -> None:
    """Record that the request was carried out, in the transaction that did it."""
    await connection.execute(
        insert(applied_requests).values(
            session_id=session_id, request_id=request_id, version=version
        )
    )
