"""The operator's process, started on a kube-apiserver for the length of a test."""

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from callfleet_operator.kube.client import KubeClient, Selection, list_all
from callfleet_operator.ports.kinds import VOICE_AGENT, Kind, Manifest
from ports import free_port

_numbers = itertools.count(1)
LIMIT_S = 180.0  # a process may start and answer ten times slower than it does alone
# Nobody takes the lease of a leader that stalls. Where one takes over from another, it has a short
# one: it waits for its end.
LEASE = {"durationSeconds": 30, "renewSeconds": 4}
SHORT_LEASE = {"durationSeconds": 8, "renewSeconds": 2}


class Installation:
    """Namespaces, settings and processes of one test, apart from all others."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        number = next(_numbers)
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.namespace = f"bank-{number}"
        self.system = f"system-{number}"

    async def prepare(self, client: KubeClient) -> None:
        for name in (self.namespace, self.system):
            await client.create(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            )

    def settings(self, port: int, **changes: object) -> Path:
        path = self.folder / f"settings-{port}.yaml"
        content = {
            "agentImage": "localhost/callfleet/agent:dev",
            "namespace": self.system,
            "watchNamespaces": [self.namespace],
            "httpPort": port,
            "lease": LEASE,
        }
        path.write_text(yaml.safe_dump(content | changes))
        return path

    @contextmanager
    def operator(self, **changes: object) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
        port = free_port()
        log = (self.folder / f"operator-{port}.log").open("wb")
        child = subprocess.Popen(
            command(
                "run", "--settings", self.settings(port, **changes), "--kubeconfig", self.kubeconfig
            ),
            stdout=log,
            stderr=log,
        )
        try:
            yield child, port
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                child.wait(timeout=LIMIT_S)
            log.close()

    def log(self, port: int) -> list[dict[str, object]]:
        lines = (self.folder / f"operator-{port}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    async def apply(self, client: KubeClient, name: str = "card-line", **spec: object) -> None:
        base: dict[str, object] = {"replicas": 1, "banking": {"url": "http://bank.example"}}
        await client.create(
            {
                "apiVersion": VOICE_AGENT.api_version,
                "kind": "VoiceAgent",
                "metadata": {"namespace": self.namespace, "name": name},
                "spec": base | spec,
            }
        )

    async def count(self, client: KubeClient, kind: Kind) -> int:
        return len(await self.children(client, kind))

    async def children(self, client: KubeClient, kind: Kind) -> list[Manifest]:
        return (await list_all(client, Selection(kind, self.namespace))).items


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "callfleet_operator.main", *map(str, arguments)]


def http(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(port: int, name: str) -> float | None:
    """Its value, 0 where the process does not tell it (yet); None where it does not answer."""
    status, text = http(port, "/metrics")
    if status != 200:
        return None
    for line in text.splitlines():
        if line.startswith(f"callfleet_operator_{name} "):
            return float(line.split()[1])
    return 0.0


async def until(wanted: Callable[[], object], seconds: float = LIMIT_S, pause: float = 0.1) -> None:
    """Polls a condition outside of this process."""
    deadline = time.monotonic() + seconds
    while True:
        found = wanted()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(pause)


def leads(port: int) -> bool:
    return metric(port, "leader") == 1
