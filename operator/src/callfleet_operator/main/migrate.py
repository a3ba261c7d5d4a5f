"""`callfleet-operator migrate`: a proxy's tables, and the roles that are not their owner's."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.main import logs
from callfleet_operator.ports.errors import PortError
from callfleet_operator.proxies import migrate

_log = logging.getLogger(__name__)

RETRY_S = 0.5
CONNECT_LIMIT_S = 5.0
AWAY = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `callfleet-operator migrate` takes."""
    url = "file with postgresql://USER:PASSWORD@HOST:PORT/NAME of "
    parser.add_argument(
        "--database-url-file",
        type=Path,
        required=True,
        metavar="FILE",
        help=url + "a role that may make tables, and roles where the next two are given",
    )
    parser.add_argument(
        "--operator-url-file",
        type=Path,
        metavar="FILE",
        help=url + "the operator's role; it is made or updated, and granted what it needs",
    )
    parser.add_argument(
        "--proxy-url-file",
        type=Path,
        metavar="FILE",
        help=url + "the proxy's role; it is made or updated, and may read",
    )
    parser.add_argument("--driver", required=True, choices=("kamailio", "opensips"))
    parser.add_argument(
        "--wait-seconds",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for a database that is starting",
    )
    parser.add_argument(
        "--stay",
        type=Path,
        metavar="FILE",
        help="make FILE when done, and stay until SIGTERM: beside a database, as its readiness",
    )


def run(options: argparse.Namespace) -> int:
    """The exit status: 0, or 1 with a line that says what is wrong."""
    logs.configure("INFO")
    try:
        asyncio.run(_run(options))
    except (PortError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"callfleet-operator: {error}\n")
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    stopped = _stopped_by_signal() if options.stay else None
    url = _read(options.database_url_file)
    await _until_there(url, options.wait_seconds)
    roles = [
        await _ensure_role(url, path) if path else None
        for path in (options.operator_url_file, options.proxy_url_file)
    ]
    steps = await migrate(url, options.driver, role=roles[0], proxy_role=roles[1])
    _log.info("the database is up to date", extra={"steps": len(steps)})
    if stopped:
        options.stay.touch()
        await stopped.wait()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


async def _until_there(url: str, limit_s: float) -> None:
    """Wait for a database that does not answer yet; raises what it last said."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while True:
        try:
            connection = await asyncpg.connect(url, timeout=CONNECT_LIMIT_S)
        except AWAY:
            if loop.time() >= deadline:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            await connection.close(timeout=CONNECT_LIMIT_S)
            return


async def _ensure_role(owner_url: str, path: Path) -> str:
    """Make the role that a file's URL names, with its password; answers its name."""
    parts = urlsplit(_read(path))
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not name or not password:
        raise ConfigurationError(f"{path}: give postgresql://USER:PASSWORD@HOST:PORT/NAME")
    connection = await asyncpg.connect(owner_url, timeout=CONNECT_LIMIT_S)
    try:
        known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
        verb = "ALTER" if known else "CREATE"
        # Utility statements take no parameters: the server quotes.
        statement = await connection.fetchval(
            f"SELECT format('{verb} ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", name, password
        )
        await connection.execute(statement)
    finally:
        await connection.close(timeout=CONNECT_LIMIT_S)
    return name


def _stopped_by_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped
