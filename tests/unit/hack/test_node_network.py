"""The node's routes and firewall rules, as pure functions of what the machine shows."""

import pytest

from callfleet_hack.node.network import LAST_RESORT_METRIC, collisions, kept_rules

DEFAULT = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (DEFAULT, []),
        ({"dst": "192.0.2.0/24", "dev": "eth0"}, []),
        ({"dst": "10.244.7.0/24", "dev": "eth1"}, ["10.244.7.0/24 dev eth1"]),
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, ["10.0.0.0/8 dev tun0"]),
        ({"dst": "10.96.0.1", "dev": "eth1"}, ["10.96.0.1 dev eth1"]),
        ({"dst": "10.244.0.0/16", "dev": "cf-pods"}, []),
        ({"type": "unreachable", "dst": "10.96.0.0/16", "metric": LAST_RESORT_METRIC}, []),
    ],
)
def test_only_routes_of_others_into_the_ranges_collide(
    route: dict[str, object], expected: list[str]
) -> None:
    assert collisions([route]) == expected


SAVED = """\
*nat
:PREROUTING ACCEPT [7:420]
:KUBE-SERVICES - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-abc - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.0.2.9
-A POSTROUTING -s 10.244.0.0/16 -m comment --comment callfleet -j MASQUERADE
-A CNI-abc -j ACCEPT
COMMIT
"""


def test_rules_of_the_node_go_and_rules_of_others_stay() -> None:
    assert kept_rules(SAVED, before=set()) == (
        "*nat\n"
        ":PREROUTING ACCEPT [7:420]\n"
        "-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.0.2.9\n"
        "COMMIT\n"
    )


def test_chains_of_another_network_plugin_that_were_there_before_stay() -> None:
    kept = kept_rules(SAVED, before={":CNI-abc -", "-A CNI-abc -j ACCEPT"})

    assert ":CNI-abc - [0:0]\n" in kept
    assert "-A CNI-abc -j ACCEPT\n" in kept
    assert "CNI-HOSTPORT-DNAT" not in kept
