"""What kubelet, CoreDNS and the checks around them are told."""

import struct
from pathlib import Path

import pytest

from callfleet_hack.node.addons import corefile
from callfleet_hack.node.down import mounts_below
from callfleet_hack.node.kubelet import nameservers, resolver
from callfleet_hack.node.lookup import has_answer, question
from callfleet_hack.node.traces import differences

RESOLV_CONF = """\
# of the host
search example.org
nameserver 127.0.0.53
nameserver 192.0.2.53
nameserver ::1
options edns0
"""


def test_pods_are_told_only_name_servers_that_they_can_reach() -> None:
    assert nameservers(RESOLV_CONF) == ["192.0.2.53"]
    assert resolver(RESOLV_CONF) == "nameserver 192.0.2.53\n"


def test_names_outside_the_cluster_go_to_the_hosts_name_servers() -> None:
    assert "    forward . 192.0.2.53 {\n" in corefile(["192.0.2.53"])


def test_without_name_servers_other_names_do_not_exist() -> None:
    text = corefile([])

    assert "forward" not in text
    assert "    template ANY ANY {\n        rcode NXDOMAIN\n    }\n" in text


def test_a_corefile_has_as_many_closing_braces_as_opening_ones() -> None:
    text = corefile(["192.0.2.53"])

    assert text.count("{") == text.count("}")


def test_a_question_names_each_label_with_its_length() -> None:
    assert question("a.bc", 7) == (
        bytes.fromhex("0007 0100 0001 0000 0000 0000") + b"\x01a\x02bc\x00" + b"\x00\x01\x00\x01"
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0), True),
        (struct.pack("!6H", 7, 0x8183, 1, 0, 0, 0), False),
        (struct.pack("!6H", 8, 0x8180, 1, 1, 0, 0), False),
        (b"\x00\x07", False),
    ],
)
def test_only_a_record_for_our_question_is_an_answer(message: bytes, expected: bool) -> None:
    assert has_answer(message, 7) is expected


def test_mounts_are_undone_from_the_newest_and_only_below_the_folder() -> None:
    mountinfo = "\n".join(
        f"{number} 1 0:1 / {point} rw - tmpfs tmpfs rw"
        for number, point in enumerate(["/", "/c/kubelet", "/c/kubelet/pods/a", "/cc"], start=1)
    )

    assert mounts_below(Path("/c"), mountinfo) == ["/c/kubelet/pods/a", "/c/kubelet"]


def test_what_is_new_and_what_is_gone_is_named_with_its_kind() -> None:
    before = {"interface": ["eth0", "old0"], "sysctl": ["kernel/panic=0"]}
    after = {"interface": ["cf-node", "eth0"], "sysctl": ["kernel/panic=10"]}

    assert differences(before, after) == [
        "interface: left behind: cf-node",
        "interface: gone: old0",
        "sysctl: left behind: kernel/panic=10",
        "sysctl: gone: kernel/panic=0",
    ]


def test_a_machine_that_is_as_before_has_no_differences() -> None:
    assert differences({"mount": ["/"]}, {"mount": ["/"]}) == []
