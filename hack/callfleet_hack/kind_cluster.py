"""The same cluster from kind, where a Docker engine answers."""

import json
import os
from pathlib import Path

from callfleet_hack.cache import cluster_dir, write_atomically
from callfleet_hack.command import on_path, output, succeeds
from callfleet_hack.console import step
from callfleet_hack.tools import ensure

NAME = "callfleet"


def docker_answers() -> bool:
    return on_path("docker") is not None and succeeds(["docker", "info"], timeout_s=10)


def kubeconfig() -> Path:
    return cluster_dir() / "kubeconfig"


def config() -> dict[str, object]:
    """One node; host networked pods answer on the node's address."""
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": NAME,
        "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16"},
        "nodes": [{"role": "control-plane"}],
    }


def exists() -> bool:
    return NAME in output([ensure("kind"), "get", "clusters"]).split()


def create_command(kind: Path, file: Path) -> list[str | Path]:
    """KIND_NODE_IMAGE names the node's image, and so the version of Kubernetes."""
    command: list[str | Path] = [kind, "create", "cluster", "--config", file]
    command += ["--kubeconfig", kubeconfig(), "--wait", "180s"]
    image = os.environ.get("KIND_NODE_IMAGE")
    return [*command, "--image", image] if image else command


def up() -> Path:
    kind = ensure("kind")
    if exists():
        output([kind, "export", "kubeconfig", "--name", NAME, "--kubeconfig", kubeconfig()])
        return kubeconfig()
    file = cluster_dir() / "kind.json"
    write_atomically(file, json.dumps(config()))
    with step("kind cluster"):
        output(create_command(kind, file), timeout_s=900)
    return kubeconfig()


def down() -> None:
    output([ensure("kind"), "delete", "cluster", "--name", NAME, "--kubeconfig", kubeconfig()])


def load_image(reference: str) -> None:
    output([ensure("kind"), "load", "docker-image", "--name", NAME, reference], timeout_s=600)
