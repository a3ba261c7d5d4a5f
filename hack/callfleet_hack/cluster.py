"""The cluster that the demo and the end-to-end tests use: kind, or a node of our own."""

import json
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from callfleet_hack import kind_cluster, stored_image
from callfleet_hack.cache import cluster_dir, locked, write_atomically
from callfleet_hack.console import say, step
from callfleet_hack.errors import CommandFailedError, HackError
from callfleet_hack.image_store import Buildah, Docker, reference, require_image
from callfleet_hack.node import down as node_down
from callfleet_hack.node import process, runtime, settings, traces
from callfleet_hack.node import up as node_up


def uses_kind() -> bool:
    """CALLFLEET_CLUSTER=kind or =node decides; otherwise whether a Docker engine answers."""
    chosen = os.environ.get("CALLFLEET_CLUSTER")
    if chosen not in {None, "", "kind", "node"}:
        raise HackError("CALLFLEET_CLUSTER is kind or node")
    return chosen == "kind" or (not chosen and kind_cluster.docker_answers())


def package_groups(kubeconfig: Path | None) -> list[str]:
    """What a test or a demo on that cluster, or on one of our own, needs of Debian's packages: with
    Docker or a cluster that is there, neither a node's nor those that images are made with."""
    if kubeconfig not in {None, cluster_dir() / "kubeconfig"} or uses_kind():
        return ["test"]
    return ["cluster", "images", "test"]


def up() -> Path:
    started = time.monotonic()
    with _locked():
        kubeconfig = kind_cluster.up() if uses_kind() else node_up.up()
    say(f"cluster ready in {time.monotonic() - started:.1f} s")
    return kubeconfig


def down(*, images: bool = False) -> None:
    with _locked():
        if (cluster_dir() / "boot").exists() or not uses_kind():
            with step("take the node down"):
                node_down.down(images=images)
        else:
            kind_cluster.down()


def status() -> bool:
    """Say what runs; whether all of it does."""
    if uses_kind():
        say("kind cluster: " + ("there" if kind_cluster.exists() else "none"))
        return kind_cluster.exists()
    running = [name for name in node_up.SERVERS if process.is_running(name)]
    for name in node_up.SERVERS:
        record = process.record_of(name)
        state = f"pid {record.pid}" if record and name in running else "not running"
        print(f"{name:<26}{state}")
    if len(running) < len(node_up.SERVERS):
        return False
    print(node_up.kubectl("get", "nodes,pods", "-A", "-o", "wide").rstrip())
    for image in sorted(one for one in runtime.images() if "@" not in one and "/" in one):
        print(f"image  {image}")
    print(f"export KUBECONFIG={settings.layout().kubeconfig}")
    return True


def load_images(names: list[str]) -> None:
    """Give the cluster images of this machine; what it has already is not sent again."""
    store = Docker() if kind_cluster.docker_answers() else Buildah()
    with _locked():
        for image in map(reference, names):
            identity = require_image(store, image)
            if uses_kind():
                with step(f"load {image}"):
                    kind_cluster.load_image(image)
            else:
                _load_into_node(store, image, identity)


def differences_since_up() -> list[str]:
    """What `up` and `down` left behind on this machine."""
    before = traces.load_before()
    if before is None:
        raise HackError("the node was never up here, so there is nothing to compare with")
    return traces.differences(before, traces.snapshot())


def _load_into_node(store: Docker | Buildah, image: str, identity: str) -> None:
    file = runtime.imported_file()
    known = json.loads(file.read_text()) if file.exists() else {}
    present = runtime.images().get(image)
    if present and known.get(image) == [identity, present]:
        say(f"  ✓ {image} is there already")
        return
    with step(f"load {image}"):
        if isinstance(store, Docker) or not _import_layers(store, image):
            _import_whole(store, image)
    known[image] = [identity, runtime.images()[image]]
    write_atomically(file, json.dumps(known))


def _import_whole(store: Docker | Buildah, image: str) -> None:
    archive = cluster_dir() / "image.tar"
    store.save(image, archive)
    runtime.import_archive(archive)
    archive.unlink()


def _import_layers(store: Buildah, image: str) -> bool:
    """Only what the node lacks; whether that worked."""
    try:
        found = stored_image.find(store.root(), image)
        present = runtime.content()
        runtime.import_stream(lambda pipe: stored_image.write_archive(found, image, pipe, present))
    except (stored_image.StoredImageError, CommandFailedError) as error:
        say(f"  … all of {image} is sent: {error}")
        return False
    return True


def _locked() -> AbstractContextManager[None]:
    return locked("cluster", lambda: say("  … another process is working on the cluster"))
