"""Callfleet on a cluster: images, chart, an agent. What `hack/demo` and the e2e tests share."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callfleet_hack.cache import REPOSITORY, cluster_dir
from callfleet_hack.command import Argument, output, succeeds
from callfleet_hack.console import say, step
from callfleet_hack.errors import HackError
from callfleet_hack.image_store import Buildah, Docker, content_reference
from callfleet_hack.images.build import build
from callfleet_hack.kind_cluster import docker_answers
from callfleet_hack.tools import ensure

# image: where the chart's values name it
IMAGES = {
    "agent": "agent",
    "operator": "operator",
    "proxy": "proxy",
    "postgres": "postgresql",
    "redis": "redis",
    "engines": "pools.engines",  # the last one: the demo without pools goes without it
}
NAMESPACE = "callfleet-system"
RELEASE = "callfleet"
CHART = REPOSITORY / "charts" / "callfleet"
DEMO_VALUES = CHART / "ci" / "demo.yaml"
HACK = REPOSITORY / "hack"
POLL_S = 0.5

Object = dict[str, Any]


def own_cluster() -> Path:
    """Where `hack/cluster up` writes its kubeconfig."""
    return cluster_dir() / "kubeconfig"


@dataclass(frozen=True)
class Platform:
    """A cluster that kubectl and helm reach by `kubeconfig`."""

    kubeconfig: Path
    images: tuple[str, ...] = ()  # references, in the order of IMAGES; empty: the values' own

    @property
    def env(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig)}

    def kubectl(
        self, *arguments: Argument, stdin: str | None = None, timeout_s: float = 120
    ) -> str:
        """What kubectl prints; CommandFailedError with what it complains of."""
        command = [ensure("kubectl"), *arguments]
        return output(command, env=self.env, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> Object:
        """Objects as JSON."""
        answer: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def apply(self, manifest: Path | str, *arguments: str) -> str:
        """Apply a file, or a manifest as text."""
        if isinstance(manifest, Path):
            return self.kubectl("apply", "-f", manifest, *arguments)
        return self.kubectl("apply", "-f", "-", *arguments, stdin=manifest)

    def node_address(self) -> str:
        """InternalIP of the node that the SIP proxy runs on: the first by name."""
        nodes = sorted(self.get("nodes")["items"], key=lambda node: str(node["metadata"]["name"]))
        for node in nodes:
            for address in node["status"].get("addresses", []):
                if address["type"] == "InternalIP":
                    return str(address["address"])
        raise HackError(
            "the cluster has no node with an InternalIP; see `kubectl get nodes -o wide`"
        )

    def install(self, *settings: str, timeout_s: int = 300) -> str:
        """helm upgrade --install with the demo's values; answers the proxy's address."""
        address = self.node_address()
        helm = ensure("helm")
        tags = [
            f"{value}.image.tag={image.rpartition(':')[2]}"
            for value, image in zip(IMAGES.values(), self.images, strict=False)
        ]
        # A tag may be all digits.
        flags = [word for setting in tags for word in ("--set-string", setting)]
        flags += [word for setting in settings for word in ("--set", setting)]
        if more := os.environ.get("CALLFLEET_VALUES"):
            flags += ["--values", more]
        arguments: Sequence[Argument] = [
            helm, "upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE,
            "--create-namespace", "--values", DEMO_VALUES, "--set", f"proxy.address={address}",
            *flags, "--wait", "--timeout", f"{timeout_s}s",
        ]  # fmt: skip
        try:
            output(arguments, env=self.env, timeout_s=timeout_s + 60)
        except HackError as error:
            raise HackError(f"{error}\n{self.diagnosis()}") from error
        return address

    def uninstall(self) -> None:
        """Remove the release; the CRDs stay, with every resource of their kinds."""
        helm = ensure("helm")
        output([helm, "uninstall", RELEASE, "-n", NAMESPACE, "--wait"], env=self.env, timeout_s=180)

    def diagnosis(self) -> str:
        """What a person would look at first when an installation does not become ready."""
        pods = self.kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
        events = self.kubectl(
            "-n",
            NAMESPACE,
            "get",
            "events",
            "--sort-by=.lastTimestamp",
            "--field-selector=type=Warning",
        )
        return f"{pods}\n{os.linesep.join(events.splitlines()[-15:])}"

    def wait(self, what: str, condition: str, *, namespace: str, timeout_s: int = 120) -> None:
        """kubectl wait for a condition, and a readable report when it does not come."""
        try:
            self.kubectl(
                "-n", namespace, "wait", f"--for=condition={condition}", what,
                f"--timeout={timeout_s}s", timeout_s=timeout_s + 10,
            )  # fmt: skip
        except HackError as error:
            described = self.kubectl("-n", namespace, "describe", what)
            raise HackError(f"{error}\n{described}") from error

    def until_gone(self, *what: str, timeout_s: float = 60) -> None:
        """Wait until `kubectl get` finds nothing."""
        deadline = time.monotonic() + timeout_s
        while left := self.kubectl("get", *what, "-o", "name", "--ignore-not-found").split():
            if time.monotonic() > deadline:
                raise HackError(f"still there after {timeout_s:.0f} s: {' '.join(left[:10])}")
            time.sleep(POLL_S)


def build_and_load(*, pools: bool = True) -> tuple[str, ...]:
    """Build the images and put them on the nodes of our own cluster; answers their names.

    They are named by what they are: a changed image is another name, and so rolls out.
    """
    built = build(list(IMAGES) if pools else list(IMAGES)[:-1], "dev")
    store = Docker() if docker_answers() else Buildah()
    named = tuple(content_reference(store, image) for image in built)
    output_to_terminal([HACK / "cluster", "load-image", *named])
    return named


def output_to_terminal(arguments: Sequence[Argument]) -> None:
    """Run a command of ours that shows its own progress."""
    words = [str(argument) for argument in arguments]
    status = subprocess.run(words, stdout=2).returncode
    if status:
        raise HackError(f"{' '.join(words)} ended with status {status}")


def bring_up(kubeconfig: Path | None, *, pools: bool = True) -> Platform:
    """That cluster, or with None one of our own, with the images on it; `pools` with the engines'
    as well.
    """
    chosen = kubeconfig or own_cluster()
    if chosen == own_cluster():
        output_to_terminal([HACK / "cluster", "up"])
        return Platform(chosen, build_and_load(pools=pools))
    if not succeeds([ensure("kubectl"), "--kubeconfig", chosen, "get", "nodes"]):
        raise HackError(f"{chosen} reaches no cluster; leave it out to get one made")
    say(f"using the cluster of {chosen}; CALLFLEET_VALUES may name a file that says its images")
    return Platform(chosen)


def installed(platform: Platform, *settings: str) -> str:
    """The chart on the cluster; answers the proxy's address."""
    with step("installing the chart"):
        return platform.install(*settings)
