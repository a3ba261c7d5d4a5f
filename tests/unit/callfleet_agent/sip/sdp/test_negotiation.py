"""Offer and answer."""

from dataclasses import replace

import pytest

from callfleet_agent.sip.errors import NotAcceptableError, RemoteProtocolError
from callfleet_agent.sip.sdp import (
    LocalMedia,
    NegotiatedMedia,
    Origin,
    SessionDescription,
    accept_answer,
    make_answer,
    make_offer,
)

ORIGIN = Origin("10.0.0.7", 5, 2)
LOCAL = LocalMedia("10.0.0.7", 20000)


def offered(*lines: str, connection: str = "c=IN IP4 192.0.2.1") -> SessionDescription:
    head = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", connection, "t=0 0"]
    return SessionDescription.parse("".join(f"{line}\r\n" for line in (*head, *lines) if line))


def test_the_answer_takes_the_offerers_first_codec_that_we_have() -> None:
    offer = offered(
        "m=audio 30000 RTP/AVP 18 8 0 96",
        "a=rtpmap:96 Telephone-Event/8000",
        "a=fmtp:96 0-15",
        "a=ptime:30",
        "a=maxptime:60",
    )
    negotiated = make_answer(offer, LOCAL, ORIGIN)
    assert str(negotiated.description) == (
        "v=0\r\no=- 5 2 IN IP4 10.0.0.7\r\ns=-\r\nc=IN IP4 10.0.0.7\r\nt=0 0\r\n"
        "m=audio 20000 RTP/AVP 8 96\r\na=rtpmap:8 PCMA/8000\r\n"
        "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )
    assert negotiated.media == NegotiatedMedia(
        codec="PCMA",
        payload_type_send=8,
        payload_type_receive=8,
        dtmf_send=96,
        dtmf_receive=96,
        remote_host="192.0.2.1",
        remote_port=30000,
        remote_rtcp_host="192.0.2.1",
        remote_rtcp_port=30001,
        rtcp_mux=False,
        ptime_ms=30,
        maxptime_ms=60,
        sending=True,
        receiving=True,
    )


def test_dynamic_numbers_and_names_in_any_case() -> None:
    offer = offered("m=audio 30000 RTP/AVP 100 0", "a=rtpmap:100 pcma/8000/1")
    assert make_answer(offer, LOCAL, ORIGIN).media.payload_type_send == 100
    offer = offered("m=audio 30000 RTP/AVP 0 8", "a=rtpmap:0 PCMU/16000")
    assert make_answer(offer, LOCAL, ORIGIN).media.codec == "PCMA"
    offer = offered("m=audio 30000 RTP/AVP 0 0 8")
    assert make_answer(offer, LOCAL, ORIGIN).media.codec == "PCMU"


def test_without_telephone_events() -> None:
    offer = offered("m=audio 30000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000")
    assert make_answer(offer, replace(LOCAL, telephone_event=False), ORIGIN).media.dtmf_send is None
    # Events on another clock than the voice's are of no use.
    offer = offered("m=audio 30000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/16000")
    assert make_answer(offer, LOCAL, ORIGIN).media.dtmf_send is None


def test_other_lines_are_refused_in_their_places() -> None:
    offer = offered(
        "m=video 40000/2 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=audio 30000 RTP/AVP 18",
        "m=audio 30002 RTP/AVP 0",
        "c=IN IP4 192.0.2.2",
        "m=audio 30004 RTP/AVP 0",
        "m=application 9 TCP x",
    )
    negotiated = make_answer(offer, LOCAL, ORIGIN)
    assert [(m.kind, m.port) for m in negotiated.description.media] == [
        ("video", 0),
        ("audio", 0),
        ("audio", 0),
        ("audio", 20000),
        ("audio", 0),
        ("application", 0),
    ]
    assert negotiated.media.remote_host == "192.0.2.2"


@pytest.mark.parametrize(
    ("direction", "connection", "answer", "sending", "receiving"),
    [
        ("sendrecv", "192.0.2.1", "sendrecv", True, True),
        ("sendonly", "192.0.2.1", "recvonly", False, True),
        ("recvonly", "192.0.2.1", "sendonly", True, False),
        ("inactive", "192.0.2.1", "inactive", False, False),
        ("sendrecv", "0.0.0.0", "recvonly", False, True),
        ("recvonly", "0.0.0.0", "inactive", False, False),
    ],
)
def test_hold(direction: str, connection: str, answer: str, sending: bool, receiving: bool) -> None:
    offer = offered(
        "m=audio 30000 RTP/AVP 0", f"a={direction}", connection=f"c=IN IP4 {connection}"
    )
    negotiated = make_answer(offer, LOCAL, ORIGIN)
    assert negotiated.description.direction_of(negotiated.description.media[0]) == answer
    assert (negotiated.media.sending, negotiated.media.receiving) == (sending, receiving)


def test_we_may_hold_too() -> None:
    negotiated = make_answer(
        offered("m=audio 30000 RTP/AVP 0"), replace(LOCAL, direction="sendonly"), ORIGIN
    )
    assert (negotiated.media.sending, negotiated.media.receiving) == (True, False)


@pytest.mark.parametrize(
    ("lines", "rtcp"),
    [
        (["a=rtcp-mux"], ("192.0.2.1", 30000, True)),
        (["a=rtcp:40000"], ("192.0.2.1", 40000, False)),
        (["a=rtcp:40000 IN IP4 192.0.2.9"], ("192.0.2.9", 40000, False)),
        ([], ("192.0.2.1", 30001, False)),
    ],
)
def test_where_rtcp_goes(lines: list[str], rtcp: tuple[str, int, bool]) -> None:
    media = make_answer(offered("m=audio 30000 RTP/AVP 0", *lines), LOCAL, ORIGIN).media
    assert (media.remote_rtcp_host, media.remote_rtcp_port, media.rtcp_mux) == rtcp


def test_rtcp_mux_only_where_both_want_it() -> None:
    offer = offered("m=audio 30000 RTP/AVP 0", "a=rtcp-mux")
    negotiated = make_answer(offer, replace(LOCAL, rtcp_mux=False), ORIGIN)
    assert not negotiated.media.rtcp_mux
    assert not negotiated.description.media[0].has("rtcp-mux")


@pytest.mark.parametrize(
    "line", ["a=ptime:x", "a=ptime:0", "a=ptime", "a=ptime:nan", "a=ptime:inf"]
)
def test_nonsense_of_ptime_is_passed_over(line: str) -> None:
    media = make_answer(offered("m=audio 30000 RTP/AVP 0", line), LOCAL, ORIGIN).media
    assert media.ptime_ms == 20


@pytest.mark.parametrize(
    ("lines", "connection", "warning"),
    [
        (["m=video 30000 RTP/AVP 0"], "IN IP4 h", 304),
        ([], "IN IP4 h", 304),
        (["m=audio 30000 RTP/SAVP 0"], "IN IP4 h", 302),
        (["m=audio 30000 RTP/AVP 18 9"], "IN IP4 h", 305),
        (["m=audio 30000 RTP/AVP 96", "a=rtpmap:96 telephone-event/8000"], "IN IP4 h", 305),
        (["m=audio 30000 RTP/AVP 0"], "IN IP6 ::1", 301),
    ],
)
def test_nothing_to_agree_on(lines: list[str], connection: str, warning: int) -> None:
    with pytest.raises(NotAcceptableError) as caught:
        make_answer(offered(*lines, connection=f"c={connection}"), LOCAL, ORIGIN)
    assert (caught.value.status, caught.value.warning) == (488, warning)


@pytest.mark.parametrize(
    "lines",
    [
        ["m=audio 30000 RTP/AVP x"],
        ["m=audio 30000 RTP/AVP 128"],
        ["m=audio 30000 RTP/AVP 0", "a=rtpmap:96"],
        ["m=audio 30000 RTP/AVP 0", "a=rtpmap"],
        ["m=audio 30000 RTP/AVP 0", "a=rtcp:x"],
    ],
)
def test_a_malformed_offer(lines: list[str]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        make_answer(offered(*lines), LOCAL, ORIGIN)
    assert caught.value.status == 400


# Our offer


def test_our_offer_and_what_an_answer_means() -> None:
    offer = make_offer(LOCAL, ORIGIN)
    assert offer.media[0].formats == ("0", "8", "101")
    answer = offered(
        "m=audio 30000 RTP/AVP 8 110", "a=rtpmap:110 telephone-event/8000", "a=rtcp-mux"
    )
    media = accept_answer(offer, answer)
    assert (media.codec, media.payload_type_send, media.payload_type_receive) == ("PCMA", 8, 8)
    assert (media.dtmf_send, media.dtmf_receive, media.rtcp_mux) == (110, 101, True)
    assert (media.sending, media.receiving) == (True, True)


def test_our_offer_without_events_and_mux() -> None:
    offer = make_offer(replace(LOCAL, telephone_event=False, rtcp_mux=False), ORIGIN)
    assert offer.media[0].formats == ("0", "8")
    assert not offer.media[0].has("rtcp-mux")


def test_what_answers_cannot_be() -> None:
    offer = make_offer(LOCAL, ORIGIN)
    with pytest.raises(RemoteProtocolError, match="does not match"):
        accept_answer(offer, offered())
    with pytest.raises(NotAcceptableError, match="not available"):
        accept_answer(offer, offered("m=audio 0 RTP/AVP 0"))
    with pytest.raises(NotAcceptableError, match="Incompatible"):
        accept_answer(offer, offered("m=audio 9 RTP/AVP 18"))


def test_a_later_offer_keeps_the_lines() -> None:
    first = make_answer(
        offered("m=video 9 RTP/AVP 31", "m=audio 30000 RTP/AVP 0"), LOCAL, ORIGIN
    ).description
    again = make_offer(replace(LOCAL, port=20002), Origin("10.0.0.7", 5, 3), previous=first)
    assert [(m.kind, m.port) for m in again.media] == [("video", 0), ("audio", 20002)]
    answer = offered("m=video 0 RTP/AVP 31", "m=audio 30000 RTP/AVP 0")
    assert accept_answer(again, answer).codec == "PCMU"
