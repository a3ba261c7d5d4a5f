"""What every proxy promises: the same cases on FakeProxy, on Kamailio and on OpenSIPS.

The real ones are what is on PATH, with the configuration that the chart ships, a real PostgreSQL
and pods that answer SIP on loopback. Each test is an installation of its own in one database: the
rows of all other tests are foreign to it.
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
    AgentProblem,
    AgentRows,
    Proxy,
    ProxyDatabaseUnavailable,
    Refusal,
    RefusalReason,
    RowState,
    SeenState,
    StaleEpoch,
    WantedRow,
)
from callfleet_operator.proxies import migrate, open_proxy
from callfleet_operator.proxies.driver import Timing
from callfleet_operator.proxies.numbers import DIALPLAN
from fakes.proxy import FakeProxy
from fakes.sip_pods import FakeCaller, FakePod
from running_proxies import RunningProxy, TcpTap, free_port, require

ACTIVE, INACTIVE = RowState.ACTIVE, RowState.INACTIVE
ALLOWED = "bank"  # the namespace that may claim every number; others may claim +1555 only
_INSTALLATIONS = count(1)


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
    """Two instances of a driver on one migrated database; they live as long as the module."""

    driver: str
    database_url: str
    database_address: tuple[str, int]
    instances: list[RunningProxy]


Install = Callable[[str], Awaitable[Installed]]


@pytest.fixture(scope="module")
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Install]:
    """Starts a driver's instances once, when the first test asks for them."""
    running: dict[str, Installed] = {}

    async def start(driver: str) -> Installed:
        if driver not in running:
            require(driver)
            server = request.getfixturevalue("postgres_server")
            folder = tmp_path_factory.mktemp(driver)
            name = f"proxy_{driver}"
            await _create_database(server.url(), name)
            url = server.url(name)
            await migrate(url, driver)  # type: ignore[arg-type]
            instances = [RunningProxy(driver, url, folder) for _ in range(2)]
            address = (server.host, server.port)
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


TIMING = Timing(rpc_limit_s=1.0, database_limit_s=1.0)


@dataclass
class RealRig:
    """A driver with instances, pods that answer SIP, and a tap before the operator's database."""

    installed: Installed
    folder: Path
    instances: int
    set_ids: tuple[int, int]
    installation: str = field(default_factory=lambda: f"test-{next(_INSTALLATIONS)}")
    pods: list[FakePod] = field(default_factory=list)

    async def open(self) -> None:
        self.tap = TcpTap(self.installed.database_address)
        await self.tap.open()
        self.own = await asyncpg.connect(self.installed.database_url)
        path = self.installed.database_url.rpartition("/")[2]
        self.url_file = self.folder / "url"
        self.url_file.write_text(f"postgresql://callfleet@127.0.0.1:{self.tap.port}/{path}\n")
        self.running = {i.endpoint: i for i in self.installed.instances[: self.instances]}
        self.endpoints = list(self.running)
        self.proxy: Proxy = self._open()
        self.callers: list[FakeCaller] = []

    def _open(self, timing: Timing = TIMING) -> Proxy:
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
        return open_proxy(proxy, installation=self.installation, timing=timing)

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

    async def add_foreign_number(self, number: str) -> None:
        more = {"kamailio": ("match_len, subst_exp, repl_exp,", "0, '', '',"), "opensips": ("", "")}
        names, values = more[self.installed.driver]
        await self.own.execute(
            f"INSERT INTO dialplan (dpid, pr, match_op, match_exp, {names} attrs) "
            f"VALUES ({DIALPLAN}, 0, 0, $1, {values} '')",
            number,
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
    installed: Install,
    tmp_path: Path,
) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    made: list[Rig] = []

    async def make(instances: int = 1, set_ids: tuple[int, int] = (1000, 1999)) -> Rig:
        if request.param == "fake":
            made.append(FakeRig(instances, set_ids))
        else:
            rig = RealRig(await installed(request.param), tmp_path, instances, set_ids)
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


async def until(
    rig: Rig, agent: AgentRows, state: SeenState, *pods: Pod, within_s: float = 6.0
) -> float:
    """Look, as the core does, until the pods are seen so by all instances; seconds that it took."""
    started = time.monotonic()
    seen: list[SeenState] = []
    while time.monotonic() < started + within_s:
        looked = await rig.proxy.observe()
        seen = [looked.state_of(agent.uid, pod.uri) for pod in pods]
        if all(found is state for found in seen):
            return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise AssertionError(f"wanted {state}, saw {seen}")


# --- the cases --------------------------------------------------------------------------------


