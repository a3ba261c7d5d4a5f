"""`callfleet-operator migrate` as the chart calls it, on a real PostgreSQL."""

import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from integration.conftest import PostgresDatabase
from ports import free_port

pytestmark = pytest.mark.timeout(600)
WITHIN_S = 250.0  # on a busy machine
COMMAND = [sys.executable, "-m", "callfleet_operator.main", "migrate", "--driver", "kamailio"]


def url_of(database: PostgresDatabase, role: str, password: str = "") -> str:
    server = database.server
    user = f"{role}:{quote(password, safe='')}" if password else role
    return f"postgresql://{user}@{server.host}:{server.port}/{database.name}"


@pytest.fixture
def urls(postgres: PostgresDatabase, tmp_path: Path) -> dict[str, Path]:
    """Files with the owner's, the operator's and the proxy's way into a fresh database."""
    texts = {
        "owner": postgres.url,
        "operator": url_of(postgres, f"op_{postgres.name}", "p'w/1"),
        "proxy": url_of(postgres, f"px_{postgres.name}", 'p"w 2').replace(
            "postgresql:", "postgres:"
        ),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text + "\n")
    return {name: tmp_path / name for name in texts}


def arguments(urls: dict[str, Path]) -> list[str]:
    return [
        *COMMAND,
        f"--database-url-file={urls['owner']}",
        f"--operator-url-file={urls['operator']}",
        f"--proxy-url-file={urls['proxy']}",
    ]


def migrate(urls: dict[str, Path], *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*arguments(urls), *more], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


async def test_roles_get_what_they_need_and_no_more(urls: dict[str, Path]) -> None:
    done = migrate(urls)
    assert done.returncode == 0, done.stderr
    assert migrate(urls).returncode == 0  # again changes nothing and fails at nothing

    operator = await asyncpg.connect(urls["operator"].read_text().strip())
    proxy = await asyncpg.connect(urls["proxy"].read_text().strip())
    try:
        await operator.execute(
            "INSERT INTO dispatcher (setid, destination) VALUES (1, 'sip:192.0.2.1:5060')"
        )
        assert await proxy.fetchval("SELECT destination FROM dispatcher") == "sip:192.0.2.1:5060"
        for statement in ("CREATE TABLE t (i int)", "DROP TABLE dispatcher"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await operator.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await proxy.execute("DELETE FROM dispatcher")
    finally:
        await operator.close()
        await proxy.close()


def test_a_password_stands_in_no_output(urls: dict[str, Path]) -> None:
    done = migrate(urls)
    assert "p'w/1" not in done.stdout + done.stderr


def test_a_url_that_names_no_role_is_refused_by_the_name_of_its_file(urls: dict[str, Path]) -> None:
    urls["operator"].write_text("postgresql://127.0.0.1/none")
    done = migrate(urls)
    assert done.returncode == 2
    assert f"{urls['operator']}: give postgresql://USER:PASSWORD@HOST:PORT/NAME" in done.stderr


def test_it_waits_for_a_database_and_then_says_that_there_is_none(
    urls: dict[str, Path],
) -> None:
    urls["owner"].write_text(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    done = migrate(urls, "--wait-seconds=1")
    assert done.returncode != 0
    assert "Connect call failed" in done.stderr


def test_it_stays_until_it_is_told_to_go(urls: dict[str, Path], tmp_path: Path) -> None:
    marker = tmp_path / "migrated"
    with subprocess.Popen(
        [*arguments(urls), f"--stay={marker}"], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if b"up to date" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    assert marker.exists()
