"""Real servers for the integration tests: kube-apiserver with etcd, PostgreSQL, Redis.

Each is started once for a session, on loopback and a free port, and ends with it; a test gets a
database of its own. Where a program is absent, the tests that need it are skipped and say so.
"""

import json
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from callfleet_hack.cache import REPOSITORY, tools_dir
from callfleet_hack.control_plane import ControlPlane, control_plane
from ports import free_port
from proxy_rigs import installed, make_rig, rig  # noqa: F401

START_WITHIN_S = 150.0  # on a busy machine
NICENESS = os.getpriority(os.PRIO_PROCESS, 0)
LESS_URGENT = 5  # as workers are less urgent than their connector
TALKS_AT_ONCE = 3


@pytest.hookimpl(tryfirst=True)  # before xdist takes the groups down
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file belongs to one worker, and those with spoken tests to three: conversations that are
    held at once hear each other's load. What is slow comes first, so that the last worker is not
    left alone with it."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    talks: dict[Path, float] = {}
    for item in items:
        if mark := item.get_closest_marker("spoken"):
            talks[item.path] = float(mark.kwargs.get("minutes", 1))
    talk = shared_out(talks)
    items.sort(key=lambda item: (talk.get(item.path, TALKS_AT_ONCE), -slow[item.path]))
    for item in items:
        spoken = talk.get(item.path)
        group = item.path.name if spoken is None else f"spoken-{spoken}"
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without its groups xdist gives each test of a file to another worker, which starts for it
    what the whole file shares; and nothing says so."""
    grouped = getattr(session.config.option, "loadgroup", False)
    if grouped and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("xdist does not see the groups of tests: see pytest in pyproject")


def shared_out(minutes: dict[Path, float]) -> dict[Path, int]:
    """Which of those who talk at once has a file, so that all have about as much."""
    taken, shares = [0.0] * TALKS_AT_ONCE, {}
    for path, takes in sorted(minutes.items(), key=lambda item: (-item[1], item[0])):
        least = taken.index(min(taken))
        taken[least] += takes
        shares[path] = least
    return shares


class Telling:
    """Names what failed at once: the whole report comes a quarter of an hour later."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.write_line(f" {report.when} of {report.nodeid} failed")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Telling(config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Conversations go before what is beside them and in no hurry, as far as that is allowed: only
    root may take urgency back."""
    is_talk = item.get_closest_marker("spoken") or item.path.parent.name == "recorded"
    if os.geteuid() == 0:
        more = 0 if is_talk else LESS_URGENT
        os.setpriority(os.PRIO_PROCESS, 0, min(19, NICENESS + more))
    return (yield)


def program(name: str, *folders: str) -> Path:
    """A program from PATH or from the newest of the folders; the test is skipped without it."""
    candidates = [Path(found)] if (found := shutil.which(name)) else []
    for folder in folders:
        candidates += sorted(Path("/").glob(f"{folder}/{name}"), reverse=True)
    if not candidates:
        pytest.skip(f"{name} is not installed here (Debian: postgresql, redis-server)")
    return candidates[0]


# --- Kubernetes -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kubernetes_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """kube-apiserver and etcd, without controllers: nothing reconciles but what is tested."""
    if not list(tools_dir().glob("kubernetes-*/kubernetes")):
        pytest.skip("the Kubernetes servers are not built here; run hack/tools kubernetes")
    # On by default from Kubernetes 1.35 on, as pools take it.
    gates = ("ImageVolume=true",)
    with control_plane(tmp_path_factory.mktemp("control-plane"), feature_gates=gates) as running:
        yield running


@pytest.fixture(scope="session")
def apiserver(kubernetes_servers: ControlPlane) -> Path:
    """The kubeconfig of an administrator of the session's API server."""
    return kubernetes_servers.kubeconfig


class Kube:
    """A few requests to the API server, blocking, answers as plain data."""

    def __init__(self, running: ControlPlane) -> None:
        self._url = running.url
        self._token = running.token
        self._context = ssl.create_default_context(cafile=str(running.ca_file))

    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """Status and body; a refusal is an answer like any other."""
        request = urllib.request.Request(
            f"{self._url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
        )
        try:
            with urllib.request.urlopen(
                request, context=self._context, timeout=START_WITHIN_S
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                text = refusal.read().decode()
            is_json = text.startswith("{")  # a path that is not served is answered in plain text
            return refusal.code, json.loads(text) if is_json else {"message": text}

    def must(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]:
        status, answer = self.request(method, path, body, **more)
        assert status < 400, answer
        return answer

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply, as the operator does it."""
        return self.must(
            "PATCH",
            f"{path}?fieldManager=callfleet-operator&force=true",
            manifest,
            content_type="application/apply-patch+yaml",
        )


@pytest.fixture(scope="session")
def kube(kubernetes_servers: ControlPlane) -> Kube:
    return Kube(kubernetes_servers)


@pytest.fixture(scope="session")
def crds(kube: Kube) -> None:
    """The definitions of crds/, installed and served."""
    base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())
        name, plural = definition["metadata"]["name"], definition["spec"]["names"]["plural"]
        kube.apply(f"{base}/{name}", definition)
        deadline = time.monotonic() + START_WITHIN_S
        while kube.request("GET", f"/apis/callfleet.io/v1alpha1/{plural}")[0] != 200:
            assert time.monotonic() < deadline, f"{name} is not served"
            time.sleep(0.05)


@pytest.fixture
def namespace(kube: Kube) -> str:
    """A namespace of the test's own. Nothing deletes it: the server ends with the session."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}}
    return str(kube.must("POST", "/api/v1/namespaces", body)["metadata"]["name"])


@pytest.fixture
def restricted(kube: Kube, namespace: str) -> str:
    """The test's namespace, in which the restricted level of pod security is enforced: admission
    hears of a label after it was written."""
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    path, merge = f"/api/v1/namespaces/{namespace}", "application/merge-patch+json"
    kube.must("PATCH", path, label, content_type=merge)
    unfit = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "unfit"},
        "spec": {"hostNetwork": True, "containers": [{"name": "c", "image": "i"}]},
    }
    deadline = time.monotonic() + START_WITHIN_S
    while kube.request("POST", f"{path}/pods?dryRun=All", unfit)[0] != 403:
        assert time.monotonic() < deadline, "nothing is enforced"
        time.sleep(0.05)
    return namespace


