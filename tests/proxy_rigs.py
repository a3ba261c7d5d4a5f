"""Proxies under test: the fake and the real ones behind one protocol, with their faults.

Fixtures: `make_rig` gives a `Rig` for each of the drivers. The real ones are what is on PATH, with
the configuration that the chart ships, a real PostgreSQL and pods that answer SIP on loopback.
Each rig is an installation of its own in one database: the rows of all others are foreign to it.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from callfleet_operator.model.settings import ProxySettings
from callfleet_operator.ports.proxy import (
    AgentRows,
    Proxy,
    RowState,
    SeenState,
    WantedRow,
)
from callfleet_operator.proxies import migrate, open_proxy
from callfleet_operator.proxies.driver import Timing
from callfleet_operator.proxies.numbers import DIALPLAN
from fakes.proxy import FakeProxy
from fakes.sip_pods import FakeCaller, FakePod
from ports import free_port
from running_proxies import RunningProxy, TcpTap, require

ACTIVE, INACTIVE = RowState.ACTIVE, RowState.INACTIVE
ALLOWED = "bank"  # the namespace that may claim every number; others may claim +1555 only
_INSTALLATIONS = count(1)


class PostgresServer(Protocol):
    """What is used of the fixture `postgres_server`."""

    host: str
    port: int

    def url(self, database: str = "postgres") -> str: ...


class Pod(Protocol):
    @property
    def uri(self) -> str: ...


@dataclass
class FakeRigPod:
    uri: str


class Rig(Protocol):
    """A proxy under test, with its faults and with eyes into its tables."""

    @property
    def proxy(self) -> Proxy: ...
    @property
    def endpoints(self) -> list[str]: ...
    async def pod(self) -> Pod: ...
    async def kill(self, pod: Pod) -> None: ...
    async def revive(self, pod: Pod) -> None: ...
    async def another_leader(self) -> Proxy: ...
    async def add_foreign_row(self, set_id: int, uri: str) -> None: ...
    async def remove_foreign_row(self, set_id: int, uri: str) -> None: ...
    async def add_foreign_number(self, number: str) -> None: ...
    async def rows(self) -> set[tuple[int, str]]: ...
    async def numbers(self) -> set[str]: ...
    async def restart(self, endpoint: str) -> None: ...
    async def rpc_away(self, endpoint: str) -> None: ...
    async def rpc_hangs(self, endpoint: str) -> None: ...
    async def rpc_back(self, endpoint: str) -> None: ...
    async def database(self, how: str) -> None: ...
    async def reached(self, number: str, calls: int) -> set[str]: ...
    async def close(self) -> None: ...


# --- the fake ---------------------------------------------------------------------------------


class FakeRig:
    """FakeProxy with short times."""

    def __init__(self, instances: int, set_ids: tuple[int, int]) -> None:
        self.endpoints = [f"http://127.0.0.{i + 1}:5066/RPC" for i in range(instances)]
        self.proxy: FakeProxy = FakeProxy(
            endpoints=self.endpoints,
            set_ids=set_ids,
            allowed=lambda namespace, number: namespace == ALLOWED or number.startswith("+1555"),
            probe_s=0.05,
            settle_s=0.05,
            time_limit_s=0.1,
        )
        self._ports = count(5060)

    async def pod(self) -> Pod:
        return FakeRigPod(f"sip:127.0.0.1:{next(self._ports)}")

    async def kill(self, pod: Pod) -> None:
        self.proxy.kill(pod.uri)

    async def revive(self, pod: Pod) -> None:
        self.proxy.revive(pod.uri)

    async def another_leader(self) -> Proxy:
        return self.proxy

    async def add_foreign_row(self, set_id: int, uri: str) -> None:
        self.proxy.add_foreign_row(set_id, uri)

    async def remove_foreign_row(self, set_id: int, uri: str) -> None:
        del self.proxy.rows[set_id, uri]

    async def add_foreign_number(self, number: str) -> None:
        self.proxy.add_foreign_number(number)

    async def rows(self) -> set[tuple[int, str]]:
        return set(self.proxy.rows)

    async def numbers(self) -> set[str]:
        return {*self.proxy.numbers, *self.proxy.foreign_numbers}

    async def restart(self, endpoint: str) -> None:
        self.proxy.restart(endpoint)

    async def rpc_away(self, endpoint: str) -> None:
        self.proxy.rpc_away(endpoint)

    async def rpc_hangs(self, endpoint: str) -> None:
        self.proxy.rpc_hangs(endpoint)

    async def rpc_back(self, endpoint: str) -> None:
        self.proxy.rpc_back(endpoint)

    async def database(self, how: str) -> None:
        self.proxy.database_away = how == "away"
        self.proxy.database_hangs = how == "hangs"

    async def reached(self, number: str, calls: int) -> set[str]:
        return self.proxy.route(number)

    async def close(self) -> None:
        await self.proxy.close()


# --- the real ones ----------------------------------------------------------------------------


@dataclass
class Installed:
    """Two instances of a driver on one migrated database; they live as long as the session."""

    driver: str
    database_url: str
    database_address: tuple[str, int]
    instances: list[RunningProxy]


Install = Callable[[str], Awaitable[Installed]]


@pytest.fixture(scope="session")
def installed(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Install]:
    """Starts a driver's instances once, when the first test asks for them."""
    running: dict[str, Installed] = {}

    async def start(driver: str) -> Installed:
        if driver not in running:
            require(driver)
            name = f"proxy_{driver}"
            await _create_database(postgres_server.url(), name)
            url = postgres_server.url(name)
            await migrate(url, driver)  # type: ignore[arg-type]
            folder = tmp_path_factory.mktemp(driver)
            instances = [RunningProxy(driver, url, folder) for _ in range(2)]
            address = (postgres_server.host, postgres_server.port)
            running[driver] = Installed(driver, url, address, instances)
            for instance in instances:
                instance.start()
        return running[driver]

    yield start
    for found in running.values():
        for instance in found.instances:
            instance.stop()


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


