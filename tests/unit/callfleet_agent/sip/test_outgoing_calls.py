"""A user agent that calls."""

import pytest

from callfleet_agent.sip import events
from callfleet_agent.sip.call import Call, CallState
from callfleet_agent.sip.errors import LocalProtocolError, RemoteProtocolError
from callfleet_agent.sip.message import Message, Request
from callfleet_agent.sip.sdp import SessionDescription
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.user_agent import UserAgent
from fakes.sip_line import ALICE, agent, offer
from fakes.sip_peer import HOST, FakePeer, description, methods, statuses

URI = f"sip:100@{HOST}:5060"


@pytest.fixture
def alice() -> UserAgent:
    return agent(ALICE)


@pytest.fixture
def peer(alice: UserAgent) -> FakePeer:
    return FakePeer(alice)


def calling(peer: FakePeer, uri: str = URI) -> tuple[Call, Request]:
    call = peer.user_agent.invite(uri, offer(), now=peer.now)
    return call, a_request(peer.hear())


def established(peer: FakePeer, *extra: str) -> Call:
    call, invite = calling(peer)
    peer.respond(invite, 200, body=description(), extra=extra)
    peer.user_agent.take_events()
    peer.call_id = call.info.call_id
    peer.to_tag = call.local_tag
    return call


def a_request(messages: list[Message]) -> Request:
    [message] = messages
    assert isinstance(message, Request)
    return message


def say(peer: FakePeer, method: str, cseq: int, **values: str) -> list[Message]:
    """A request of the other side, whose From is what our To was."""
    swap = ("<sip:+15550111@example.com>;tag=peer", f"<{URI}>;tag=peer")
    return peer.request(method, cseq, replace=swap, **values)  # type: ignore[arg-type]


def test_an_invite_says_who_calls(alice: UserAgent) -> None:
    call = alice.invite(
        "sip:100@203.0.113.7;method=INVITE?Subject=x",
        offer(),
        now=0.0,
        from_uri="sip:me@example.com",
        display_name="Me",
        headers=[("X-Test", "1")],
    )
    invite = a_request(FakePeer(alice).hear())
    assert str(invite.uri) == "sip:100@203.0.113.7"
    assert invite.required("From") == f'"Me" <sip:me@example.com>;tag={call.local_tag}'
    assert invite.required("X-Test") == "1"
    assert str(invite.contacts[0].uri) == "sip:agent@192.0.2.1:5060"
    assert call.info.number == "100"
    assert alice.calls == (call,)
    with pytest.raises(LocalProtocolError):
        _ = call.known_dialog


@pytest.mark.parametrize("target", ["tel:+1", "sips:a@h", "sip:a@h;transport=sctp", "nonsense"])
def test_what_cannot_be_called(alice: UserAgent, target: str) -> None:
    with pytest.raises(RemoteProtocolError):
        alice.invite(target, offer(), now=0.0)
    assert alice.calls == ()
    assert alice.idle


