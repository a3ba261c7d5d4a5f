"""One bounded connection to a proxy's database, which may be away, hang or be restarted.

Every use is under one time limit; a connection that failed in any way is thrown away, never closed
politely, because a database that hangs would make us wait for its good-bye.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from callfleet_operator.ports.proxy import ProxyDatabaseUnavailable, ProxyError, ProxyMisconfigured

from .migrations import SEARCH_PATH

_OURS_TO_MEND = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedTableError,
    asyncpg.ClientConfigurationError,
)
_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server ended the connection while a statement was sent
)
Check = Callable[[asyncpg.Connection], Awaitable[None]]
"""Looks at a new connection's database. Raises ProxyMisconfigured."""


class Database:
    """Hands out its one connection inside a transaction, to one task at a time."""

    def __init__(self, read_url: Callable[[], str], limit_s: float, check: Check) -> None:
        self._read_url = read_url
        self._limit_s = limit_s
        self._check = check
        self._connection: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits when the block ends well.

        Connecting has the time limit, and so has the whole block; so have the statements on the
        server, so that no lock is kept by an operator that is gone.
        Raises ProxyDatabaseUnavailable, ProxyMisconfigured.
        """
        try:
            async with self._lock, self._bounded(await self._connected()) as connection:
                yield connection
        except ProxyError:
            raise
        except _OURS_TO_MEND as error:
            raise ProxyMisconfigured(type(error).__name__) from error
        except TimeoutError:
            raise ProxyDatabaseUnavailable(f"no answer in {self._limit_s:g} s") from None
        except _AWAY as error:
            raise ProxyDatabaseUnavailable(type(error).__name__) from error

    async def close(self) -> None:
        """Let go of the connection; never waits."""
        self._drop()

    @asynccontextmanager
    async def _bounded(self, connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
        """Time is up when the connection is cut: cancelling a statement instead would make asyncpg
        open one more connection to a server that hangs, and wait for it for ever."""
        fuse = asyncio.get_running_loop().call_later(self._limit_s, connection.terminate)
        try:
            await connection.execute("BEGIN")
            yield connection
            await connection.execute("COMMIT")
        except ProxyError:
            await connection.execute("ROLLBACK")
            raise
        except BaseException:
            blown = connection.is_closed()
            self._drop()
            if blown and fuse.when() <= asyncio.get_running_loop().time():
                raise TimeoutError from None
            raise
        finally:
            fuse.cancel()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection:
        milliseconds = str(int(self._limit_s * 1000))
        async with asyncio.timeout(self._limit_s):
            connection = await asyncpg.connect(
                self._read_url(),
                timeout=self._limit_s,
                server_settings={
                    "application_name": "callfleet-operator",
                    "search_path": SEARCH_PATH,
                    "statement_timeout": milliseconds,
                    "lock_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": milliseconds,
                },
            )
        fuse = asyncio.get_running_loop().call_later(self._limit_s, connection.terminate)
        try:
            await self._check(connection)
        except BaseException:
            connection.terminate()
            raise
        finally:
            fuse.cancel()
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