LIMIT_S = 60.0  # for everything that comes by itself: machines are slow at times
TIMING = Timing(rpc_limit_s=20.0, database_limit_s=20.0)
# Where a limit is to pass: the test takes some of them, and what it does before and after has one.
SHORT = replace(TIMING, rpc_limit_s=3.0, database_limit_s=3.0)


@dataclass
class RealRig:
    """A driver with instances, pods that answer SIP, and a tap before the operator's database."""

    installed: Installed
    folder: Path
    instances: int
    set_ids: tuple[int, int]
    timing: Timing = TIMING
    installation: str = field(default_factory=lambda: f"test-{next(_INSTALLATIONS)}")
    pods: list[FakePod] = field(default_factory=list)

    async def open(self) -> None:
        self.tap = TcpTap(self.installed.database_address)
        await self.tap.open()
        self.own = await asyncpg.connect(self.installed.database_url)
        path = self.installed.database_url.rpartition("/")[2]
        self.url_file = self.folder / "url"
        self.url_file.write_text(f"postgresql://callfleet@127.0.0.1:{self.tap.port}/{path}\n")
        self.callers: list[FakeCaller] = []
        self.use(self.installed.instances[: self.instances])

    def use(self, instances: list[RunningProxy]) -> None:
        """Drive these instances from now on."""
        self.running = {instance.endpoint: instance for instance in instances}
        self.endpoints = list(self.running)
        self.proxy: Proxy = self._open()

    def _open(self) -> Proxy:
        settings = {
            "name": "default",
            "driver": self.installed.driver,
            "endpoints": self.endpoints,
            "databaseUrlFile": str(self.url_file),
            "sipAddress": "127.0.0.1:5060",
            "setIds": {"first": self.set_ids[0], "last": self.set_ids[1]},
            "numberClaims": [
                {"namespaces": [ALLOWED], "prefixes": [""]},
                {"namespaces": ["*"], "prefixes": ["+1555"]},
            ],
        }
        proxy = ProxySettings.model_validate(settings)
        return open_proxy(proxy, installation=self.installation, timing=self.timing)

    async def pod(self) -> FakePod:
        pod = FakePod(("127.0.0.1", free_port()))
        await pod.start()
        self.pods.append(pod)
        return pod

    async def kill(self, pod: Pod) -> None:
        assert isinstance(pod, FakePod)
        pod.dead = True

    async def revive(self, pod: Pod) -> None:
        assert isinstance(pod, FakePod)
        pod.dead = False

    async def another_leader(self) -> Proxy:
        return self._open()

    async def add_foreign_row(self, set_id: int, uri: str) -> None:
        await self.own.execute(
            "INSERT INTO dispatcher (setid, destination) VALUES ($1, $2)", set_id, uri
        )

    async def remove_foreign_row(self, set_id: int, uri: str) -> None:
        await self.own.execute(
            "DELETE FROM dispatcher WHERE setid = $1 AND destination = $2", set_id, uri
        )

    async def add_foreign_number(self, number: str, attrs: str = "") -> None:
        more = {"kamailio": ("match_len, subst_exp, repl_exp,", "0, '', '',"), "opensips": ("", "")}
        names, values = more[self.installed.driver]
        await self.own.execute(
            f"INSERT INTO dialplan (dpid, pr, match_op, match_exp, {names} attrs) "
            f"VALUES ({DIALPLAN}, 0, 0, $1, {values} $2)",
            number,
            attrs,
        )

    async def rows(self) -> set[tuple[int, str]]:
        found = await self.own.fetch("SELECT setid, destination FROM dispatcher")
        return {(row["setid"], row["destination"]) for row in found}

    async def numbers(self) -> set[str]:
        found = await self.own.fetch("SELECT match_exp FROM dialplan WHERE dpid = $1", DIALPLAN)
        return {row["match_exp"] for row in found}

    async def restart(self, endpoint: str) -> None:
        await self.running[endpoint].restart()

    async def rpc_away(self, endpoint: str) -> None:
        self.running[endpoint].stop()

    async def rpc_hangs(self, endpoint: str) -> None:
        self.running[endpoint].freeze()

    async def rpc_back(self, endpoint: str) -> None:
        instance = self.running[endpoint]
        if instance.process is None:
            await instance.start_beside()
        else:
            instance.thaw()

    async def database(self, how: str) -> None:
        if how == "away":
            await self.tap.cut()
        elif how == "hangs":
            self.tap.hang()
        elif self.tap.hanging:
            self.tap.flow()
        else:
            await self.tap.open()

    async def caller(self) -> FakeCaller:
        caller = FakeCaller(next(iter(self.running.values())).address)
        await caller.start()
        self.callers.append(caller)
        return caller

    async def reached(self, number: str, calls: int) -> set[str]:
        caller = await self.caller()
        before = {pod.uri: len(pod.invites) for pod in self.pods}
        for _ in range(calls):
            await caller.call(number)
        return {pod.uri for pod in self.pods if len(pod.invites) > before[pod.uri]}

    async def close(self) -> None:
        with suppress(Exception):
            await self.proxy.sync([], epoch=10**6)
        await self.proxy.close()
        await self.tap.cut()
        await self.own.execute(
            "DELETE FROM dispatcher "
            "WHERE id NOT IN (SELECT dispatcher_id FROM callfleet.destinations)"
        )
        await self.own.close()
        for caller in self.callers:
            caller.stop()
        for pod in self.pods:
            pod.stop()


