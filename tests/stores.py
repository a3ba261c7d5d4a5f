"""What the tests of the platform's stores share: keys, a schema, and servers that may be killed."""

import asyncio
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import psutil
import pytest

from callfleet_agent.session.identifiers import uuid7
from callfleet_agent.storage.cache import Cache
from callfleet_agent.storage.database import Database, DatabaseSettings
from callfleet_agent.storage.schema import migrate
from callfleet_agent.storage.sealing import Sealer
from ports import free_port


class Server(Protocol):
    """A store that listens, or a database of one."""

    @property
    def url(self) -> str: ...


KEYS = {"k1": bytes(range(32)), "k2": bytes(range(32, 64))}
INDEX_KEY = bytes(range(64, 96))


def sealer(current: str = "k1") -> Sealer:
    return Sealer(current, KEYS, INDEX_KEY)


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> UUID:
    return uuid7(int(time.time() * 1000), random.getrandbits(74))


def database(url: str, **settings: float) -> Database:
    """With limits that are kept on a busy machine, too: no test of the stores is about them."""
    given = {"pool_wait_s": 60.0, "connect_s": 60.0, "statement_s": 120.0, **settings}
    return Database(DatabaseSettings(url=url, **given))  # type: ignore[arg-type]


def cache(url: str) -> Cache:
    """The same."""
    return Cache(url, limit_s=60.0)


def migrated(url: str) -> None:
    """The schema, in a loop of its own."""

    async def bring_up() -> None:
        async with database(url) as connected:
            await migrate(connected)

    asyncio.run(bring_up())


def program(name: str, *folders: str) -> Path:
    found = shutil.which(name)
    candidates = [Path(found)] if found else []
    for folder in folders:
        candidates += sorted(Path("/").glob(f"{folder}/{name}"), reverse=True)
    if not candidates:
        pytest.skip(f"{name} is not installed here (Debian: postgresql, redis-server)")
    return candidates[0]


class KillableServer:
    """A server process that a test kills and starts again, on the same port and data."""

    def __init__(self, command: list[str], ready: list[str], folder: Path) -> None:
        self._command, self._ready, self._folder = command, ready, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program("setpriv")), "--pdeathsig", "KILL", *self._command],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + 150
        while subprocess.run(self._ready, check=False, capture_output=True).returncode:
            failed = self._process.poll() is not None or time.monotonic() > deadline
            assert not failed, (self._folder / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9 of the server and of what it has started. All of them are gone then: PostgreSQL
        does not start again while a process of the former one still holds its memory."""
        if self._process is not None:
            process, self._process = self._process, None
            with suppress(psutil.NoSuchProcess):
                server = psutil.Process(process.pid)
                server.suspend()  # it starts nothing more
                everybody = [server, *server.children(recursive=True)]
                for one in everybody:
                    with suppress(psutil.NoSuchProcess):
                        one.kill()
                process.wait()
                _until_ended(everybody)
            process.wait()

    def freeze(self) -> None:
        """From now on it takes connections and requests, and answers none."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGSTOP)


def _until_ended(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 60
    while left := [one for one in processes if _is_alive(one)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def killable_postgres(
    files: Mapping[str, bytes] | None = None, more: Sequence[str] = ()
) -> Iterator[tuple[KillableServer, str]]:
    """A PostgreSQL of the test's own, with fsync as in life; and its URL. It gets the files into
    its folder, which more flags call {folder}."""
    initdb = program("initdb", "usr/lib/postgresql/*/bin").resolve()
    user = ("postgres" if _known("postgres") else "nobody") if os.geteuid() == 0 else None
    become: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="callfleet-postgres-"))
    if user:
        group = str(pwd.getpwnam(user).pw_gid)
        become = [
            str(program("setpriv")), "--reuid", user, "--regid", group, "--clear-groups",
        ]  # fmt: skip
        shutil.chown(folder, user)
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
        shutil.chown(folder / name, user or os.geteuid())
    data, port = folder / "data", free_port()
    made = [*become, str(initdb), "-D", str(data), "-U", "callfleet", "--auth=trust", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    flags = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
    flags += [word.replace("{folder}", str(folder)) for word in more]
    postgres = str(initdb.with_name("postgres"))
    server = KillableServer(
        [*become, postgres, "-D", str(data), "-p", str(port), *flags],
        [str(initdb.with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)],
        folder,
    )
    server.start()
    try:
        yield server, f"postgresql://callfleet@127.0.0.1:{port}/postgres"
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def killable_redis(folder: Path, more: Sequence[str] = ()) -> Iterator[tuple[KillableServer, str]]:
    """A Redis of the test's own, without persistence; and its URL. With the flags of TLS it listens
    for nothing else."""
    port = free_port()
    command = [str(program("redis-server")), "--port", str(port), "--bind", "127.0.0.1", *more]
    asks = [str(program("redis-cli")), "-p", str(port)]
    scheme = "redis"
    if "--tls-port" in more:
        command += ["--tls-port", str(port), "--port", "0"]
        asks += ["--tls", "--insecure"]
        scheme = "rediss"
    server = KillableServer(
        [*command, "--save", "", "--dir", str(folder)],
        [*asks, "ping"],
        folder,
    )
    server.start()
    try:
        yield server, f"{scheme}://127.0.0.1:{port}/0"
    finally:
        server.kill()


def _known(user: str) -> bool:
    return user in {entry.pw_name for entry in pwd.getpwall()}
