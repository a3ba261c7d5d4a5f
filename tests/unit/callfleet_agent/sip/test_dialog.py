"""Dialogs: requests along their route set, and calls that move to another process."""

import json
from dataclasses import replace

import pytest

from callfleet_agent.sip import events
from callfleet_agent.sip.call import CallState
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.sip.errors import LocalProtocolError
from callfleet_agent.sip.message import Request
from callfleet_agent.sip.routing import destination_of, next_hop
from callfleet_agent.sip.settings import AdvertisedAddress, Peer
from callfleet_agent.sip.uri import parse_uri
from fakes.sip_line import ALICE, BOB, BOB_URI, FakeLine, agent, offer

DIALOG = Dialog(
    call_id="1",
    local_tag="l",
    remote_tag="r",
    local_uri="<sip:me@h>",
    remote_uri='"You" <sip:you@h>',
    remote_target="sip:you@192.0.2.1:5070;transport=tcp",
    local_cseq=7,
)


def test_the_next_request() -> None:
    after, request = DIALOG.request("INFO")
    assert after.local_cseq == 8
    assert (str(request.uri), request.cseq.number) == (DIALOG.remote_target, 8)
    assert request.required("From") == "<sip:me@h>;tag=l"
    assert request.required("To") == '"You" <sip:you@h>;tag=r'
    after, ack = DIALOG.request("ACK", 3)
    assert (after.local_cseq, ack.cseq.number) == (7, 3)


def test_a_loose_route_keeps_the_target() -> None:
    dialog = replace(DIALOG, route_set=("<sip:p1;lr>", "<sip:p2>"))
    _, request = dialog.request("BYE")
    assert str(request.uri) == DIALOG.remote_target
    assert request.headers.get_all("Route") == ("<sip:p1;lr>", "<sip:p2>")
    assert str(next_hop(request)) == "sip:p1;lr"


def test_a_strict_route_takes_its_place() -> None:
    dialog = replace(DIALOG, route_set=("<sip:p1;method=X?a=b>", "<sip:p2;lr>"))
    _, request = dialog.request("BYE")
    assert str(request.uri) == "sip:p1"
    assert request.headers.get_all("Route") == ("<sip:p2;lr>", f"<{DIALOG.remote_target}>")
    assert str(next_hop(Request(method="BYE", uri=request.uri))) == "sip:p1"
    _, request = replace(DIALOG, route_set=("<tel:+1>",)).request("BYE")
    assert str(request.uri) == "tel:+1"
    assert str(next_hop(request)) == "tel:+1"


@pytest.mark.parametrize(
    ("uri", "peer"),
    [
        ("sip:a@h", Peer("UDP", "h", 5060)),
        ("sip:a@h:7;transport=tcp", Peer("TCP", "h", 7)),
        ("sip:a@[::1];maddr=192.0.2.9", Peer("UDP", "192.0.2.9", 5060)),
        ("sip:a@[::1]", Peer("UDP", "::1", 5060)),
    ],
)
def test_where_a_uri_leads(uri: str, peer: Peer) -> None:
    assert destination_of(parse_uri(uri), ("UDP", "TCP")) == peer


def test_it_can_be_written_down() -> None:
    dialog = replace(DIALOG, route_set=("<sip:p1;lr>",), local_sdp="v=0", epoch=3)
    written = json.loads(json.dumps(dialog.to_dict()))
    assert Dialog.from_dict({**written, "of a newer version": 1}) == dialog
    with pytest.raises(LocalProtocolError):
        Dialog.from_dict({"call_id": "1"})


def test_a_call_moves_to_another_agent() -> None:
    alice, bob = agent(ALICE), agent(BOB)
    third = agent(AdvertisedAddress("192.0.2.3", 5060))
    line = FakeLine(alice, bob, third)
    alices = alice.invite(BOB_URI, offer(), now=0.0)
    line.run()
    bobs = bob.calls[0]
    bobs.answer(offer("192.0.2.2"), now=line.now)
    line.run()
    assert bobs.dialog is not None
    written = bobs.dialog.to_dict()

    taken = third.adopt(replace(Dialog.from_dict(written), epoch=1), now=line.now)
    assert taken.info.caller.id == "agent"
    taken.reoffer(offer("192.0.2.3", taken.origin("192.0.2.3").version), now=line.now)
    line.run()
    reoffered = line.take(alice)[-1]
    assert isinstance(reoffered, events.Reoffered)
    alices.answer(offer(version=2), now=line.now)
    line.run()
    assert [type(event) for event in line.take(third)] == [events.Reanswered]
    alices.hang_up(now=line.now)
    line.run()
    assert [type(event) for event in line.take(third)] == [events.CallEnded]
    with pytest.raises(LocalProtocolError):
        bob.adopt(bobs.dialog, now=line.now)
    assert bobs.state is CallState.ESTABLISHED  # its former owner hears no more of it


def test_an_adopted_session_is_refreshed() -> None:
    third = agent(BOB)
    dialog = replace(
        DIALOG,
        session_expires_s=120,
        refresher="local",
        remote_allows_update=True,
        transport="TCP",
    )
    third.adopt(dialog, now=1000.0)
    assert third.next_timer() == 1060.0
    third.handle_timers(now=1060.0)
    [out] = third.take_datagrams()
    assert out.data.startswith(b"UPDATE ")
    assert out.destination == Peer("TCP", "192.0.2.1", 5070)
