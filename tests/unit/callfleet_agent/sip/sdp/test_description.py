"""Session descriptions."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.sdp import SessionDescription

WHOLE = (
    "v=0\r\no=jdoe 2890844526 2890842807 IN IP4 192.0.2.1\r\ns=A talk\r\nc=IN IP4 192.0.2.1\r\n"
    "t=0 0\r\na=recvonly\r\nm=audio 49170 RTP/AVP 0\r\na=ptime:20\r\n"
    "m=video 51372/2 RTP/AVP 99\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:99 h263-1998/90000\r\n"
)


def test_comes_out_as_it_went_in() -> None:
    parsed = SessionDescription.parse(WHOLE)
    assert bytes(parsed) == WHOLE.encode()
    audio, video = parsed.media
    assert (audio.attribute("ptime"), audio.has("ptime"), audio.attribute("x")) == (
        "20",
        True,
        None,
    )
    assert parsed.connection_of(audio).address == "192.0.2.1"
    assert parsed.connection_of(video).address == "2001:db8::1"
    assert parsed.direction_of(audio) == "recvonly"
    assert video.port_count == 2


def test_lines_that_mean_nothing_to_a_phone_are_passed_over() -> None:
    text = (
        "v=0\no=- 1 1 IN IP4 h\ns=\ni=x\nu=x\ne=x\np=x\nb=AS:64\nt=0 0\nr=x\nt=1 2\nz=x\nk=x\n"
        "m=audio 9 RTP/AVP 0\ni=x\nc=IN IP4 224.2.1.1/127\n"
    )
    parsed = SessionDescription.parse(text.encode())
    assert (parsed.name, parsed.connection) == ("-", None)
    assert parsed.connection_of(parsed.media[0]).address == "224.2.1.1"
    assert SessionDescription.parse(str(parsed)) == parsed
    assert parsed.direction_of(parsed.media[0]) == "sendrecv"


HEAD = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begin with v=0"),
        ("v=1\r\n", "begin with v=0"),
        ("v=0\r\ns=-\r\n", "Missing origin"),
        (HEAD + "broken\r\n", "Malformed line"),
        (HEAD + "q=1\r\n", "Malformed line"),
        (HEAD + "o=- 1 1 IN IP4 h\r\n", "Repeated line"),
        ("v=0\r\no=- 1 1 IN IP4\r\n", "Malformed origin"),
        ("v=0\r\no=- x 1 IN IP4 h\r\n", "Malformed origin"),
        (HEAD + "c=IN IP4\r\n", "Malformed connection"),
        (HEAD + "c=ATM NSAP x\r\n", "Malformed connection"),
        (HEAD + "c=IN IP4 a(b\r\n", "Malformed connection"),
        (HEAD + "m=audio 1 RTP/AVP\r\n", "Malformed media"),
        (HEAD + "m=audio 65536 RTP/AVP 0\r\n", "media port out of range"),
        (HEAD + "a=x\ry\r\n", "Malformed session description"),
        (HEAD + "a=x\r\n" * 1000, "Malformed session description"),
    ],
)
def test_what_is_malformed_is_named(text: str, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        SessionDescription.parse(text)


def test_media_without_any_connection() -> None:
    parsed = SessionDescription.parse(HEAD + "m=audio 9 RTP/AVP 0\r\n")
    with pytest.raises(RemoteProtocolError, match="Missing connection"):
        parsed.connection_of(parsed.media[0])
