"""The connection pool to PostgreSQL, and its errors as ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self
from weakref import WeakSet

import asyncpg
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from callfleet_agent.storage.errors import StoreUnavailableError

_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.TransactionRollbackError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where PostgreSQL is (postgresql://user@host:port/database, with libpq's parameters: sslmode,
    sslrootcert and their like), and how long it may take."""

    url: str = field(repr=False)
    pool: int = 10
    pool_wait_s: float = 2.0
    connect_s: float = 3.0
    statement_s: float = 5.0


class Database:
    """A pool of connections; a transaction commits when its block ends without an error."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._opened: WeakSet[asyncpg.Connection[asyncpg.Record]] = WeakSet()
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=settings.pool,
            max_overflow=0,
            pool_timeout=settings.pool_wait_s,
            pool_recycle=1800,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()
        for connection in list(self._opened):  # of work that nobody waited for
            if not connection.is_closed():
                connection.terminate()
        await asyncio.sleep(0)

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        settings = self._settings
        connection = await asyncpg.connect(
            settings.url,  # whole, since SQLAlchemy does not know what libpq's parameters mean
            timeout=settings.connect_s,
            command_timeout=settings.statement_s,
            server_settings={
                "application_name": "callfleet",
                "statement_timeout": str(int(settings.statement_s * 1000)),
                "idle_in_transaction_session_timeout": "15000",
            },
        )
        self._opened.add(connection)
        return connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction.

        Raises:
            StoreUnavailableError: PostgreSQL cannot be reached, is too slow, or gave up on it.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (PoolTimeoutError, OperationalError, InterfaceError) as error:
            raise StoreUnavailableError(type(error).__name__) from error
        except DBAPIError as error:
            if error.connection_invalidated or _is_away(error):
                raise StoreUnavailableError(type(error).__name__) from error
            raise
        except _AWAY as error:
            raise StoreUnavailableError(type(error).__name__) from error

    async def ping(self) -> None:
        """Raises StoreUnavailableError when no statement can be run."""
        async with self.transaction() as connection:
            await connection.exec_driver_sql("SELECT 1")


def _is_away(error: SQLAlchemyError) -> bool:
    """Whether the driver's error below says that the server went away or gave up."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _AWAY):
            return True
        cause = cause.__cause__
    return False
