"""From the operator's settings to a driver."""

import time
from asyncio import sleep
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import asyncpg

from callfleet_operator.model.settings import NumberClaim, ProxySettings
from callfleet_operator.ports.clock import Clock

from .database import Database
from .dialect import Dialect
from .driver import TableProxy, Timing
from .endpoints import Endpoints, fixed, headless
from .kamailio import Kamailio
from .migrations import check_schema, check_table_versions
from .opensips import OpenSips
from .plan import Rules
from .store import Store

DIALECTS: dict[str, Callable[[], Dialect]] = {"kamailio": Kamailio, "opensips": OpenSips}


class SystemClock:
    """The machine's clock and the loop's sleep."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await sleep(seconds)


def open_proxy(
    settings: ProxySettings,
    *,
    installation: str,
    timing: Timing | None = None,
    clock: Clock | None = None,
) -> TableProxy:
    """A driver for one proxy of the settings. Connects to nothing yet.

    The database's URL is read from its file at every connection, so that a changed password is
    found.
    """
    dialect = DIALECTS[settings.driver]()
    timing = timing or Timing(probe_interval_s=settings.probe_interval_seconds)
    url_file = Path(settings.database_url_file)
    database = Database(
        lambda: url_file.read_text(encoding="utf-8").strip(),
        timing.database_limit_s,
        partial(_check, settings.driver),
    )
    rules = Rules(
        settings.set_ids.first, settings.set_ids.last, partial(allowed, settings.number_claims)
    )
    store = Store(installation, settings.name, dialect, timing.quarantine_s)
    endpoints = _endpoints(settings, dialect)
    return TableProxy(store, database, endpoints, rules, timing, clock or SystemClock())


def allowed(claims: Sequence[NumberClaim], namespace: str, number: str) -> bool:
    """Some claim names the namespace (or all) and a beginning of the number."""
    return any(
        ("*" in claim.namespaces or namespace in claim.namespaces)
        and number.startswith(tuple(claim.prefixes))
        for claim in claims
    )


def _endpoints(settings: ProxySettings, dialect: Dialect) -> Endpoints:
    if settings.service is None:
        return fixed([str(url) for url in settings.endpoints])
    service = settings.service
    host = f"{service.name}.{service.namespace}.svc"
    return headless(host, service.port, service.path or dialect.default_path)


async def _check(driver: str, connection: asyncpg.Connection) -> None:
    await check_schema(connection)
    await check_table_versions(connection, driver)
