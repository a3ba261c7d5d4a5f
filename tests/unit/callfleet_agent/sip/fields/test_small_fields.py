"""The families of one line each."""

from collections.abc import Callable

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.fields.cseq import CSeq
from callfleet_agent.sip.fields.date import check_date
from callfleet_agent.sip.fields.media_type import MediaType
from callfleet_agent.sip.fields.reason import Reason
from callfleet_agent.sip.fields.retry_after import RetryAfter
from callfleet_agent.sip.fields.session_timer import SessionExpires, parse_min_se
from callfleet_agent.sip.fields.token_list import format_tokens, parse_tokens
from callfleet_agent.sip.fields.warning import Warning as WarningField


@pytest.mark.parametrize(
    ("parse", "text", "written"),
    [
        (CSeq.parse, "0009  INVITE", "9 INVITE"),
        (CSeq.parse, "2147483647 BYE", "2147483647 BYE"),
        (RetryAfter.parse, "18000;duration=3600", "18000"),
        (RetryAfter.parse, "120 (I'm in a meeting)", "120"),
        (MediaType.parse, "Application / SDP;charset=utf-8", "application/sdp;charset=utf-8"),
        (WarningField.parse, '305 host:5060 "No \\"codec\\""', '305 host:5060 "No \\"codec\\""'),
        (
            Reason.parse,
            'SIP;cause=200;text="Call completed"',
            'SIP;cause=200;text="Call completed"',
        ),
        (Reason.parse, "Q.850", "Q.850"),
        (SessionExpires.parse, "1800;refresher=UAC", "1800;refresher=uac"),
        (SessionExpires.parse, "90", "90"),
        (parse_min_se, "120;x", "120"),
    ],
)
def test_is_written_as_it_was_meant(
    parse: Callable[[str], object], text: str, written: str
) -> None:
    assert str(parse(text)) == written


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (CSeq.parse, "INVITE"),
        (CSeq.parse, "2147483648 INVITE"),
        (CSeq.parse, "-1 INVITE"),
        (CSeq.parse, "1 IN@VITE"),
        (RetryAfter.parse, "soon"),
        (RetryAfter.parse, "4294967296"),
        (MediaType.parse, "sdp"),
        (MediaType.parse, "a b/c"),
        (MediaType.parse, "a/"),
        (WarningField.parse, "99 h x"),
        (Reason.parse, "SIP;cause=x"),
        (SessionExpires.parse, "90;refresher=proxy"),
        (SessionExpires.parse, "many"),
        (check_date, "Fri, 01 Jan 2010 16:00:00 EST"),
    ],
)
def test_refuses_what_is_malformed(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(text)


def test_a_date_is_in_gmt() -> None:
    check_date("Sat, 13 Nov 2010 23:29:00 GMT")


def test_token_lists_may_be_repeated_and_empty() -> None:
    assert parse_tokens(["a, b", "", " c"], "Allow") == ("a", "b", "c")
    assert parse_tokens([], "Allow") == ()
    assert format_tokens(("a", "b")) == "a, b"
    with pytest.raises(RemoteProtocolError, match="Malformed Allow"):
        parse_tokens(["a b"], "Allow")
