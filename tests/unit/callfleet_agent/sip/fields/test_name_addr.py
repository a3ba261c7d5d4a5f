"""Addresses with a display name and parameters."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.name_addr import NameAddr


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("sip:a@h;tag=1", "<sip:a@h>;tag=1"),
        ("<sip:a@h;x=1>;tag=1", "<sip:a@h;x=1>;tag=1"),
        ("caller<sip:a@h>", '"caller" <sip:a@h>'),
        ("A.  G. Bell <sip:a@h> ; tag = 1", '"A. G. Bell" <sip:a@h>;tag=1'),
        (r'"a \"b\" <x>, \\" <sip:a@h>', r'"a \"b\" <x>, \\" <sip:a@h>'),
        ("tel:+1-201-555-0123;tag=5", "<tel:+1-201-555-0123>;tag=5"),
    ],
)
def test_is_written_as_it_was_meant(text: str, written: str) -> None:
    assert str(NameAddr.parse(text)) == written
    assert str(NameAddr.parse(written)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"open <sip:a@h>',
        "<sip:a@h",
        "< sip:a@h >",
        "Bell, Alexander <sip:a@h>",
        "sip:a@h?Route=%3Csip:b%3E",
        "sip:a,b@h",
        "<sip:a@h>tag=1",
        "<sip:a@h>;=1",
        "<sip:a@h>;x=y z",
    ],
)
def test_refuses_what_is_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        NameAddr.parse(text)


def test_a_tag_is_added_changed_and_removed() -> None:
    address = NameAddr.parse("<sip:a@h>;x")
    assert address.tag is None
    assert str(address.with_tag("1").with_tag("2")) == "<sip:a@h>;x;tag=2"
    assert address.with_tag("1").with_tag(None) == address
