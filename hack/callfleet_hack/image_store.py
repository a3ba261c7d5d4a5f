"""Images on this machine, in Docker's store or buildah's."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.command import output, required
from callfleet_hack.errors import CommandFailedError, HackError

PREFIX = "localhost/callfleet"


def reference(image: str, tag: str = "dev") -> str:
    """`agent` is short for `localhost/callfleet/agent:dev`."""
    if "/" in image:
        return image
    name, _, given = image.partition(":")
    return f"{PREFIX}/{name}:{given or tag}"


@dataclass(frozen=True)
class Docker:
    """The engine that answers `docker info`."""

    def image_id(self, image: str) -> str | None:
        return _or_none(["docker", "image", "inspect", "--format", "{{.Id}}", image])

    def tag(self, image: str, other: str) -> None:
        output(["docker", "tag", image, other], timeout_s=60)

    def save(self, image: str, target: Path) -> None:
        output(["docker", "save", "--output", target, image], timeout_s=600)


@dataclass(frozen=True)
class Buildah:
    """buildah without a daemon, as root or not, without namespaces of its own."""

    def image_id(self, image: str) -> str | None:
        command = ["inspect", "--type", "image", "--format", "{{.FromImageID}}", image]
        return _or_none([str(required("buildah")), *command])

    def tag(self, image: str, other: str) -> None:
        self.run("tag", image, other)

    def save(self, image: str, target: Path) -> None:
        target.unlink(missing_ok=True)
        self.run("push", "--quiet", image, f"docker-archive:{target}:{image}")

    def root(self) -> Path:
        """Where the store is."""
        return Path(json.loads(self.run("info"))["store"]["GraphRoot"])

    def run(self, *arguments: str | Path, timeout_s: float = 3600) -> str:
        env = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": _storage_driver()}
        return output([required("buildah"), *arguments], env=env, timeout_s=timeout_s)


def _storage_driver() -> str:
    return os.environ.get("STORAGE_DRIVER", "overlay" if os.geteuid() == 0 else "vfs")


def _or_none(command: list[str]) -> str | None:
    try:
        return output(command, timeout_s=60).strip() or None
    except CommandFailedError:
        return None


def content_reference(store: Docker | Buildah, image: str) -> str:
    """Tag an image by what it is, so that a cluster sees that it changed; answers the new name."""
    identity = require_image(store, image).removeprefix("sha256:")
    other = f"{image.rpartition(':')[0]}:{identity[:12]}"
    store.tag(image, other)
    return other


def require_image(store: Docker | Buildah, image: str) -> str:
    found = store.image_id(image)
    if not found:
        raise HackError(f"there is no image {image} here; `hack/images build` makes ours")
    return found
