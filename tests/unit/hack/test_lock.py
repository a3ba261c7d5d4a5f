"""What is locked is what the packages ask for; `hack/lock` writes it, which needs a registry."""

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from callfleet_hack.cache import REPOSITORY

ENGINES = ("images/agent/recognition.lock", "hack/engines.d/recognition.lock")
# extras of members: where they are locked
LOCKS: dict[str, tuple[str, ...]] = {"whisper": ENGINES, "vosk": ENGINES}
MAIN = ("requirements.lock",)
PYTHONS = ("3.11.7", "3.12.3", "3.13.1")


def project(folder: str) -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / folder / "pyproject.toml").read_text(encoding="utf-8"))


MEMBERS: list[str] = project(".")["tool"]["uv"]["workspace"]["members"]
OURS = {canonicalize_name(project(member)["project"]["name"]) for member in MEMBERS}


def asked() -> Iterator[tuple[str, str, str]]:
    """Who asks for what, and the lock that has to have it."""
    for dependency in project(".")["dependency-groups"]["dev"]:
        yield "the workspace", dependency, "requirements.lock"
    for member in MEMBERS:
        described = project(member)["project"]
        for dependency in described["dependencies"]:
            yield member, dependency, "requirements.lock"
        for extra, dependencies in described.get("optional-dependencies", {}).items():
            for dependency in dependencies:
                for lock in LOCKS.get(extra, MAIN):
                    yield f"{member}[{extra}]", dependency, lock
    for path in [*REPOSITORY.glob("images/agent/*.in"), *REPOSITORY.glob("hack/engines.d/*.in")]:
        name = str(path.relative_to(REPOSITORY))
        for dependency in path.read_text(encoding="utf-8").splitlines():
            yield name, dependency, name.replace(".in", ".lock")


@cache
def locked(lock: str) -> list[Requirement]:
    """The pinned packages of a lock."""
    lines = Path(REPOSITORY / lock).read_text(encoding="utf-8").splitlines()
    pins = (line.removesuffix("\\") for line in lines if line and line[0] not in " #-")
    return [Requirement(pin) for pin in pins]


def applies(requirement: Requirement, python: str) -> bool:
    """Whether this is wanted on Linux by a Python of this version."""
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("who", "wanted", "lock"), list(asked()))
def test_what_is_asked_for_is_locked_at_a_version_that_will_do(
    who: str, wanted: str, lock: str, python: str
) -> None:
    asked_for = Requirement(wanted)
    name = canonicalize_name(asked_for.name)
    if name in OURS or not applies(asked_for, python):
        return
    pins = [
        str(pin.specifier).removeprefix("==")
        for pin in locked(lock)
        if canonicalize_name(pin.name) == name and applies(pin, python)
    ]
    assert len(pins) == 1, f"{who} asks for {name}; {lock} has {pins or 'none'}: run hack/lock"
    assert asked_for.specifier.contains(pins[0], prereleases=True), (
        f"{who} asks for {wanted}; {lock} has {pins[0]}: run hack/lock"
    )


@pytest.mark.parametrize("lock", [*MAIN, *ENGINES])
def test_a_lock_pins_every_package_to_one_version(lock: str) -> None:
    loose = [str(pin) for pin in locked(lock) if not str(pin.specifier).startswith("==")]
    assert locked(lock)
    assert loose == []
