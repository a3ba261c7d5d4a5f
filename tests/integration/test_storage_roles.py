"""The services' database role: it can do what the services do, and cannot change the schema."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.storage.errors import RoleError
from callfleet_agent.storage.roles import Role, ensure_role
from callfleet_agent.storage.schema import migrate
from platform_rig import proof, rigged
from stores import Server, database, killable_postgres

PASSWORD = 'it\'s "quoted" %s :x'
WITHIN_S = 120.0  # on a busy machine
ROLE = Role("Services-Role", PASSWORD)


def url_of(owner: str) -> str:
    parts = urlsplit(owner)
    quoted = "it%27s%20%22quoted%22%20%25s%20%3Ax"
    return f"postgresql://Services-Role:{quoted}@127.0.0.1:{parts.port}{parts.path}"


async def prepared(owner: str) -> str:
    async with database(owner) as connected:
        await migrate(connected)
        await ensure_role(connected, ROLE)
        await ensure_role(connected, ROLE)  # an upgrade does it again
    return url_of(owner)


async def test_the_services_do_all_of_their_work_with_it(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    url = await prepared(postgres.url)
    async with rigged(tmp_path, url, redis_server.url) as rig:
        session = await rig.session()
        answer = await rig.ask(rig.banking.AuthenticateCustomer, proof(session))
        assert answer.status == bank_pb.AUTHENTICATION_STATUS_VERIFIED
        change = context_pb.ContextUpdateRequest(session_id=session, request_id=str(uuid4()))
        change.append.add(role=context_pb.ROLE_CALLER, content="hello")
        await rig.ask(rig.contexts.UpdateContext, change)
        query = bank_pb.CardDeliveryRequest(session_id=session, customer_id="200417")
        await rig.ask(rig.banking.QueryCardDelivery, query)
        await rig.ask(rig.contexts.CleanupContext, context_pb.CleanupRequest(session_id=session))
        ending = session_pb.EndSessionRequest(
            session_id=session, reason=session_pb.EndSessionRequest.REASON_COMPLETED
        )
        await rig.ask(rig.sessions.EndSession, ending)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "DROP TABLE audit_entries",
        "ALTER TABLE call_sessions ADD COLUMN x int",
        "TRUNCATE applied_requests",
        "UPDATE audit_entries SET actor = 'me'",
        "DELETE FROM audit_entries",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
        "DELETE FROM call_sessions",
        "SELECT * FROM callfleet_platform_version",
        "CREATE ROLE other",
    ],
)
async def test_it_can_do_nothing_else(postgres: Server, statement: str) -> None:
    url = await prepared(postgres.url)
    async with database(url) as connected:
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            async with connected.transaction() as connection:
                await connection.execute(text(statement))


async def test_it_is_never_the_owner_and_has_a_password(postgres: Server) -> None:
    owner = urlsplit(postgres.url).username or ""
    async with database(postgres.url) as connected:
        await migrate(connected)
        with pytest.raises(RoleError, match="another one"):
            await ensure_role(connected, Role(owner, "x"))
    with pytest.raises(RoleError, match="USER:PASSWORD"):
        Role.of("postgresql://me@host/db")


@pytest.mark.timeout(600)
def test_the_command_waits_for_a_database_and_stays_beside_it(tmp_path: Path) -> None:
    with killable_postgres() as (server, url):
        server.kill()
        process = staying(url, tmp_path / "done")
        try:
            until_it_has_asked(urlsplit(url).port)
            assert process.poll() is None
            assert not (tmp_path / "done").exists()
            server.start()
            wait_until_there(process, tmp_path / "done")
            wait_until_smaller(process.pid)
            resident = resident_mebibytes(process.pid)
            os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert resident < 25
        asyncio.run(logs_in(url_of(url)))


def staying(url: str, done: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {
        "CALLFLEET_DATABASE_URL": url,
        "CALLFLEET_SERVICES_DATABASE_URL": url_of(url),
    }
    words = ["storage", "migrate", "--wait-seconds", "300", "--stay", str(done)]
    return subprocess.Popen([sys.executable, "-m", "callfleet_agent.main", *words], env=environment)


def until_it_has_asked(port: int | None) -> None:
    """Somebody connects where there will be a database."""
    with socket.create_server(("127.0.0.1", port or 0)) as before_it:
        before_it.settimeout(WITHIN_S)
        before_it.accept()[0].close()


def wait_until_there(process: "subprocess.Popen[bytes]", done: Path) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not done.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_until_smaller(pid: int) -> None:
    """It becomes a smaller process, which only waits."""
    of, deadline = Path(f"/proc/{pid}"), time.monotonic() + WITHIN_S
    while (
        b"sigwait" not in (of / "cmdline").read_bytes()
        or "State:\tS" not in (of / "status").read_text()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def resident_mebibytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def logs_in(url: str) -> None:
    async with database(url) as connected, connected.transaction() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM call_sessions")) == 0
