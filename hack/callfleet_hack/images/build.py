"""Building the images, each only when something it is made of has changed."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from callfleet_hack.cache import cache_dir, locked, write_atomically
from callfleet_hack.command import output
from callfleet_hack.console import say, step
from callfleet_hack.image_store import Buildah, Docker, reference
from callfleet_hack.images.base import build_options, ensure_base
from callfleet_hack.images.context import IMAGES, Image, lay_out
from callfleet_hack.kind_cluster import docker_answers
from callfleet_hack.packages import ensure_packages

BUILD_WITHIN_S = 3600.0
PASSED_ON = ("PIP_INDEX_URL",)


def build(names: list[str], tag: str) -> list[str]:
    """References of the images, built by Docker where its engine answers, else by buildah."""
    store = Docker() if docker_answers() else Buildah()
    if isinstance(store, Buildah):
        ensure_packages(["images"], install=True)
    with locked("images", lambda: say("  … another process is building images")):
        return [_build_one(store, IMAGES[name], tag) for name in names]


def _build_one(store: Docker | Buildah, image: Image, tag: str) -> str:
    target = reference(image.name, tag)
    base = _base(store, image)
    context = Path(tempfile.mkdtemp(prefix=f"{image.name}-", dir=_work_dir()))
    try:
        source = f"{lay_out(image, context)} {base} {store.image_id(base) if base else ''}"
        built = _built()
        if built.get(target) == [source, store.image_id(target)]:
            say(f"  ✓ {target} is as its sources are")
            return target
        with step(f"build {target}"):
            _run_build(store, image, target, base, context)
        write_atomically(
            _built_file(), json.dumps({**built, target: [source, store.image_id(target)]})
        )
    finally:
        shutil.rmtree(context, ignore_errors=True)
    return target


def _base(store: Docker | Buildah, image: Image) -> str | None:
    """CALLFLEET_BASE_PYTHON and CALLFLEET_BASE_DEBIAN name others; None is the Dockerfile's own.

    buildah is for machines that may have no registry in reach, so there it is made by debootstrap.
    """
    given = os.environ.get(f"CALLFLEET_BASE_{image.base.upper()}")
    if given or isinstance(store, Docker):
        return given or None
    return ensure_base(store, image.base)


def _run_build(
    store: Docker | Buildah, image: Image, target: str, base: str | None, context: Path
) -> None:
    arguments = [f"--build-arg=BASE={base}"] if base else []
    arguments += [f"--target={image.target}"] if image.target else []
    passed = [name for name in PASSED_ON if os.environ.get(name)]
    arguments += [f"--build-arg={name}={os.environ[name]}" for name in passed]
    if isinstance(store, Docker):
        command = ["docker", "build", *arguments, "--tag", target, str(context)]
        output(command, env={"DOCKER_BUILDKIT": "1"}, timeout_s=BUILD_WITHIN_S)
        return
    local = ["--pull-never"] if base and base.startswith("localhost/") else []
    options = [*local, "--layers", *build_options(), *arguments]
    store.run("bud", *options, "--tag", target, context, timeout_s=BUILD_WITHIN_S)


def _built_file() -> Path:
    """Which sources each image was last built from."""
    return _work_dir() / "built.json"


def _built() -> dict[str, list[str | None]]:
    if not _built_file().exists():
        return {}
    known: dict[str, list[str | None]] = json.loads(_built_file().read_text())
    return known


def _work_dir() -> Path:
    folder = cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