# --- PostgreSQL -------------------------------------------------------------------------------


@dataclass(frozen=True)
class PostgresServer:
    """A running cluster; `superuser` may do everything and needs no password."""

    host: str
    port: int
    socket_dir: Path
    superuser: str = "callfleet"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.superuser}@{self.host}:{self.port}/{database}"


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of one test."""

    server: PostgresServer
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: the user to become instead."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def as_user(user: str | None, command: list[str]) -> list[str]:
    """The command as that user, ended by the kernel when the test session ends in any way."""
    become: list[str] = []
    if user:
        group = str(pwd.getpwnam(user).pw_gid)
        become = ["--reuid", user, "--regid", group, "--clear-groups"]
    return ["setpriv", "--pdeathsig", "INT", *become, *command]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    initdb = program("initdb", "usr/lib/postgresql/*/bin").resolve()
    program("setpriv")
    user = unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="callfleet-postgres-"))
    data, log = folder / "data", folder / "log"
    data.mkdir()
    if user:
        for path in (folder, data):
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
    options = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
    subprocess.run(
        as_user(user, [str(initdb), "-D", str(data), "-U", PostgresServer.superuser, *options]),
        check=True,
        capture_output=True,
        cwd=folder,
    )
    running = PostgresServer("127.0.0.1", free_port(), folder)
    settings = {
        "listen_addresses": running.host,
        "port": running.port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 200,
    }
    flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
    command = as_user(user, [str(initdb.with_name("postgres")), "-D", str(data), *flags])
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        ready = [str(initdb.with_name("pg_isready")), "-q", "-h", running.host]
        wait_for("PostgreSQL", [*ready, "-p", str(running.port)], process, log)
        yield running
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def database_numbers() -> Iterator[int]:
    return count(1)


@contextmanager
def fresh_database(running: PostgresServer, numbers: Iterator[int]) -> Iterator[PostgresDatabase]:
    """It is dropped at the end, whoever is still connected."""
    database = PostgresDatabase(running, f"test_{next(numbers)}")
    run_sql(running, f"CREATE DATABASE {database.name}")
    try:
        yield database
    finally:
        run_sql(running, f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")


@pytest.fixture
def postgres(
    postgres_server: PostgresServer, database_numbers: Iterator[int]
) -> Iterator[PostgresDatabase]:
    """A fresh database of one test."""
    with fresh_database(postgres_server, database_numbers) as database:
        yield database


@pytest.fixture(scope="module")
def module_postgres(
    postgres_server: PostgresServer, database_numbers: Iterator[int]
) -> Iterator[PostgresDatabase]:
    """A fresh database of one file's tests."""
    with fresh_database(postgres_server, database_numbers) as database:
        yield database


def run_sql(running: PostgresServer, statement: str) -> None:
    psql = program("psql", "usr/lib/postgresql/*/bin")
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", running.url(), "-c", statement]
    subprocess.run(command, check=True, capture_output=True)


# --- Redis ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RedisServer:
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server, cli = program("redis-server"), program("redis-cli")
    program("setpriv")
    folder = tmp_path_factory.mktemp("redis")
    running = RedisServer("127.0.0.1", free_port())
    options = ["--bind", running.host, "--port", str(running.port), "--save", "", "--dir", folder]
    command = as_user(None, [str(server), *map(str, options), "--appendonly", "no"])
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        ping = [str(cli), "-h", running.host, "-p", str(running.port), "ping"]
        wait_for("Redis", ping, process, folder / "log")
        yield running
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """The session's Redis, emptied before the test."""
    cli = [str(program("redis-cli")), "-h", redis_process.host, "-p", str(redis_process.port)]
    subprocess.run([*cli, "flushall"], check=True, capture_output=True)
    return redis_process


def wait_for(name: str, ready: list[str], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the command says that the server is ready, or the server ends."""
    deadline = time.monotonic() + START_WITHIN_S
    while subprocess.run(ready, check=False, capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
