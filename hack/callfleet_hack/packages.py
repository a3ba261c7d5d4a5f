"""The Debian packages that each part of the work needs, and how to tell that one is there.

A package counts as there when the file it is wanted for is, so that a machine that has it from
elsewhere is left alone and the answer takes no time.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import locked
from callfleet_hack.command import on_path, output
from callfleet_hack.console import say, step
from callfleet_hack.errors import HackError


@dataclass(frozen=True)
class Package:
    """`probe` is a program's name, or a path in which `*` stands for anything."""

    name: str
    probe: str

    @property
    def present(self) -> bool:
        if not self.probe.startswith("/"):
            return on_path(self.probe) is not None
        return any(Path("/").glob(self.probe.lstrip("/")))


GROUPS: dict[str, tuple[Package, ...]] = {
    "cluster": (
        Package("containerd", "containerd"),
        Package("runc", "runc"),
        Package("containernetworking-plugins", "/usr/lib/cni/host-local"),
        Package("iptables", "iptables"),
        Package("conntrack", "conntrack"),
        Package("iproute2", "ip"),
        Package("openssl", "openssl"),
    ),
    "images": (
        Package("buildah", "buildah"),
        Package("debootstrap", "debootstrap"),
        Package("debian-archive-keyring", "/usr/share/keyrings/debian-archive-keyring.gpg"),
        Package("runc", "runc"),
    ),
    "test": (
        Package("openssl", "openssl"),
        Package("sip-tester", "sipp"),
        Package("baresip-core", "baresip"),
        Package("kamailio", "kamailio"),
        Package("kamailio-postgres-modules", "/usr/lib/*/kamailio/modules/db_postgres.so"),
        Package("redis-server", "redis-server"),
        Package("postgresql", "/usr/lib/postgresql/*/bin/initdb"),
        Package("rtpengine-daemon", "rtpengine"),
        Package("espeak-ng", "espeak-ng"),
        Package("sox", "sox"),
    ),
}


def missing(groups: list[str]) -> list[str]:
    """Names of the packages of these groups that are not there, each once."""
    unknown = [group for group in groups if group not in GROUPS]
    if unknown:
        known = ", ".join(sorted(GROUPS))
        raise HackError(f"no group of packages is called {unknown[0]}; there are: {known}")
    absent = [package.name for group in groups for package in GROUPS[group] if not package.present]
    return list(dict.fromkeys(absent))


def ensure_packages(groups: list[str], *, install: bool) -> None:
    """Install what is missing, or end with the command that would."""
    absent = missing(groups)
    if not absent:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(absent)}"
    if not install or os.geteuid() != 0 or not on_path("apt-get"):
        raise HackError(f"missing packages: {', '.join(absent)}\nas root: {command}")
    with locked("apt", lambda: say("  … another process is installing packages")):
        absent = missing(groups)
        if absent:
            _install(absent)


def _install(names: list[str]) -> None:
    """Wait for another user of dpkg up to 10 minutes; start no service of what is installed."""
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=600")
    with step(f"install packages: {' '.join(names)}"):
        output(["apt-get", *wait, "-qq", "update"], env=env)
        output(["apt-get", *wait, "install", "-y", "--no-install-recommends", *names], env=env)