@pytest.fixture(params=["fake", "kamailio", "opensips"])
async def make_rig(
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    made: list[Rig] = []

    async def make(
        instances: int = 1, set_ids: tuple[int, int] = (1000, 1999), timing: Timing = TIMING
    ) -> Rig:
        if request.param == "fake":
            made.append(FakeRig(instances, set_ids))
        else:
            # Only now: the fake needs no database, and proxies end before theirs does.
            installed: Install = request.getfixturevalue("installed")
            rig = RealRig(await installed(request.param), tmp_path, instances, set_ids, timing)
            await rig.open()
            made.append(rig)
        return made[-1]

    yield make
    for rig in made:
        await rig.close()


@pytest.fixture
async def rig(make_rig: Callable[..., Awaitable[Rig]]) -> Rig:
    return await make_rig()


# --- words of the cases -----------------------------------------------------------------------


def number() -> str:
    """A number that no other test has."""
    return f"+1555{secrets.randbelow(10**9):09d}"


def agent(name: str, *pods: Pod, numbers: Sequence[str] = (), **more: Any) -> AgentRows:
    rows = tuple(WantedRow(pod.uri, f"uid-of-{pod.uri}") for pod in pods)
    return AgentRows(f"uid-{name}", ALLOWED, name, tuple(numbers), rows, **more)


def with_state(agent: AgentRows, state: RowState, *pods: Pod) -> AgentRows:
    uris = {pod.uri for pod in pods}
    rows = tuple(replace(row, state=state) if row.uri in uris else row for row in agent.rows)
    return replace(agent, rows=rows)


async def until(rig: Rig, agent: AgentRows, state: SeenState, *pods: Pod) -> None:
    """Look, as the core does, until the pods are seen so by all instances."""
    deadline = time.monotonic() + LIMIT_S
    seen: list[SeenState] = []
    while time.monotonic() < deadline:
        looked = await rig.proxy.observe()
        seen = [looked.state_of(agent.uid, pod.uri) for pod in pods]
        if all(found is state for found in seen):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"wanted {state}, saw {seen}")
