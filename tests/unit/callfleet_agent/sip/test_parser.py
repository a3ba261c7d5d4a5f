"""Messages from bytes, and back."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.headers import Headers, headers_of
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.parser import parse_message, split_message

HEADER = (
    "v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa, SIP/2.0/TCP h\r\n"
    "f: <sip:a@h>;tag=1\r\nt: <sip:b@h>\r\ni: c1\r\nCSeq: 1 INVITE\r\n"
)


def request(extra: str = "", body: str = "") -> Request:
    message = parse_message(f"INVITE sip:b@h SIP/2.0\r\n{HEADER}{extra}\r\n{body}".encode())
    assert isinstance(message, Request)
    return message


def response(extra: str = "") -> Response:
    message = parse_message(f"SIP/2.0 503 Full\r\n{HEADER}{extra}\r\n".encode())
    assert isinstance(message, Response)
    return message


def test_views_of_a_request() -> None:
    parsed = request(
        "Max-Forwards: 70\r\nm: <sip:a@h1>, sip:a@h2;q=1\r\nRoute: <sip:p;lr>\r\n"
        "Record-Route: <sip:q;lr>\r\nc: application/sdp\r\nx: 90\r\nMin-SE: 90\r\nk: timer\r\n"
        "Expires: 10\r\nDate: Sat, 13 Nov 2010 23:29:00 GMT\r\nl: 2\r\n",
        "hi there",
    )
    assert [via.transport for via in parsed.vias] == ["UDP", "TCP"]
    assert parsed.via.branch == "z9hG4bKa"
    assert (parsed.call_id, parsed.cseq.number, parsed.max_forwards) == ("c1", 1, 70)
    assert (parsed.from_.tag, parsed.to.tag) == ("1", None)
    assert [str(contact.uri) for contact in parsed.contacts] == ["sip:a@h1", "sip:a@h2"]
    assert (len(parsed.routes), len(parsed.record_routes)) == (1, 1)
    assert parsed.content_type is not None
    assert parsed.session_expires is not None
    assert (parsed.min_se, parsed.tokens("Supported"), parsed.body) == (90, ("timer",), b"hi")
    assert b"\r\nContent-Length: 2\r\n\r\nhi" in bytes(parsed)


def test_what_is_absent_is_none() -> None:
    parsed = request("m: *\r\n", "body to the end")
    assert (parsed.max_forwards, parsed.content_type, parsed.session_expires) == (None, None, None)
    assert (parsed.min_se, parsed.contacts, parsed.body) == (None, (), b"body to the end")
    assert response().retry_after is None
    assert response("Retry-After: 5 (soon)\r\n").retry_after == 5


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("To: x\r\n", "Repeated To"),
        ("no colon\r\n", "Malformed header field"),
        ("bad name: x\r\n", "Malformed header field"),
        ("x: a\rb\r\n", "Malformed header field"),
        ("x: y\r\n" * 600, "Too many header fields"),
        ("Max-Forwards: 256\r\n", "Max-Forwards out of range"),
        ("l: 1\r\nl: 2\r\n", "Contradicting Content-Length"),
        ("Contact: <sip:a@h>;expires=x\r\n", "Malformed expires"),
        ("Allow: a b\r\n", "Malformed Allow"),
    ],
)
def test_a_malformed_field_is_named(extra: str, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        request(extra)


@pytest.mark.parametrize(
    "text",
    [
        "INVITE sip:b@h SIP/2.0\r\n\r\n",
        "INVITE sip:b@h SIP/2.0\r\n" + HEADER.replace("i: c1", "i: a b") + "\r\n",
        "IN(VITE sip:b@h SIP/2.0\r\n" + HEADER + "\r\n",
        "SIP/2.0 20x OK\r\n" + HEADER + "\r\n",
        "SIP/2.0 099 OK\r\n" + HEADER + "\r\n",
        "SIP/2.0 700 OK\r\n" + HEADER + "\r\n",
        "SIP/2.0 503 Full\r\n" + HEADER + "Retry-After: x\r\n\r\n",
    ],
)
def test_a_malformed_message(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_message(text.encode())


def test_too_large_and_unfinished() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        split_message(b"x" * 70_000)
    assert caught.value.status == 513
    with pytest.raises(RemoteProtocolError, match="Unterminated"):
        split_message(b"OPTIONS sip:a SIP/2.0\r\n")


def test_headers_compare_names_without_case() -> None:
    headers = headers_of([("A", 1), ("b", None), ("C", "x, y")])
    assert list(headers) == [("A", "1"), ("C", "x, y")]
    assert "a" in headers
    assert headers.get_list("c") == ("x", "y")
    assert headers.with_first("a", "2").get("A") == "2"
    assert headers.with_first("Z", "0").items[0] == ("Z", "0")
    assert headers.without("a", "c") == Headers()
    assert headers.with_added(("A", "3")).get_all("a") == ("1", "3")
