"""What the tests on a cluster do over and over: agents, calls, rows."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from callfleet_agent.app.address import address_toward
from callfleet_hack.cache import REPOSITORY
from callfleet_hack.platform import NAMESPACE, RELEASE, Platform

Object = dict[str, Any]
Found = TypeVar("Found")

SOFTPHONE = REPOSITORY / ".venv" / "bin" / "callfleet"
SCENARIOS = Path(__file__).parent / "scenarios"
POLL_S = 0.25
CUSTOMER = ("--dtmf", "200417", "--dtmf", "4271")


def eventually(look: Callable[[], Found], *, within_s: float, what: str) -> Found:
    """The first true answer of `look`; an AssertionError that says `what` did not come."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        time.sleep(POLL_S)
    return found


@dataclass(frozen=True)
class CallLog:
    """What sipp's calls came to: Call-ID to the URI of the pod."""

    answered: dict[str, str]
    completed: dict[str, str]
    status: int

    def on(self, pod_ip: str) -> set[str]:
        """Call-IDs of the calls that this pod answered."""
        return {call for call, uri in self.answered.items() if f"{pod_ip}:" in uri + ":"}


@dataclass
class Callers:
    """A sipp that is calling."""

    process: subprocess.Popen[bytes]
    log: Path

    def read(self) -> CallLog:
        text = self.log.read_text() if self.log.exists() else ""
        pairs: dict[str, dict[str, str]] = {"answered": {}, "completed": {}}
        for word, call, uri in re.findall(r"(answered|completed) (\S+) (\S+)", text):
            pairs[word][call] = uri
        code = self.process.poll()
        return CallLog(pairs["answered"], pairs["completed"], -1 if code is None else code)

    def finished(self, *, within_s: float) -> CallLog:
        self.process.wait(within_s)
        return self.read()


@dataclass
class Talk:
    """A softphone that is calling, and what it writes."""

    process: subprocess.Popen[bytes]
    log: Path
    wav: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    def answered_by(self, *, within_s: float) -> str:
        """The address of the pod that answered."""
        found = eventually(
            lambda: re.search(r"answered by (\S+):\d+", self.text),
            within_s=within_s,
            what="a softphone's call is answered",
        )
        assert found is not None
        return found[1]

    def finished(self, *, within_s: float) -> int:
        """Its exit status, 0 for a call that was answered and ended properly."""
        return self.process.wait(within_s)


@dataclass
class Fleet:
    """A VoiceAgent on the cluster, and the ways to look at it and to call it."""

    platform: Platform
    proxy: str
    namespace: str
    scratch: Path
    name: str = "card-line"
    number: str = "+15550100"
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"sip:{self.number}@{self.proxy}:5060"

    def manifest(self, **spec: Any) -> str:
        """The agent, with parts of its spec replaced."""
        whole: Object = {
            "replicas": 1,
            "sip": {"numbers": [self.number]},
            "capacity": {"callsPerPod": 20, "workers": 1},
            "rollout": {"drainTimeoutSeconds": 60},
            # A core for each worker is more than a small machine has for three pods.
            "pod": {"resources": {"requests": {"cpu": "100m", "memory": "256Mi"}}},
        }
        return yaml.safe_dump(
            {
                "apiVersion": "callfleet.io/v1alpha1",
                "kind": "VoiceAgent",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": whole | spec,
            }
        )

    def apply(self, **spec: Any) -> None:
        self.platform.apply(self.manifest(**spec))

    def ready(self, timeout_s: int = 90) -> None:
        self.platform.wait(
            f"voiceagent/{self.name}", "Ready", namespace=self.namespace, timeout_s=timeout_s
        )

    def get(self) -> Object:
        return self.platform.get("-n", self.namespace, "voiceagent", self.name)

    def status(self) -> Object:
        answer: Object = self.get().get("status", {})
        return answer

    def condition(self, kind: str) -> Object:
        found = [c for c in self.status().get("conditions", []) if c["type"] == kind]
        return found[0] if found else {}

    def scale(self, replicas: int) -> None:
        self.platform.kubectl(
            "-n", self.namespace, "scale", f"voiceagent/{self.name}", f"--replicas={replicas}"
        )

    def pods(self) -> list[Object]:
        """Pods of the agent that are not going."""
        items = self.platform.get(
            "-n", self.namespace, "pods", "-l", f"callfleet.io/agent={self.name}"
        )["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self) -> list[Object]:
        return [pod for pod in self.pods() if is_ready(pod)]

    def have_ready(self, count: int, *, within_s: float = 90) -> list[Object]:
        """Wait until exactly `count` pods are ready and no other is there."""

        def look() -> list[Object]:
            pods = self.pods()
            return pods if len(pods) == count and all(map(is_ready, pods)) else []

        return eventually(look, within_s=within_s, what=f"{count} ready pods")

    def delete(self, timeout_s: int = 120) -> None:
        self.platform.kubectl(
            "-n", self.namespace, "delete", "voiceagent", self.name, "--ignore-not-found",
            f"--timeout={timeout_s}s", timeout_s=timeout_s + 10,
        )  # fmt: skip

    def sql(self, statement: str) -> list[list[str]]:
        """Rows of a query on the proxy's database."""
        text = self.platform.kubectl(
            "-n", NAMESPACE, "exec", f"deploy/{RELEASE}-postgresql", "-c", "postgresql", "--",
            "psql", "-U", "callfleet_owner", "-d", "callfleet", "-At", "-F", "|",
            "-c", statement,
        )  # fmt: skip
        return [line.split("|") for line in text.splitlines()]

    def rows(self) -> set[str]:
        """Destinations of the agent's set in the proxy's database."""
        set_id = self.status().get("sip", {}).get("setId")
        if set_id is None:
            return set()
        return {
            row[0] for row in self.sql(f"SELECT destination FROM dispatcher WHERE setid={set_id}")
        }

    def call(self, *turns: str, timeout_s: float = 120, expect: int = 0) -> Object:
        """A call by our softphone; its report, with the recording under `wav`."""
        wav = self.scratch / f"call-{len(list(self.scratch.glob('call-*.wav')))}.wav"
        done = subprocess.run(
            [SOFTPHONE, "call", self.uri, *turns, "--record", wav, "--json"],
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        report: Object = json.loads(done.stdout)
        return report | {"wav": wav}

    def talk(self, *turns: str) -> Talk:
        """Begin a call by our softphone, which goes on beside the test."""
        name = f"talk-{time.monotonic_ns()}"
        log, wav = self.scratch / f"{name}.log", self.scratch / f"{name}.wav"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [SOFTPHONE, "call", self.uri, *turns, "--record", wav], stdout=output, stderr=output
            )
        self.running.append(process)
        return Talk(process, log, wav)

    def callers(self, count: int, *, rate: int = 10, seconds: float = 10) -> Callers:
        """sipp places `count` calls, `rate` a second, each `seconds` long."""
        log = self.scratch / f"sipp-{time.monotonic_ns()}.log"
        here = address_toward(self.proxy)
        command = [
            "sipp", f"{self.proxy}:5060", "-s", self.number, "-sf", SCENARIOS / "caller.xml",
            "-i", here, "-mi", here, "-m", count, "-r", rate, "-d", int(seconds * 1000),
            "-trace_logs", "-log_file", log, "-nostdin", "-timeout", 120, "-timeout_error",
            "-recv_timeout", 40_000,
        ]  # fmt: skip
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=self.scratch,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.running.append(process)
        return Callers(process, log)

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def numbered() -> Iterator[str]:
    """Numbers that no other test claims."""
    for i in range(200, 1000):
        yield f"+15550{i}"
