"""URIs."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.uri import OtherUri, SipUri, parse_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:h",
        "sip:a@h",
        "sip:a:secret@h:5070",
        "sips:a@h;transport=tcp;lr?Subject=x&Priority=",
        "sip:a;b=c/d?e&f@[2001:db8::1]:5060",
        "sip:%75se%72@h;%6C%72;n=v%34",
        "sip:+15550100@192.0.2.1;user=phone",
        "tel:+1-201-555-0123",
        "soap.beep://192.0.2.103:3002",
    ],
)
def test_comes_out_as_it_went_in(text: str) -> None:
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "sip:",
        "sip:@h",
        "sip:a@",
        "sip:a b@h",
        "sip:a@h:",
        "sip:a@h:x",
        "sip:a@h;",
        "sip:a@h;x=",
        "sip:a@h;x y",
        "sip:a@h?",
        "sip:a@h?x",
        "sip:a@h?=x",
        "sip:a@h?x=<",
        "sip:a@[::1",
        "sip:a@[zz]",
        "sip:a@h[1]",
        "sip:a:p p@h",
        "sip:%zz@h",
        "tel:+1 555",
        "1x:y",
    ],
)
def test_refuses_what_is_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uri(text)


def test_a_sip_uri_is_asked_for() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SipUri.parse("tel:+1")
    assert caught.value.status == 416
    assert parse_uri("TEL:+1") == OtherUri("TEL", "+1")


def test_names_its_parts() -> None:
    uri = SipUri.parse("sip:a@h;Transport=tcp;lr;method=INVITE?a=b")
    assert (uri.transport, uri.is_loose, uri.effective_port) == ("TCP", True, 5060)
    assert str(uri.as_request_uri()) == "sip:a@h;Transport=tcp;lr"
    assert SipUri.parse("sips:h").effective_port == 5061
    assert SipUri.parse("sip:h:7").effective_port == 7
    assert SipUri.parse("sip:h").transport is None