async def test_a_new_row_is_active_once_a_probe_was_answered(rig: Rig) -> None:
    alive, dead = await rig.pod(), await rig.pod()
    await rig.kill(dead)
    line = number()
    wanted = agent("card", alive, dead, numbers=[line])

    outcome = await rig.proxy.sync([wanted], epoch=1)

    found = outcome.agents[wanted.uid]
    assert outcome.in_sync
    assert outcome.look_again_s is not None
    assert found.set_id is not None
    assert 1000 <= found.set_id <= 1999
    assert found.accepted == (line,)
    assert not found.refused
    await until(rig, wanted, SeenState.ACTIVE, alive)
    assert (await rig.proxy.observe()).state_of(wanted.uid, dead.uri) is SeenState.PROBING
    assert await rig.reached(line, 4) == {alive.uri}


async def test_a_drain_is_confirmed_and_taken_back(rig: Rig) -> None:
    stays, goes = await rig.pod(), await rig.pod()
    line = number()
    wanted = agent("card", stays, goes, numbers=[line])
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, stays, goes)

    drained = with_state(wanted, INACTIVE, goes)
    outcome = await rig.proxy.sync([drained], epoch=1)

    assert outcome.in_sync
    assert outcome.state_of(wanted.uid, stays.uri) is SeenState.ACTIVE
    await until(rig, drained, SeenState.INACTIVE, goes)
    assert await rig.reached(line, 6) == {stays.uri}

    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, goes)
    assert await rig.reached(line, 6) == {stays.uri, goes.uri}


async def test_a_drain_outlives_other_syncs_and_a_restart(rig: Rig) -> None:
    stays, goes, later = await rig.pod(), await rig.pod(), await rig.pod()
    wanted = with_state(agent("card", stays, goes, numbers=[number()]), INACTIVE, goes)
    await rig.proxy.sync([agent("card", stays, goes)], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, stays, goes)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.INACTIVE, goes)

    await rig.proxy.sync([wanted, agent("other", later)], epoch=1)
    assert (await rig.proxy.observe()).state_of(wanted.uid, stays.uri) is SeenState.ACTIVE
    assert (await rig.proxy.observe()).state_of(wanted.uid, goes.uri) is SeenState.INACTIVE

    await rig.restart(rig.endpoints[0])
    await until(rig, wanted, SeenState.INACTIVE, goes)
    await until(rig, wanted, SeenState.ACTIVE, stays)
    assert (await rig.proxy.sync([wanted, agent("other", later)], epoch=1)).in_sync


async def test_weight_nought_is_a_drain(rig: Rig) -> None:
    pod = await rig.pod()
    rows = (WantedRow(pod.uri, "uid", weight=0),)
    wanted = AgentRows("uid-card", ALLOWED, "card", (), rows)

    await rig.proxy.sync([wanted], epoch=1)

    await until(rig, wanted, SeenState.INACTIVE, pod)


async def test_deleting_an_agent_leaves_nothing(rig: Rig) -> None:
    pod, other = await rig.pod(), await rig.pod()
    line, kept = number(), number()
    stays = agent("stays", other, numbers=[kept])
    wanted = agent("card", pod, numbers=[line])
    await rig.proxy.sync([wanted, stays], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    outcome = await rig.proxy.sync([replace(wanted, gone=True), stays], epoch=1)

    assert outcome.in_sync
    assert outcome.agents[wanted.uid].set_id is None
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ABSENT
    assert pod.uri not in {uri for _, uri in await rig.rows()}
    assert line not in await rig.numbers()
    assert other.uri in {uri for _, uri in await rig.rows()}
    assert kept in await rig.numbers()


async def test_an_agent_that_is_not_listed_is_gone(rig: Rig) -> None:
    pod = await rig.pod()
    line = number()
    await rig.proxy.sync([agent("card", pod, numbers=[line])], epoch=1)

    await rig.proxy.sync([], epoch=1)

    assert pod.uri not in {uri for _, uri in await rig.rows()}
    assert line not in await rig.numbers()


async def test_a_set_id_rests_before_it_is_given_again(rig: Rig) -> None:
    first = await rig.proxy.sync([agent("one")], epoch=1)
    second = await rig.proxy.sync([agent("two")], epoch=1)

    assert first.agents["uid-one"].set_id != second.agents["uid-two"].set_id


async def test_a_removed_row_is_absent_and_the_rest_stays(rig: Rig) -> None:
    stays, goes = await rig.pod(), await rig.pod()
    wanted = agent("card", stays, goes)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, stays, goes)

    outcome = await rig.proxy.sync([agent("card", stays)], epoch=1)

    assert outcome.state_of(wanted.uid, goes.uri) is SeenState.ABSENT
    assert outcome.state_of(wanted.uid, stays.uri) is SeenState.ACTIVE