def test_it_rings_and_is_answered(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    peer.respond(invite, 100)
    peer.respond(invite, 180)
    peer.respond(invite, 183, body=description())
    peer.respond(invite, 183, body="v=0\r\nbroken")
    assert alice.take_events() == [
        events.Ringing(call, 180, None),
        events.Ringing(call, 183, SessionDescription.parse(description())),
    ]
    ack = a_request(peer.respond(invite, 200))  # the early answer stands
    assert (ack.method, ack.cseq.number, str(ack.uri)) == (
        "ACK",
        invite.cseq.number,
        f"sip:peer@{HOST}:5060",
    )
    assert ack.via.branch != invite.via.branch
    answered = events.Answered(call, SessionDescription.parse(description()))
    assert alice.take_events() == [answered]
    assert methods(peer.respond(invite, 200)) == ["ACK"]  # our ACK was lost
    assert alice.take_events() == []
    peer.wait(33)
    assert peer.respond(invite, 200) == []


def test_the_invite_is_repeated_until_something_comes(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    assert methods(peer.wait(4)) == ["INVITE"] * 3  # after 0.5, 1.5 and 3.5 s
    peer.respond(invite, 100)
    assert peer.wait(60) == []
    call.hang_up(now=peer.now)
    assert methods(peer.hear()) == ["CANCEL"]


def test_nobody_there(alice: UserAgent, peer: FakePeer) -> None:
    call, _ = calling(peer)
    peer.wait(32)
    assert alice.take_events() == [events.Failed(call, 408, "Request Timeout", answered=False)]
    assert alice.idle


def test_nobody_reachable(alice: UserAgent, peer: FakePeer) -> None:
    call, _ = calling(peer)
    alice.transport_failed(Peer("UDP", "192.0.2.99", 5060), now=0.0)
    assert alice.take_events() == []
    alice.transport_failed(Peer("UDP", HOST, 5060), now=0.0)
    assert alice.take_events() == [events.Failed(call, 503, "Service Unavailable", answered=False)]


def test_a_refusal_is_acknowledged_by_its_transaction(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    ack = a_request(peer.respond(invite, 503, extra=("Retry-After: 9",)))
    assert (ack.method, ack.via) == ("ACK", invite.via)
    assert ack.to.tag == "peer"
    assert methods(peer.respond(invite, 503)) == ["ACK"]
    assert alice.take_events() == [events.Failed(call, 503, "Whatever", 9)]
    peer.wait(32)
    assert alice.idle


def test_a_redirection_is_a_failure(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    peer.respond(invite, 302)
    assert alice.take_events() == [events.Failed(call, 302, "Whatever")]


def test_an_answer_without_a_description_is_hung_up_on(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    assert methods(peer.respond(invite, 200)) == ["ACK", "BYE"]
    assert alice.take_events() == [events.Failed(call, 488, "Missing answer")]
    call, invite = calling(peer)
    assert methods(peer.respond(invite, 200, body="v=0\r\nbroken")) == ["ACK", "BYE"]
    [failed] = alice.take_events()
    assert isinstance(failed, events.Failed)
    assert failed.status == 488


# Giving up


def test_a_cancel_waits_for_a_provisional_response(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    call.cancel(now=0.0)
    assert peer.hear() == []
    cancel = a_request(peer.respond(invite, 100))
    assert (cancel.method, cancel.via, cancel.cseq.number) == (
        "CANCEL",
        invite.via,
        invite.cseq.number,
    )
    call.cancel(now=0.0)
    call.hang_up(now=0.0)
    assert peer.respond(invite, 180) == []
    peer.respond(cancel, 200)
    assert methods(peer.respond(invite, 487)) == ["ACK"]
    assert alice.take_events() == [events.Failed(call, 487, "Whatever")]
    call.cancel(now=0.0)
    assert call.state is CallState.ENDED
    peer.wait(40)
    assert alice.idle


def test_a_cancel_that_comes_too_late_is_followed_by_bye(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    peer.respond(invite, 180)
    call.cancel(now=0.0)
    peer.hear()
    assert methods(peer.respond(invite, 200, body=description())) == ["ACK", "BYE"]
    assert alice.take_events()[-1] == events.Failed(call, 487, "Request Terminated")
    peer.wait(64)
    assert alice.idle


def test_a_cancel_that_nobody_answers_is_given_up(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    peer.respond(invite, 180)
    alice.take_events()
    call.cancel(now=0.0)
    peer.wait(33)
    assert alice.take_events() == [events.Failed(call, 487, "Request Terminated", answered=False)]
    assert alice.idle


# Forks


def test_a_second_phone_that_answers_is_hung_up_on(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    peer.respond(invite, 200, body=description())
    heard = peer.respond(invite, 200, tag="second", contact=f"sip:second@{HOST}")
    assert methods(heard) == ["ACK", "BYE"]
    assert {message.to.tag for message in heard} == {"second"}
    assert methods(peer.respond(invite, 200, tag="second")) == ["ACK"]
    assert len(alice.take_events()) == 1
    assert call.state is CallState.ESTABLISHED


# Which responses are ours


def test_strangers_responses_are_dropped(alice: UserAgent, peer: FakePeer) -> None:
    call, invite = calling(peer)
    for change in (
        ("z9hG4bK", "z9hG4bKother"),
        ("192.0.2.1:5060", "192.0.2.9:5060"),
        ("\r\nFrom", "\r\nVia: SIP/2.0/UDP h\r\nFrom"),
        ("INVITE", "OPTIONS"),
    ):
        text = bytes(invite).decode().replace(str(invite.uri), "x").split("\r\n", 1)[1]
        peer.say(
            ("SIP/2.0 200 OK\r\n" + text)
            .replace(*change)
            .replace(" INVITE\r\nContact", " INVITE\r\nContact")
        )
    assert alice.take_events() == []
    assert call.state is CallState.CALLING


# TCP


def test_a_long_request_goes_over_tcp(alice: UserAgent, peer: FakePeer) -> None:
    call = alice.invite(URI, offer(), now=0.0, headers=[("X-Long", "x" * 1300)])
    [out] = alice.take_datagrams()
    assert out.destination == Peer("TCP", HOST, 5060)
    assert b"SIP/2.0/TCP" in out.data
    assert peer.wait(3) == []
    alice.transport_failed(out.destination, now=peer.now)  # no TCP there: then as a datagram
    [out] = alice.take_datagrams()
    assert out.destination == Peer("UDP", HOST, 5060)
    assert b"SIP/2.0/UDP" in out.data
    assert methods(peer.wait(1)) == ["INVITE"]
    alice.transport_failed(out.destination, now=peer.now)
    assert alice.take_events() == [events.Failed(call, 503, "Service Unavailable", answered=False)]


def test_where_there_is_no_tcp_it_stays_a_datagram() -> None:
    alice = agent(ALICE, transports=("UDP",))
    alice.invite(URI, offer(), now=0.0, headers=[("X-Long", "x" * 1300)])
    assert alice.take_datagrams()[0].destination.transport == "UDP"


def test_where_there_is_only_tcp_that_is_used() -> None:
    alice = agent(ALICE, transports=("TCP",))
    alice.invite(URI, offer(), now=0.0)
    assert alice.take_datagrams()[0].destination == Peer("TCP", HOST, 5060)


def test_a_call_over_tcp_stays_on_its_connection() -> None:
    bob = agent(ALICE)
    peer = FakePeer(bob, "TCP")
    peer.call(replace=("sip:peer@203.0.113.7:5060", "sip:peer@203.0.113.7:5060;transport=tcp"))
    call = bob.calls[0]
    call.answer(offer(), now=0.0)
    response = peer.hear()[-1]
    assert str(response.contacts[0].uri) == "sip:agent@192.0.2.1:5060;transport=tcp"
    peer.to_tag = call.local_tag
    peer.request("ACK")
    call.hang_up(now=0.0)
    assert bob.take_datagrams()[0].destination == peer.source


# Inside the call


def test_a_bye_that_nobody_answers(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.hang_up(now=peer.now, reason="Done")
    bye = a_request(peer.hear())
    assert bye.required("Reason") == 'SIP;cause=200;text="Done"'
    # Timer E: 0.5, 1.5, 3.5, then every 4 s.
    assert methods(peer.wait(32)) == ["BYE"] * 10
    [ended] = alice.take_events()
    assert ended == events.CallEnded(call, events.EndCause.LOCAL, 408, "Done", answered=False)


def test_a_provisional_response_slows_a_request_down(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.hang_up(now=peer.now)
    bye = a_request(peer.hear())
    peer.respond(bye, 100)
    assert methods(peer.wait(9)) == ["BYE"] * 2  # every T2
    assert alice.take_events() == []
    peer.respond(bye, 100)
    peer.respond(bye, 200)
    assert alice.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 200)]
    peer.wait(64)
    assert alice.idle


def test_a_bye_that_cannot_be_sent(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.hang_up(now=0.0)
    peer.respond(a_request(peer.hear()), 100)
    alice.transport_failed(Peer("UDP", HOST, 5060), now=0.0)
    [ended] = alice.take_events()
    assert ended == events.CallEnded(call, events.EndCause.LOCAL, 503, answered=False)


@pytest.mark.parametrize("status", [408, 503])
def test_a_bye_that_is_refused(alice: UserAgent, peer: FakePeer, status: int) -> None:
    call = established(peer)
    call.hang_up(now=0.0)
    peer.respond(a_request(peer.hear()), status)
    assert alice.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, status)]


def test_they_hang_up(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    assert statuses(say(peer, "BYE", 1)) == [200]
    assert alice.take_events() == [events.CallEnded(call, events.EndCause.REMOTE)]


def test_before_the_answer_there_is_no_dialog(alice: UserAgent, peer: FakePeer) -> None:
    call, _ = calling(peer)
    peer.call_id, peer.to_tag = call.info.call_id, call.local_tag
    assert statuses(say(peer, "UPDATE", 1)) == [481]


def test_a_key_is_told(peer: FakePeer) -> None:
    call = established(peer)
    call.send_dtmf_info("*", 120, now=0.0)
    info = a_request(peer.hear())
    assert (info.method, info.body) == ("INFO", b"Signal=*\r\nDuration=120\r\n")
    assert peer.respond(info, 200) == []


# Our re-INVITE


def test_our_reoffer_is_answered(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    invite = a_request(peer.hear())
    with pytest.raises(LocalProtocolError):
        call.reoffer(offer(version=3), now=0.0)
    assert statuses(say(peer, "INVITE", 5, body=description(3))) == [491]
    peer.respond(invite, 180)
    heard = peer.respond(invite, 200, body=description(2), contact=f"sip:moved@{HOST}")
    assert str(a_request(heard).uri) == f"sip:moved@{HOST}"
    reanswered = events.Reanswered(call, SessionDescription.parse(description(2)))
    assert alice.take_events() == [reanswered]
    assert call.dialog is not None
    assert (call.dialog.sdp_version, call.dialog.local_cseq) == (2, invite.cseq.number)
    assert call.origin("192.0.2.1").version == 3


@pytest.mark.parametrize("body", ["", "v=0\r\nbroken"])
def test_our_reoffer_is_answered_badly(alice: UserAgent, peer: FakePeer, body: str) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    heard = methods(peer.respond(a_request(peer.hear()), 200, body=body))
    if body:
        assert heard == ["ACK", "BYE"]
    else:
        assert alice.take_events() == [events.Reanswered(call, None)]


def test_our_reoffer_is_refused(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    assert methods(peer.respond(a_request(peer.hear()), 488)) == ["ACK"]
    assert alice.take_events() == [events.ReofferFailed(call, 488, "Whatever")]
    assert call.state is CallState.ESTABLISHED


@pytest.mark.parametrize("status", [481, None])
def test_our_reoffer_finds_nobody(alice: UserAgent, peer: FakePeer, status: int | None) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    if status is None:
        peer.wait(32)
    else:
        peer.respond(a_request(peer.hear()), status)
    failed, ended = alice.take_events()
    assert isinstance(failed, events.ReofferFailed)
    assert ended == events.CallEnded(call, events.EndCause.TRANSPORT, status or 408)


def test_both_offer_at_once_and_ours_comes_again(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    for _ in range(5):
        peer.respond(a_request(peer.hear()), 491)
        assert alice.take_events() == []
        with pytest.raises(LocalProtocolError):
            call.reoffer(offer(version=2), now=peer.now)
        assert peer.wait(2) == []  # the caller waits 2.1 to 4 s
        alice.handle_timers(now=peer.now + 2.0)
        peer.now += 2.0
    peer.respond(a_request(peer.hear()), 491)
    assert alice.take_events() == [events.ReofferFailed(call, 491, "Whatever")]


def test_a_call_that_ends_meanwhile_offers_no_more(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    invite = a_request(peer.hear())
    peer.respond(invite, 491)
    call.hang_up(now=0.0)
    peer.respond(a_request(peer.hear()), 200)
    assert peer.wait(10) == []
    assert alice.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 200)]


@pytest.mark.parametrize("status", [200, 488])
def test_a_reoffer_may_be_answered_after_the_end(
    alice: UserAgent, peer: FakePeer, status: int
) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    invite = a_request(peer.hear())
    call.hang_up(now=0.0)
    peer.hear()
    assert methods(peer.respond(invite, status, body=description(2))) == ["ACK"]
    assert alice.take_events() == []


def test_a_stray_tag_in_the_answer_of_a_reoffer(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.reoffer(offer(version=2), now=0.0)
    invite = a_request(peer.hear())
    peer.respond(invite, 200, body=description(2))
    text = bytes(invite).decode().split("\r\n", 1)[1].replace("tag=peer", "tag=stray")
    assert methods(peer.say("SIP/2.0 200 OK\r\n" + text)) == ["ACK"]


# Session timers of ours


def test_we_ask_for_a_session_timer_and_refresh(peer: FakePeer) -> None:
    alice = agent(ALICE, session_expires_s=1800)
    peer = FakePeer(alice)
    established(peer, "Session-Expires: 1800;refresher=uac", "Allow: UPDATE")
    update = a_request(peer.wait(900))
    assert update.method == "UPDATE"
    peer.respond(update, 200)  # without Session-Expires: no timer any more
    assert peer.wait(5000) == []


def test_the_other_side_refreshes(alice: UserAgent, peer: FakePeer) -> None:
    call = established(peer, "Session-Expires: 120;refresher=uas")
    assert call.dialog is not None
    assert call.dialog.refresher == "remote"
    assert methods(peer.wait(89))[:1] == ["BYE"]
    assert alice.take_events() == [events.CallEnded(call, events.EndCause.SESSION_EXPIRED)]
