"""What an image is built from: a folder with its Dockerfile and just the files it needs.

Times and permissions are the same each time, so that a layer is made again only when a file's
contents changed.
"""

import hashlib
import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import REPOSITORY
from callfleet_hack.errors import HackError

EPOCH_S = 1_577_836_800  # 2020-01-01, for every file
NOT_SOURCE = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True)
class Image:
    """`members` of the workspace to install, each with the extras that it needs. `folder` of
    images/, where it is not the image's name; `target` names a stage of the Dockerfile.
    """

    name: str
    base: str  # debian or python
    members: tuple[tuple[str, tuple[str, ...]], ...] = ()
    folder: str = ""
    target: str = ""


AGENT_MEMBERS = (("proto", ()), ("operator", ()), ("agent-runtime", ("tracing",)))
IMAGES = {
    image.name: image
    for image in (
        Image("agent", "python", AGENT_MEMBERS, target="agent"),
        Image("engines", "python", AGENT_MEMBERS, folder="agent", target="engines"),
        Image("operator", "python", (("proto", ()), ("operator", ("controller",)))),
        Image("proxy", "debian"),
        Image("postgres", "debian"),
        Image("redis", "debian"),
        Image("rtpengine", "debian"),
    )
}


def lay_out(image: Image, target: Path, repository: Path = REPOSITORY) -> str:
    """Fill the empty folder `target`; a hash of everything in it."""
    source = repository / "images" / (image.folder or image.name)
    shutil.copytree(source, target, dirs_exist_ok=True)
    if image.members:
        _lay_out_members(image, target, repository)
    return _settle(target)


def requirements(image: Image, repository: Path = REPOSITORY) -> list[str]:
    """What the members require, without the members themselves; versions are in the lock."""
    found: set[str] = set()
    for member, extras in image.members:
        project = tomllib.loads((repository / member / "pyproject.toml").read_text())["project"]
        wanted = list(project.get("dependencies", []))
        for extra in extras:
            wanted += project["optional-dependencies"][extra]
        found.update(wanted)
    return sorted(one for one in found if not re.match(r"callfleet[-_]", one))


def _lay_out_members(image: Image, target: Path, repository: Path) -> None:
    for name in ("requirements.lock", "images/build.lock"):
        shutil.copy(repository / name, target / Path(name).name)
    (target / "requirements.in").write_text("\n".join(requirements(image, repository)) + "\n")
    for member, _ in image.members:
        source, copy = repository / member, target / "members" / member
        if not (source / "src").is_dir():
            raise HackError(f"{source} has no src folder")
        shutil.copytree(source / "src", copy / "src", ignore=NOT_SOURCE)
        shutil.copy(source / "pyproject.toml", copy)


def _settle(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        executable = path.is_dir() or bool(path.stat().st_mode & 0o100)
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (EPOCH_S, EPOCH_S))
        digest.update(f"{path.relative_to(folder)} {executable}\0".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