async def test_foreign_rows_are_never_touched(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    rig = await make_rig(set_ids=(7000, 7009))
    pod, foreign = await rig.pod(), await rig.pod()
    await rig.add_foreign_row(7000, foreign.uri)
    await rig.add_foreign_row(6999, foreign.uri)

    outcome = await rig.proxy.sync([agent("card", pod, numbers=[number()])], epoch=1)
    assert outcome.agents["uid-card"].set_id == 7001
    await rig.proxy.sync([], epoch=1)

    assert {(7000, foreign.uri), (6999, foreign.uri)} <= await rig.rows()


async def test_a_foreign_row_in_the_way_is_a_problem_of_that_agent_only(rig: Rig) -> None:
    pod, other = await rig.pod(), await rig.pod()
    outcome = await rig.proxy.sync([agent("card")], epoch=1)
    set_id = outcome.agents["uid-card"].set_id
    assert set_id is not None
    await rig.add_foreign_row(set_id, pod.uri)

    wanted = agent("other", other)
    outcome = await rig.proxy.sync([agent("card", pod), wanted], epoch=1)

    assert outcome.agents["uid-card"].problem is AgentProblem.FOREIGN_ROW
    assert outcome.agents["uid-other"].problem is None
    assert not outcome.in_sync
    assert (set_id, pod.uri) in await rig.rows()
    await until(rig, wanted, SeenState.ACTIVE, other)


async def test_set_ids_can_run_out(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    rig = await make_rig(set_ids=(7100, 7101))
    agents = [agent(name, numbers=[number()]) for name in ("one", "two", "three")]

    outcome = await rig.proxy.sync(agents, epoch=1)

    assert outcome.agents["uid-one"].set_id == 7100
    assert outcome.agents["uid-two"].set_id == 7101
    assert outcome.agents["uid-three"].problem is AgentProblem.SET_IDS_EXHAUSTED
    assert outcome.agents["uid-three"].accepted == ()


async def test_the_first_claim_of_a_number_wins_until_it_is_given_back(rig: Rig) -> None:
    line, own = number(), number()
    first = agent("first", numbers=[line])
    second = agent("second", numbers=[line, own])

    outcome = await rig.proxy.sync([first, second], epoch=1)
    assert outcome.agents[first.uid].accepted == (line,)
    assert outcome.agents[second.uid].accepted == (own,)
    refused = {line: Refusal(RefusalReason.CLAIMED, f"{ALLOWED}/first")}
    assert outcome.agents[second.uid].refused == refused

    outcome = await rig.proxy.sync([second, first], epoch=1)
    assert outcome.agents[second.uid].refused == refused

    outcome = await rig.proxy.sync([second, agent("first")], epoch=1)
    assert outcome.agents[second.uid].accepted == (line, own)


async def test_a_number_needs_a_policy_that_allows_it(rig: Rig) -> None:
    wanted = replace(agent("card", numbers=["+4930123", "+15550100"]), namespace="guest")

    outcome = await rig.proxy.sync([wanted], epoch=1)

    assert outcome.agents[wanted.uid].accepted == ("+15550100",)
    refusal = Refusal(RefusalReason.NOT_ALLOWED)
    assert outcome.agents[wanted.uid].refused == {"+4930123": refusal}


async def test_a_foreign_number_is_claimed(rig: Rig) -> None:
    line = number()
    await rig.add_foreign_number(line)

    outcome = await rig.proxy.sync([agent("card", numbers=[line])], epoch=1)

    assert outcome.agents["uid-card"].refused == {line: Refusal(RefusalReason.CLAIMED)}
    await rig.proxy.sync([], epoch=1)
    assert line in await rig.numbers()


async def test_an_older_epoch_writes_nothing(rig: Rig) -> None:
    pod, late = await rig.pod(), await rig.pod()
    newer = await rig.another_leader()
    await newer.sync([agent("card", pod)], epoch=7)

    with pytest.raises(StaleEpoch) as caught:
        await rig.proxy.sync([agent("card", pod, late)], epoch=6)

    assert (caught.value.given, caught.value.newest) == (6, 7)
    assert late.uri not in {uri for _, uri in await rig.rows()}
    await rig.proxy.sync([agent("card", pod, late)], epoch=8)
    await newer.close()


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_a_database_that_is_away_or_hangs_is_told_in_time(rig: Rig, how: str) -> None:
    pod, late = await rig.pod(), await rig.pod()
    wanted = agent("card", pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await rig.database(how)
    async with asyncio.timeout(10):
        for _ in range(2):
            with pytest.raises(ProxyDatabaseUnavailable):
                await rig.proxy.sync([agent("card", pod, late)], epoch=1)
        with pytest.raises(ProxyDatabaseUnavailable):
            await rig.proxy.observe()

    await rig.database("back")
    outcome = await rig.proxy.sync([agent("card", pod, late)], epoch=1)
    assert outcome.in_sync
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ACTIVE
    await until(rig, wanted, SeenState.ACTIVE, late)


@pytest.mark.parametrize("fault", ["rpc_away", "rpc_hangs"])
async def test_an_instance_that_is_away_confirms_nothing(rig: Rig, fault: str) -> None:
    pod, late = await rig.pod(), await rig.pod()
    wanted = agent("card", pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await getattr(rig, fault)(rig.endpoints[0])
    wanted = with_state(agent("card", pod, late), INACTIVE, pod)
    async with asyncio.timeout(10):
        outcome = await rig.proxy.sync([wanted], epoch=1)
    assert not outcome.in_sync
    assert outcome.instances[rig.endpoints[0]]
    assert outcome.look_again_s is not None
    for found in (pod, late):
        assert outcome.state_of(wanted.uid, found.uri) is SeenState.UNKNOWN
    assert outcome.state_of(wanted.uid, "sip:127.9.9.9:5060") is SeenState.UNKNOWN

    await rig.rpc_back(rig.endpoints[0])
    assert (await rig.proxy.sync([wanted], epoch=1)).in_sync
    await until(rig, wanted, SeenState.ACTIVE, late)
    await until(rig, wanted, SeenState.INACTIVE, pod)


async def test_a_new_pod_at_an_old_address_inherits_nothing(rig: Rig) -> None:
    pod = await rig.pod()
    wanted = agent("card", pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await rig.kill(pod)
    successor = replace(wanted, rows=(WantedRow(pod.uri, "uid-of-the-next"),))
    outcome = await rig.proxy.sync([successor], epoch=1)
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.PROBING

    await rig.revive(pod)
    await until(rig, wanted, SeenState.ACTIVE, pod)


async def test_a_new_pod_at_a_drained_address_takes_calls(rig: Rig) -> None:
    pod = await rig.pod()
    wanted = with_state(agent("card", pod), INACTIVE, pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.INACTIVE, pod)

    successor = replace(wanted, rows=(WantedRow(pod.uri, "uid-of-the-next"),))
    await rig.proxy.sync([successor], epoch=1)

    await until(rig, wanted, SeenState.ACTIVE, pod)


async def test_many_agents_change_in_one_sync(rig: Rig) -> None:
    pods = [await rig.pod() for _ in range(4)]
    lines = [number() for _ in range(30)]
    agents = [agent(f"a{i}", *pods, numbers=[line]) for i, line in enumerate(lines)]

    outcome = await rig.proxy.sync(agents, epoch=1)
    assert outcome.in_sync
    assert len({found.set_id for found in outcome.agents.values()}) == 30
    for wanted in agents:
        await until(rig, wanted, SeenState.ACTIVE, *pods)

    changed = [
        *(with_state(wanted, INACTIVE, pods[0]) for wanted in agents[:10]),
        *(replace(wanted, rows=wanted.rows[1:]) for wanted in agents[10:20]),
    ]
    outcome = await rig.proxy.sync(changed, epoch=1)
    assert outcome.in_sync
    for wanted in agents[:10]:
        assert outcome.state_of(wanted.uid, pods[1].uri) is SeenState.ACTIVE
        await until(rig, wanted, SeenState.INACTIVE, pods[0])
    for wanted in agents[10:20]:
        assert outcome.state_of(wanted.uid, pods[0].uri) is SeenState.ABSENT
        assert outcome.state_of(wanted.uid, pods[2].uri) is SeenState.ACTIVE
    assert not set(lines[20:]) & await rig.numbers()


async def test_a_sync_that_changes_nothing_disturbs_nothing(rig: Rig) -> None:
    pod = await rig.pod()
    wanted = agent("card", pod, numbers=[number()])
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    for _ in range(3):
        outcome = await rig.proxy.sync([wanted], epoch=1)
        assert outcome.in_sync
        assert outcome.look_again_s is None
        assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ACTIVE


async def test_what_one_instance_says_is_not_enough(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    rig = await make_rig(instances=2)
    pod, goes = await rig.pod(), await rig.pod()
    wanted = agent("card", pod, goes)
    assert (await rig.proxy.sync([wanted], epoch=1)).in_sync
    await until(rig, wanted, SeenState.ACTIVE, pod, goes)

    await rig.rpc_away(rig.endpoints[1])
    drained = with_state(wanted, INACTIVE, goes)
    outcome = await rig.proxy.sync([drained], epoch=1)
    assert outcome.instances[rig.endpoints[0]] is None
    assert outcome.instances[rig.endpoints[1]]
    assert outcome.state_of(wanted.uid, goes.uri) is SeenState.UNKNOWN
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.UNKNOWN

    await rig.rpc_back(rig.endpoints[1])
    assert (await rig.proxy.sync([drained], epoch=1)).in_sync
    await until(rig, wanted, SeenState.INACTIVE, goes)
    await until(rig, wanted, SeenState.ACTIVE, pod)
