"""What a cluster leaves on a machine, and the proof that nothing is left."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from callfleet_hack.cache import cache_dir, cluster_dir, tools_dir, write_atomically
from callfleet_hack.command import output, required
from callfleet_hack.node import network, settings

Snapshot = dict[str, list[str]]
CGROUP_ROOT = Path("/sys/fs/cgroup")


def snapshot() -> Snapshot:
    """Everything of the machine that `up` may touch, as sorted lines by kind."""
    return {kind: sorted(look()) for kind, look in LOOKS.items()}


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """One line for each thing that is new, gone or changed."""
    found = []
    for kind in LOOKS:
        was, now = set(before.get(kind, [])), set(after.get(kind, []))
        found += [f"{kind}: left behind: {line}" for line in sorted(now - was)]
        found += [f"{kind}: gone: {line}" for line in sorted(was - now)]
    return found


def save_before() -> None:
    write_atomically(settings.before_file(), json.dumps(snapshot(), indent=1))


def load_before() -> Snapshot | None:
    try:
        loaded: Snapshot = json.loads(settings.before_file().read_text())
    except FileNotFoundError:
        return None
    return loaded


def cgroups() -> list[Path]:
    """kubelet's trees in every hierarchy there is."""
    return [path for path in (CGROUP_ROOT / "kubepods", *CGROUP_ROOT.glob("*/kubepods"))
            if path.is_dir()]  # fmt: skip


def _processes() -> list[str]:
    """Of our tools, or with our folder in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        program = line.split("\0")[0]
        ours = program.startswith(str(tools_dir())) or "containerd" in program
        if ours and str(cluster_dir()) in line:
            found.append(program)
    return found


def _interfaces() -> list[str]:
    return [path.name for path in Path("/sys/class/net").iterdir()]


def _mounts() -> list[str]:
    """All but those of an image build, which may be going on at the same time."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4]) for line in lines]
    builds = (Path("/var/lib/containers"), cache_dir() / "images")
    return [str(point) for point in points if not any(map(point.is_relative_to, builds))]


def _routes() -> list[str]:
    lines = []
    for family in ("-4", "-6"):
        shown = output([required("ip"), family, "route", "show", "table", "all"])
        lines += [re.sub(r" expires \d+sec| linkdown", "", line) for line in shown.splitlines()]
    return [line.strip() for line in lines]


def _policy_rules() -> list[str]:
    return output([required("ip"), "rule", "show"]).splitlines()


def _namespaces() -> list[str]:
    folders = (Path("/run/netns"), Path("/var/run/netns"))
    return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


def _cgroups() -> list[str]:
    return [str(path) for path in cgroups()]


def _virtual_servers() -> list[str]:
    path = Path("/proc/net/ip_vs")
    return path.read_text().splitlines()[3:] if path.exists() else []


def _sysctls() -> list[str]:
    root = network.SYSCTL_ROOT
    paths = [name for name in settings.SYSCTLS if (root / name).exists()]
    return [f"{name}={(root / name).read_text().strip()}" for name in paths]


def _folders() -> list[str]:
    return [str(path) for path in settings.FOREIGN_FOLDERS if path.exists()]


LOOKS: dict[str, Callable[[], list[str]]] = {
    "process": _processes,
    "interface": _interfaces,
    "mount": _mounts,
    "iptables": lambda: network.saved_rules("iptables"),
    "ip6tables": lambda: network.saved_rules("ip6tables"),
    "route": _routes,
    "policy rule": _policy_rules,
    "network namespace": _namespaces,
    "cgroup": _cgroups,
    "virtual server": _virtual_servers,
    "sysctl": _sysctls,
    "folder": _folders,
}
