"""Base images made on this machine, for where no registry can be reached.

Debian comes from the mirror that this machine's apt uses; its name stays on this machine.
"""

import os
import shutil
import tempfile
from pathlib import Path

from callfleet_hack.cache import cache_dir, write_atomically
from callfleet_hack.command import output, required, succeeds
from callfleet_hack.console import step
from callfleet_hack.errors import HackError
from callfleet_hack.image_store import PREFIX, Buildah

SUITE = "bookworm"
RECIPE = "2"  # counts up when what is below makes another image
DEBIAN = f"{PREFIX}/base-debian:{SUITE}-{RECIPE}"
PYTHON = f"{PREFIX}/base-python:3.11-{RECIPE}"
# apt would leave 77 MB of caches in each layer.
APT_SETTINGS = 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
INCLUDE = "ca-certificates"
HOST_CA = Path("/etc/ssl/certs/ca-certificates.crt")
HOST_CA_INSIDE = "/var/tmp/host-ca.crt"
DEBIAN_DOCKERFILE = """\
FROM scratch
ADD root.tar /
RUN apt-get update && apt-get -y upgrade && rm -rf /var/lib/apt/lists/*
"""
PYTHON_DOCKERFILE = f"""\
FROM {DEBIAN}
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv \\
 && rm -rf /var/lib/apt/lists/*
"""


def ensure_base(store: Buildah, name: str) -> str:
    """The base image for `debian` or `python`, made if it is not there."""
    if not store.image_id(DEBIAN):
        with step(f"base image of Debian {SUITE}"):
            _make_debian(store)
    if name == "debian":
        return DEBIAN
    if not store.image_id(PYTHON):
        with step("base image of Python 3.11"):
            _build(store, PYTHON, PYTHON_DOCKERFILE)
    return PYTHON


def apt_sources() -> list[tuple[str, str]]:
    """(mirror, release) of every Debian source of this machine whose release is `SUITE`'s.

    CALLFLEET_DEBIAN_MIRROR comes first where apt has none, as on Ubuntu.
    """
    given = os.environ.get("CALLFLEET_DEBIAN_MIRROR")
    if given:
        return [(given, SUITE)]
    listed = output(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE)",
         "Created-By: Packages"]
    )  # fmt: skip
    return sources_of(listed)


def sources_of(listed: str) -> list[tuple[str, str]]:
    """Picked from lines of `origin mirror release`, the main release first, each once."""
    rows = [line.split() for line in listed.splitlines()]
    found = [(row[1], row[2]) for row in rows if len(row) == 3 and row[0] == "Debian"]
    ours = [one for one in dict.fromkeys(found) if one[1].partition("-")[0] == SUITE]
    if not any(release == SUITE for _, release in ours):
        raise HackError(
            f"apt on this machine has no Debian {SUITE}; name a mirror in CALLFLEET_DEBIAN_MIRROR"
        )
    return sorted(ours, key=lambda one: one[1])


def _make_debian(store: Buildah) -> None:
    """debootstrap into a folder, that folder into an image, and Debian's updates on top."""
    sources = apt_sources()
    work = Path(tempfile.mkdtemp(prefix="debian-", dir=_work_dir()))
    root = work / "root"
    try:
        command: list[str | Path] = [required("debootstrap"), "--variant=minbase"]
        command += [f"--include={INCLUDE}", f"--keyring={KEYRING}", SUITE, root, sources[0][0]]
        output(command, timeout_s=1200)
        lines = [f"deb [signed-by={KEYRING}] {uri} {release} main" for uri, release in sources]
        (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
        _slim(root)
        output([required("tar"), "-C", root, "-cf", work / "root.tar", "."], timeout_s=300)
        (work / "Dockerfile").write_text(DEBIAN_DOCKERFILE)
        _bud(store, DEBIAN, work)
    finally:
        succeeds([required("rm"), "-rf", "--one-file-system", work], timeout_s=60)


def _slim(root: Path) -> None:
    for folder in ("var/cache/apt/archives", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / folder, ignore_errors=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    excludes = "".join(
        f"path-exclude=/usr/share/{folder}/*\n" for folder in ("doc", "man", "locale")
    )
    (root / "etc/apt/apt.conf.d/callfleet").write_text(APT_SETTINGS)
    (root / "etc/dpkg/dpkg.cfg.d/callfleet").write_text(excludes)


def _build(store: Buildah, image: str, dockerfile: str) -> None:
    work = Path(tempfile.mkdtemp(prefix="base-", dir=_work_dir()))
    try:
        (work / "Dockerfile").write_text(dockerfile)
        _bud(store, image, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _bud(store: Buildah, image: str, context: Path) -> None:
    store.run("bud", "--pull-never", "--tag", image, *build_options(), context)


def build_options() -> list[str]:
    """The host's certificates beside the image's own, and package caches outside every layer."""
    packages, pip = cache_dir() / "apt", cache_dir() / "pip"
    for folder in (packages / "partial", pip):
        folder.mkdir(parents=True, exist_ok=True)
    apt_settings = cache_dir() / "apt-settings"
    write_atomically(apt_settings, f'Acquire::https::CaInfo "{HOST_CA_INSIDE}";\n', 0o644)
    return [
        f"--volume={HOST_CA}:{HOST_CA_INSIDE}:ro",
        f"--volume={apt_settings}:/etc/apt/apt.conf.d/99host:ro",
        f"--volume={packages}:/var/cache/apt/archives:rw",
        f"--volume={pip}:/root/.cache/pip:rw",
        f"--build-arg=PIP_CERT={HOST_CA_INSIDE}",
    ]


def _work_dir() -> Path:
    folder = cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
