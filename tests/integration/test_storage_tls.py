"""The stores over TLS, with the certificate, arguments and rules that the chart gives them."""

import asyncio
import base64
import shutil
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.storage.errors import StoreUnavailableError
from callfleet_agent.storage.schema import migrate
from callfleet_operator.proxies import migrate as migrate_proxy
from callfleet_operator.proxies.migrations import Driver
from helm import CHART, rendered
from identities import Authority
from platform_rig import rigged
from running_proxies import DRIVERS, RunningProxy, require
from stores import database, killable_postgres, killable_redis

MOUNTED = "/etc/callfleet/tls/"


@dataclass(frozen=True)
class Sealed:
    """Both stores, up."""

    database_url: str
    redis_url: str
    ca: Path
    other_ca: Path


def of_chart(kind: str, name: str) -> Any:
    found = [
        one
        for one in rendered("--set", "proxy.address=192.0.2.20")
        if (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]
    assert len(found) == 1, (kind, name)
    return found[0]


def arguments(name: str, folder: Path) -> list[str]:
    container = of_chart("Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    return [str(word).replace(MOUNTED, f"{folder}/") for word in container["args"]]


async def asked(redis: Redis) -> None:
    await cast("Awaitable[bool]", redis.ping())


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("stores")
    ca, other = folder / "ca.crt", folder / "other.crt"
    secret = of_chart("Secret", "callfleet-stores-tls")["data"]
    files = {name: base64.b64decode(content) for name, content in secret.items()}
    ca.write_bytes(files["ca.crt"])
    Authority().issue(folder / "other")
    shutil.copy(folder / "other" / "ca.crt", other)
    rules = of_chart("ConfigMap", "callfleet-postgresql")["data"]["pg_hba.conf"]
    # The test's role has no password.
    files["pg_hba.conf"] = rules.replace("scram-sha-256", "trust").encode()
    flags = [word for word in arguments("callfleet-postgresql", Path("{folder}")) if word[0] == "-"]
    flags = [word.replace("/etc/callfleet/postgresql/", "{folder}/") for word in flags]
    redis_folder = folder / "redis"
    redis_folder.mkdir()
    for name in ("tls.crt", "tls.key"):
        (redis_folder / name).write_bytes(files[name])
    words = arguments("callfleet-redis", redis_folder)
    with (
        killable_postgres(files, flags) as (_, database_url),
        killable_redis(redis_folder, words) as (_, redis_url),
    ):
        yield Sealed(database_url, redis_url, ca, other)


async def test_the_services_work_and_all_is_tls_1_3(stores: Sealed, tmp_path: Path) -> None:
    url = f"{stores.database_url}?sslmode=verify-full&sslrootcert={stores.ca}"
    async with database(url) as connected:
        await migrate(connected)
    redis_url = f"{stores.redis_url}?ssl_ca_certs={stores.ca}"
    async with rigged(tmp_path, url, redis_url) as rig:
        session = await rig.session()
        async with Redis.from_url(redis_url, decode_responses=True) as redis:
            async with asyncio.timeout(60):  # a copy that was late is made by the next look
                while not await redis.exists(f"session:{session}"):
                    asked_again = session_pb.GetSessionRequest(session_id=session)
                    await rig.ask(rig.sessions.GetSession, asked_again)
                    await asyncio.sleep(0.1)
        async with database(url) as connected, connected.transaction() as connection:
            used = "SELECT DISTINCT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            rows = await connection.execute(text(f"{used} WHERE application_name = 'callfleet'"))
            assert [tuple(row) for row in rows] == [(True, "TLSv1.3")]


async def test_what_the_environment_says_of_tls_is_done(
    stores: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(stores.ca))
    async with database(stores.database_url) as connected:
        await connected.ping()
    monkeypatch.setenv("PGSSLROOTCERT", str(stores.other_ca))
    async with database(stores.database_url) as connected:
        with pytest.raises(StoreUnavailableError):
            await connected.ping()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_operator_and_the_proxy_do_what_the_environment_says(
    stores: Sealed, driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require(driver)
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(stores.ca))
    await migrate_proxy(stores.database_url, driver)
    proxy = RunningProxy(driver, stores.database_url, tmp_path)
    try:
        await proxy.start_beside()  # it reads its tables before it answers
        proxy.stop()
        monkeypatch.setenv("PGSSLROOTCERT", str(stores.other_ca))
        proxy.launch()
        assert proxy.process is not None
        assert await asyncio.to_thread(proxy.process.wait, 120) != 0
    finally:
        proxy.stop()
    assert "certificate verify failed" in proxy.tail()


async def test_who_does_not_prove_itself_is_not_talked_to(stores: Sealed) -> None:
    strange = f"?sslmode=verify-full&sslrootcert={stores.other_ca}"
    async with database(stores.database_url + strange) as connected:
        with pytest.raises(StoreUnavailableError):
            await connected.ping()
    strange = f"?ssl_ca_certs={stores.other_ca}"
    async with Redis.from_url(stores.redis_url + strange, socket_timeout=60) as redis:
        with pytest.raises(RedisError):
            await asked(redis)


async def test_nobody_is_listened_to_in_the_clear(stores: Sealed) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(f"{stores.database_url}?sslmode=disable", timeout=60)
    clear = stores.redis_url.replace("rediss://", "redis://")
    async with Redis.from_url(clear, socket_timeout=60) as redis:
        with pytest.raises(RedisError):
            await asked(redis)


def test_stores_of_ones_own_are_verified_as_the_values_say() -> None:
    own = ("-f", str(CHART / "ci" / "own-services.yaml"))
    tls = ("--set", "postgresql.external.sslMode=verify-full,stores.caSecretName=bank-stores")
    wanted = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "/etc/callfleet/stores/own-ca.crt")]
    seen = set()
    for one in rendered(*own, *tls):
        template = one["spec"] if one["kind"] == "CronJob" else one
        if one["kind"] == "CronJob":
            template = one["spec"]["jobTemplate"]
        if one["kind"] not in {"Deployment", "Job", "CronJob"}:
            continue
        pod = template["spec"]["template"]["spec"]
        for container in pod.get("initContainers", []) + pod["containers"]:
            given = [(env["name"], env.get("value")) for env in container.get("env", [])]
            if any(name in {"CALLFLEET_DATABASE_URL", "POD_NAMESPACE"} for name, _ in given) or (
                "migrate" in container["name"]
            ):
                seen.add(one["metadata"]["name"])
                assert [pair for pair in given if pair[0].startswith("PGSSL")] == wanted, one
                assert "/etc/callfleet/stores" in {
                    mount["mountPath"] for mount in container["volumeMounts"]
                }
    assert {"callfleet-operator", "callfleet-session-manager", "callfleet-migrate"} <= seen


def test_without_tls_nothing_speaks_of_it() -> None:
    for one in rendered("--set", "proxy.address=192.0.2.20", "--set", "stores.tls.enabled=false"):
        assert "PGSSL" not in str(one)
        assert "rediss" not in str(one)
        assert "/etc/callfleet/stores" not in str(one)
