"""Via."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.via import Via


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP 192.0.2.1"),
        (
            "SIP  / 2.0 / tcp  host.example :  5080 ; branch = x",
            "SIP/2.0/TCP host.example:5080;branch=x",
        ),
        ("SIP/2.0/UDP [2001:db8::1]:5060;rport", "SIP/2.0/UDP [2001:db8::1]:5060;rport"),
        (
            "SIP/2.0/UDP [2001:db8::1];received=[2001:db8::9]",
            "SIP/2.0/UDP [2001:db8::1];received=[2001:db8::9]",
        ),
    ],
)
def test_is_written_as_it_was_meant(text: str, written: str) -> None:
    assert str(Via.parse(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/1.0/UDP h",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP -h-;",
        "SIP/2.0/UDP h;;,;",
        "SIP/2.0/UDP h:70000",
    ],
)
def test_refuses_what_is_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Via.parse(text)


@pytest.mark.parametrize(
    ("via", "address"),
    [
        ("SIP/2.0/UDP 192.0.2.9", ("192.0.2.9", 5060)),
        ("SIP/2.0/TLS 192.0.2.9", ("192.0.2.9", 5061)),
        ("SIP/2.0/UDP 192.0.2.9:5070", ("192.0.2.9", 5070)),
        ("SIP/2.0/UDP host.example:5070", ("198.51.100.7", 5070)),
        ("SIP/2.0/UDP host.example:5070;rport", ("198.51.100.7", 6000)),
        ("SIP/2.0/UDP h:5070;maddr=203.0.113.1;rport", ("203.0.113.1", 5070)),
        ("SIP/2.0/UDP 192.0.2.9:5070;received=10.0.0.1", ("192.0.2.9", 5070)),
    ],
)
def test_says_where_responses_go(via: str, address: tuple[str, int]) -> None:
    source = "192.0.2.9" if "192.0.2.9" in via else "198.51.100.7"
    assert Via.parse(via).seen_from(source, 6000).response_address() == address


@pytest.mark.parametrize(
    ("branch", "is_ours"),
    [(";branch=z9hG4bKabc", True), (";branch=z9hG4bK", False), (";branch=abc", False), ("", False)],
)
def test_knows_the_magic_cookie(branch: str, is_ours: bool) -> None:
    assert Via.parse(f"SIP/2.0/UDP h{branch}").has_cookie is is_ours
