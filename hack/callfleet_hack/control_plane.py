"""A real kube-apiserver and etcd for tests, on loopback, thrown away afterwards.

    with control_plane(tmp_path) as cluster:
        … cluster.kubeconfig …

Without `controllers` nothing reconciles: Deployments make no pods, owner references collect
nothing, namespaces never finish terminating, and no service account needs to exist for a pod.
The processes end with the caller, however that ends.
"""

import fcntl
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from callfleet_hack import servers, supervise
from callfleet_hack.errors import HackError
from callfleet_hack.kubeconfig import write_kubeconfig
from callfleet_hack.servers import Layout

READY_WITHIN_S = 180.0  # on a busy machine; one that ends says so at once
ATTEMPTS = 3
HEALTHY = ("/readyz", "/api/v1/namespaces/default")
CONTROLLED = ("/api/v1/namespaces/default/serviceaccounts/default",)


@dataclass
class ControlPlane:
    """What runs; `token` and `kubeconfig` are those of an administrator."""

    layout: Layout
    token: str
    controllers: bool
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.layout.url

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def ca_file(self) -> Path:
        return self.layout.authority

    def kubeconfig_for(self, user: str, token: str) -> Path:
        """A kubeconfig for someone else, for example with a service account's token."""
        path = self.layout.folder / f"{user}.kubeconfig"
        return write_kubeconfig(path, url=self.url, authority=self.ca_file, user=user, token=token)

    def start_api_server(self) -> None:
        """Start it (again) on the same port with the same data, and wait until it is ready."""
        self._start("kube-apiserver", servers.apiserver(self.layout))
        api_server = self.processes["kube-apiserver"]
        wait_until_ready(self.layout, self.token, api_server, paths=HEALTHY)
        if self.controllers:
            command = servers.controller_manager(self.layout, f"--secure-port={_free_port()}")
            self._start("kube-controller-manager", command)
            wait_until_ready(self.layout, self.token, api_server, paths=CONTROLLED)

    def stop_api_server(self) -> None:
        """As when it dies: connections break, data stays. The controllers go with it."""
        self._stop("kube-controller-manager")
        self._stop("kube-apiserver")

    def start(self) -> None:
        self._start("etcd", servers.etcd(self.layout))
        _wait_for_port(self.layout.etcd_port, self.processes["etcd"])
        self.start_api_server()

    def stop(self) -> None:
        for name in list(self.processes):
            self._stop(name)

    def log(self, name: str) -> str:
        """The end of what a server wrote."""
        path = self.layout.folder / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def _start(self, name: str, command: list[str]) -> None:
        with (self.layout.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-I", "-S", supervise.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _stop(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process:
            process.communicate()  # closes its standard input, which ends it


@contextmanager
def control_plane(
    directory: Path,
    *,
    port: int | None = None,
    controllers: bool = False,
    feature_gates: tuple[str, ...] = (),
) -> Iterator[ControlPlane]:
    """Start one in `directory` (kept afterwards: logs and data), ready when this returns.
    `feature_gates` are of the API server, like `ImageVolume=true`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HackError(f"another control plane runs in {directory}") from error
        running = _started(directory, port, controllers, feature_gates)
        try:
            yield running
        finally:
            running.stop()


def _started(
    directory: Path, port: int | None, controllers: bool, feature_gates: tuple[str, ...]
) -> ControlPlane:
    """Free ports may be taken by another before they are used, hence the attempts."""
    for attempt in range(1, ATTEMPTS + 1):
        layout = Layout(
            folder=directory,
            address="127.0.0.1",
            port=port or _free_port(),
            etcd_port=_free_port(),
            admission_off=() if controllers else ("ServiceAccount",),
            feature_gates=feature_gates,
        )
        running = ControlPlane(layout, servers.write_files(layout)["admin"], controllers)
        try:
            running.start()
        except BaseException as error:
            running.stop()
            if attempt == ATTEMPTS or not isinstance(error, HackError):
                raise
        else:
            return running
    raise AssertionError("unreachable")


def wait_until_ready(
    layout: Layout,
    token: str,
    process: "subprocess.Popen[bytes] | None" = None,
    paths: tuple[str, ...] = HEALTHY,
) -> None:
    """Until a GET of each path of the API server is answered with 200."""
    context = ssl.create_default_context(cafile=str(layout.authority))
    deadline = time.monotonic() + READY_WITHIN_S
    for path in paths:
        request = urllib.request.Request(
            f"{layout.url}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        while not _answers(request, context):
            if process and process.poll() is not None:
                raise HackError(f"kube-apiserver ended; its log is in {layout.folder}")
            if time.monotonic() > deadline:
                raise HackError(f"{layout.url}{path} gave no 200 in {READY_WITHIN_S:.0f} s")
            time.sleep(0.05)


def _answers(request: urllib.request.Request, context: ssl.SSLContext) -> bool:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise HackError(f"nothing listens on port {port}") from error
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
