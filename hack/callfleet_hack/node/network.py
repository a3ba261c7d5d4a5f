"""Bridges, routes, sysctls and firewall rules of the node.

No packet meant for a pod, a service or the node leaves the machine: each range has an
`unreachable` route of a high metric, which is what is left when nothing better is there.
"""

import json
import re
from collections.abc import Sequence
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from callfleet_hack.command import on_path, output, required, succeeds
from callfleet_hack.errors import HackError
from callfleet_hack.node import settings

LAST_RESORT_METRIC = 4_000_000_000
RANGES = (settings.NODE_RANGE, settings.POD_RANGE, settings.SERVICE_RANGE)
BRIDGES = (settings.NODE_BRIDGE, settings.POD_BRIDGE)
OUR_RULES = re.compile(r"\b(KUBE-|CNI-|callfleet\b|CNI portfwd)")
SYSCTL_ROOT = Path("/proc/sys")

_COMMENT = ("-m", "comment", "--comment", "callfleet")
RULES = (
    ("nat", "POSTROUTING", ("-s", str(settings.POD_RANGE), "!", "-d", str(settings.POD_RANGE),
                            *_COMMENT, "-j", "MASQUERADE")),
    ("filter", "FORWARD", ("-i", settings.POD_BRIDGE, *_COMMENT, "-j", "ACCEPT")),
    ("filter", "FORWARD", ("-o", settings.POD_BRIDGE, *_COMMENT, "-j", "ACCEPT")),
)  # fmt: skip


def collisions(routes: Sequence[dict[str, object]]) -> list[str]:
    """Routes of others (as `ip -j route` gives them) into one of the node's ranges."""
    found = []
    for route in routes:
        destination = str(route.get("dst", "default"))
        ours = route.get("dev") in BRIDGES or route.get("metric") == LAST_RESORT_METRIC
        if destination == "default" or ours:
            continue
        network = ip_network(destination, strict=False)
        if isinstance(network, IPv4Network) and any(network.overlaps(own) for own in RANGES):
            found.append(f"{destination} dev {route.get('dev', '-')}")
    return found


def check_collisions() -> None:
    taken = collisions(json.loads(output([_ip(), "-j", "-4", "route", "show"])))
    if taken:
        ranges = ", ".join(str(one) for one in RANGES)
        raise HackError(f"the cluster needs {ranges}, but this machine routes {'; '.join(taken)}")


def set_up() -> None:
    """Routes of last resort first, then everything that is better than them."""
    for one in RANGES:
        _route("unreachable", str(one), "metric", str(LAST_RESORT_METRIC))
    for name, value in settings.SYSCTLS.items():
        if value and (SYSCTL_ROOT / name).exists():
            write_sysctl(name, value)
    for bridge in BRIDGES:
        if not Path("/sys/class/net", bridge).exists():
            output([_ip(), "link", "add", bridge, "type", "bridge"])
        output([_ip(), "link", "set", bridge, "up"])
    node = f"{settings.NODE_ADDRESS}/{settings.NODE_RANGE.prefixlen}"
    output([_ip(), "address", "replace", node, "dev", settings.NODE_BRIDGE])
    gateway = f"{settings.POD_GATEWAY}/{settings.POD_RANGE.prefixlen}"
    output([_ip(), "address", "replace", gateway, "dev", settings.POD_BRIDGE])
    # A process of the host that calls a service needs a route that is no refusal before
    # kube-proxy's rules rewrite the address.
    service = ("dev", settings.NODE_BRIDGE, "src", settings.NODE_ADDRESS)
    _route(str(settings.SERVICE_RANGE), *service)
    for table, chain, rule in RULES:
        if not succeeds([_iptables(), "-w", "-t", table, "-C", chain, *rule]):
            output([_iptables(), "-w", "-t", table, "-I", chain, *rule])


def take_down(before: dict[str, list[str]]) -> None:
    """Take away what `set_up`, kube-proxy and CNI made; rules in `before` stay."""
    for bridge in BRIDGES:
        folder = Path("/sys/class/net", bridge)
        if folder.exists():
            for port in (folder / "brif").iterdir():
                succeeds([_ip(), "link", "delete", port.name])
            output([_ip(), "link", "delete", bridge])
    for one in RANGES:
        succeeds(
            [_ip(), "route", "delete", "unreachable", str(one), "metric", str(LAST_RESORT_METRIC)]
        )
    for family in ("iptables", "ip6tables"):
        _remove_rules(family, set(before.get(family, [])))
    conntrack = on_path("conntrack")
    for one in RANGES if conntrack else ():
        succeeds([str(conntrack), "-D", "-s", str(one)])
        succeeds([str(conntrack), "-D", "-d", str(one)])


def kept_rules(saved: str, before: set[str]) -> str:
    """What `iptables-save` gave, without the chains and rules that the node brought."""
    lines = saved.splitlines()
    kept = [line for line in lines if not OUR_RULES.search(line) or _rule(line) in before]
    return "\n".join(kept) + "\n"


def saved_rules(family: str) -> list[str]:
    """Rules and chains as `iptables-save` gives them, without counters and empty tables."""
    program = on_path(f"{family}-save")
    if not program:
        return []
    lines = output([program]).splitlines()
    rules = [_rule(line) for line in lines if line.startswith((":", "-"))]
    return sorted(rule for rule in rules if not rule.endswith((" ACCEPT",)) or rule[0] == "-")


def write_sysctl(name: str, value: str) -> None:
    path = SYSCTL_ROOT / name
    if path.read_text().strip() != value:
        path.write_text(value)


def _remove_rules(family: str, before: set[str]) -> None:
    save, restore = on_path(f"{family}-save"), on_path(f"{family}-restore")
    if not save or not restore:
        return
    saved = output([save])
    kept = kept_rules(saved, before)
    if kept.strip() != saved.strip():
        output([restore, "-w"], stdin=kept)


def _rule(line: str) -> str:
    return re.sub(r" ?\[\d+:\d+\]", "", line).strip()


def _route(*words: str) -> None:
    output([_ip(), "route", "replace", *words])


def _ip() -> Path:
    return required("ip")


def _iptables() -> Path:
    return required("iptables")
