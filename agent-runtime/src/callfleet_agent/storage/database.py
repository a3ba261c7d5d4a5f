"""The connection pool to PostgreSQL, and its errors as ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self

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
    """Where PostgreSQL is (postgresql://user@host:port/database), and how long it may take."""

    url: str = field(repr=False)
    pool: int = 10
    pool_wait_s: float = 2.0
    connect_s: float = 3.0
    statement_s: float = 5.0

    def driver_url(self) -> str:
        """The URL with the driver that is used."""
        _, _, rest = self.url.partition("://")
        return f"postgresql+asyncpg://{rest}"


class Database:
    """A pool of connections; a transaction commits when its block ends without an error."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._engine: AsyncEngine = create_async_engine(
            settings.driver_url(),
            pool_size=settings.pool,
            max_overflow=0,
            pool_timeout=settings.pool_wait_s,
            pool_recycle=1800,
            connect_args={
                "timeout": settings.connect_s,
                "command_timeout": settings.statement_s,
                "server_settings": {
                    "application_name": "callfleet",
                    "statement_timeout": str(int(settings.statement_s * 1000)),
                    "idle_in_transaction_session_timeout": "15000",
                },
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()

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
