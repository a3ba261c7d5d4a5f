"""A user agent that is called, by a peer that does what it should and what it should not."""

import pytest

from callfleet_agent.sip import events
from callfleet_agent.sip.call import Call, CallState
from callfleet_agent.sip.errors import LocalProtocolError
from callfleet_agent.sip.message import Message, Request, Response
from callfleet_agent.sip.user_agent import UserAgent
from fakes.sip_line import BOB, agent, offer
from fakes.sip_peer import FakePeer, description, methods, statuses

ANSWER = offer("192.0.2.2")


@pytest.fixture
def bob() -> UserAgent:
    return agent(BOB, trusted=("203.0.113.0/24",))


@pytest.fixture
def peer(bob: UserAgent) -> FakePeer:
    return FakePeer(bob)


def ringing_in(bob: UserAgent) -> Call:
    [event] = bob.take_events()
    assert isinstance(event, events.IncomingCall)
    return event.call


def answered(peer: FakePeer, *extra: str) -> Call:
    """A call whose 200 waits for its ACK."""
    peer.call(extra=extra)
    call = ringing_in(peer.user_agent)
    call.answer(ANSWER, now=peer.now)
    peer.to_tag = call.local_tag
    peer.hear()
    return call


def established(peer: FakePeer, *extra: str) -> Call:
    call = answered(peer, *extra)
    peer.request("ACK")
    peer.user_agent.take_events()
    return call


def the(messages: list[Message]) -> Response:
    [message] = messages
    assert isinstance(message, Response)
    return message


def a_request(messages: list[Message]) -> Request:
    [message] = messages
    assert isinstance(message, Request)
    return message


# Answering


def test_trying_comes_at_once_and_the_invite_again_brings_the_last_response(
    bob: UserAgent, peer: FakePeer
) -> None:
    trying = the(peer.request("INVITE", body=description(), branch="z9hG4bKi"))
    assert (trying.status, trying.to.tag) == (100, None)
    call = ringing_in(bob)
    call.ring(now=0.0)
    ringing = the(peer.hear())
    assert (ringing.status, ringing.to.tag) == (180, call.local_tag)
    assert statuses(peer.request("INVITE", body=description(), branch="z9hG4bKi")) == [180]
    assert bob.take_events() == []


def test_the_200_is_repeated_until_its_ack(peer: FakePeer) -> None:
    call = answered(peer)
    assert statuses(peer.wait(3.6)) == [200, 200, 200]  # after 0.5, 1.5 and 3.5 s
    peer.request("ACK")
    assert peer.wait(20) == []
    assert peer.user_agent.take_events() == [events.Established(call, None, initial=True)]
    assert call.state is CallState.ESTABLISHED
    peer.request("ACK")
    assert peer.user_agent.take_events() == []


def test_without_an_ack_the_call_is_given_up(bob: UserAgent, peer: FakePeer) -> None:
    call = answered(peer)
    heard = peer.wait(33)
    assert statuses(heard) == [200] * 10
    assert methods(heard)[:1] == ["BYE"]
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.NO_ACK)]
    peer.wait(64)
    assert bob.idle


def test_an_ack_with_another_number_is_not_ours(bob: UserAgent, peer: FakePeer) -> None:
    answered(peer)
    peer.request("ACK", cseq=7)
    peer.call_id = "another"
    peer.request("ACK")
    assert bob.take_events() == []


def test_hanging_up_before_the_ack_waits_for_it(bob: UserAgent, peer: FakePeer) -> None:
    call = answered(peer)
    call.hang_up(now=peer.now, reason="bye")
    assert peer.hear() == []
    bye = a_request(peer.request("ACK"))
    assert bye.method == "BYE"
    peer.respond(bye, 200)
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 200, "bye")]


def test_hanging_up_without_any_ack_ends_as_well(bob: UserAgent, peer: FakePeer) -> None:
    call = answered(peer)
    call.hang_up(now=peer.now)
    assert "BYE" in methods(peer.wait(33))
    peer.wait(33)
    [ended] = bob.take_events()
    assert ended == events.CallEnded(call, events.EndCause.LOCAL, 408, answered=False)


def test_an_invite_without_offer_gets_ours_and_the_ack_answers(
    bob: UserAgent, peer: FakePeer
) -> None:
    peer.request("INVITE", branch="z9hG4bKi")
    [event] = bob.take_events()
    assert isinstance(event, events.IncomingCall)
    assert event.offer is None
    event.call.answer(ANSWER, now=0.0)
    peer.to_tag = event.call.local_tag
    peer.hear()
    peer.request("ACK", body=description())
    [established] = bob.take_events()
    assert isinstance(established, events.Established)
    assert established.answer is not None
    assert event.call.dialog is not None
    assert event.call.dialog.remote_sdp is not None


@pytest.mark.parametrize(("body", "reason"), [("", "Missing answer in ACK"), ("v=0\r\nx", None)])
def test_an_ack_without_a_proper_answer_ends_the_call(
    bob: UserAgent, peer: FakePeer, body: str, reason: str | None
) -> None:
    peer.request("INVITE", branch="z9hG4bKi")
    call = ringing_in(bob)
    call.answer(ANSWER, now=0.0)
    peer.to_tag = call.local_tag
    peer.hear()
    bye = a_request(peer.request("ACK", body=body))
    assert bye.method == "BYE"
    peer.respond(bye, 481)
    peer.wait(1.0)
    [ended] = bob.take_events()
    assert isinstance(ended, events.CallEnded)
    assert (ended.cause, ended.status) == (events.EndCause.LOCAL, 481)
    assert reason in (None, ended.reason)


def test_a_refusal_says_why_and_when_to_come_back(bob: UserAgent, peer: FakePeer) -> None:
    peer.call()
    call = ringing_in(bob)
    peer.hear()
    call.reject(503, "Full", retry_after=5, warning=(399, "all busy"), now=0.0)
    refusal = the(peer.hear())
    assert (refusal.status, refusal.reason, refusal.retry_after) == (503, "Full", 5)
    assert refusal.headers.get("Warning") == '399 192.0.2.2:5060 "all busy"'
    assert statuses(peer.wait(1.6)) == [503, 503]  # until the ACK
    peer.request("ACK", branch="z9hG4bKinvite")
    assert peer.wait(40) == []
    assert bob.idle
    assert bob.take_events() == []


def test_a_refusal_that_is_never_acknowledged_is_given_up(bob: UserAgent, peer: FakePeer) -> None:
    peer.call()
    ringing_in(bob).reject(486, now=0.0)
    assert statuses(peer.wait(60)) == [486] * 11
    assert bob.idle


def test_over_tcp_a_refusal_is_not_repeated(bob: UserAgent) -> None:
    peer = FakePeer(bob, "TCP")
    peer.call()
    ringing_in(bob).reject(486, now=0.0)
    [refusal] = bob.take_datagrams()[-1:]
    assert refusal.destination.connection == 1
    assert peer.wait(60) == []
    assert bob.idle


@pytest.mark.parametrize(
    "command",
    [
        lambda call: call.reject(200, now=0.0),
        lambda call: call.reoffer(ANSWER, now=0.0),
        lambda call: call.cancel(now=0.0),
        lambda call: call.send_dtmf_info("1", 100, now=0.0),
    ],
)
def test_what_cannot_be_done_before_the_answer(bob: UserAgent, peer: FakePeer, command) -> None:  # type: ignore[no-untyped-def]
    peer.call()
    call = ringing_in(bob)
    with pytest.raises(LocalProtocolError):
        command(call)
    assert repr(call) == "<Call OFFERED>"


def test_what_cannot_be_done_after_the_answer(peer: FakePeer) -> None:
    call = established(peer)
    for command in (call.ring, lambda *, now: call.answer(ANSWER, now=now)):
        with pytest.raises(LocalProtocolError):
            command(now=0.0)
    with pytest.raises(LocalProtocolError):
        call.reject(486, now=0.0)


def test_hanging_up_an_unanswered_call_refuses_it(bob: UserAgent, peer: FakePeer) -> None:
    peer.call()
    call = ringing_in(bob)
    peer.hear()
    call.hang_up(now=0.0)
    assert statuses(peer.hear()) == [480]
    call.hang_up(now=0.0)
    assert peer.hear() == []
    assert bob.calls == ()


# Who calls


@pytest.mark.parametrize(
    ("extra", "caller"),
    [
        ((), ("+15550111", False, False)),
        (("P-Asserted-Identity: <sip:+15550199@h;user=phone>",), ("+15550199", True, False)),
        (
            ('P-Asserted-Identity: "A, B" <sip:ab@h>, <tel:+1-555-0199>',),
            ("+15550199", True, False),
        ),
        (("P-Asserted-Identity: <sip:h>",), ("+15550111", False, False)),
        (("P-Asserted-Identity: <urn:x>",), ("+15550111", False, False)),
        (("P-Asserted-Identity: <sip:+1@h>", "Privacy: critical;id"), (None, True, True)),
        (("Privacy: none",), ("+15550111", False, False)),
    ],
)
def test_the_caller_is_who_a_trusted_proxy_says(
    bob: UserAgent, peer: FakePeer, extra: tuple[str, ...], caller: tuple[str | None, bool, bool]
) -> None:
    peer.call(extra=extra)
    info = ringing_in(bob).info
    assert (info.caller.id, info.caller.trusted, info.caller.withheld) == caller
    assert "555" not in repr(info)


def test_a_stranger_is_not_believed_even_if_it_claims_another_address(bob: UserAgent) -> None:
    peer = FakePeer(agent(BOB, trusted=("10.0.0.0/8",)))
    asserted = ("P-Asserted-Identity: <sip:boss@h>",)
    claim = (";branch=", ";received=10.0.0.1;branch=")
    peer.request("INVITE", body=description(), extra=asserted, replace=claim)
    caller = ringing_in(peer.user_agent).info.caller
    assert (caller.id, caller.trusted) == ("+15550111", False)


@pytest.mark.parametrize(
    "sender", ["<sip:anonymous@anonymous.invalid>", '"Anonymous" <sip:anonymous@h>', "<sip:h>"]
)
def test_a_withheld_number(bob: UserAgent, peer: FakePeer, sender: str) -> None:
    peer.request("INVITE", body=description(), replace=("<sip:+15550111@example.com>", sender))
    caller = ringing_in(bob).info.caller
    assert (caller.id, caller.withheld) == (None, True)


def test_the_number_is_the_request_uri_s_or_else_the_to_s(bob: UserAgent, peer: FakePeer) -> None:
    peer.request("INVITE", body=description(), uri="sip:192.0.2.2")
    assert ringing_in(bob).info.number == "+15550100"
    peer.call_id = "2"
    peer.request("INVITE", body=description(), uri="tel:+1(555)0107")
    assert ringing_in(bob).info.number == "+15550107"


# CANCEL


def test_a_caller_who_gives_up(bob: UserAgent, peer: FakePeer) -> None:
    peer.call()
    call = ringing_in(bob)
    heard = peer.request("CANCEL", branch="z9hG4bKinvite")
    assert statuses(heard) == [200, 487]
    assert {message.to.tag for message in heard} == {call.local_tag}
    assert bob.take_events() == [events.CallCancelled(call)]
    peer.request("ACK", branch="z9hG4bKinvite")
    peer.wait(40)
    assert bob.idle


def test_a_cancel_after_the_answer_changes_nothing(bob: UserAgent, peer: FakePeer) -> None:
    call = answered(peer)
    peer.to_tag = None
    assert statuses(peer.request("CANCEL", branch="z9hG4bKinvite")) == [200]
    assert call.state is CallState.ANSWERED


def test_a_cancel_after_the_refusal_changes_nothing(bob: UserAgent, peer: FakePeer) -> None:
    peer.call()
    ringing_in(bob).reject(486, now=0.0)
    peer.hear()
    assert statuses(peer.request("CANCEL", branch="z9hG4bKinvite")) == [200]
    assert bob.take_events() == []


def test_a_cancel_of_nothing(peer: FakePeer) -> None:
    assert statuses(peer.request("CANCEL")) == [481]


# Inside the dialog


def test_their_bye_ends_the_call(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    assert statuses(peer.request("BYE", 2, extra=('Reason: Q.850;cause=16;text="Done"',))) == [200]
    ended = events.CallEnded(call, events.EndCause.REMOTE, None, "Done")
    assert bob.take_events() == [ended]
    assert statuses(peer.request("BYE", 3)) == [481]


def test_a_reason_that_cannot_be_read_is_none(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    peer.request("BYE", 2, extra=("Reason: ;;",))
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.REMOTE)]


def test_a_bye_before_the_answer_is_as_good_as_a_cancel(bob: UserAgent, peer: FakePeer) -> None:
    peer.call()
    call = ringing_in(bob)
    call.ring(now=0.0)
    peer.hear()
    peer.to_tag = call.local_tag
    assert sorted(statuses(peer.request("BYE", 2))) == [200, 487]
    assert bob.take_events() == [events.CallCancelled(call)]


def test_byes_that_cross(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.hang_up(now=0.0)
    bye = a_request(peer.hear())
    assert statuses(peer.request("BYE", 2)) == [200]
    peer.respond(bye, 481)
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 200)]


def test_byes_that_cross_when_the_answer_overtakes_theirs(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.hang_up(now=0.0)
    peer.respond(a_request(peer.hear()), 481)
    peer.wait(0.6)  # theirs was lost, and comes again
    assert bob.take_events() == []
    assert statuses(peer.request("BYE", 2)) == [200]
    peer.wait(2.0)
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 200)]
    assert bob.calls == ()


def test_a_bye_for_a_call_that_they_do_not_know(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    call.hang_up(now=0.0)
    peer.respond(a_request(peer.hear()), 481)
    peer.wait(0.9)
    assert bob.take_events() == []
    peer.wait(0.2)
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 481)]
    assert bob.calls == ()


@pytest.mark.parametrize(("cseq", "status"), [(1, 500), (0, 500), (9, 200)])
def test_numbers_only_grow(peer: FakePeer, cseq: int, status: int) -> None:
    established(peer)
    assert statuses(peer.request("OPTIONS", cseq)) == [status]


def test_tags_of_another_dialog(peer: FakePeer) -> None:
    established(peer)
    heard = peer.request("BYE", 2, replace=("tag=peer", "tag=other"))
    assert statuses(heard) == [481]


@pytest.mark.parametrize(
    ("kind", "body", "digit", "duration"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=250\r\n", "5", 250),
        ("application/dtmf-relay", "signal= #\r\nnoise", "#", 160),
        ("application/dtmf-relay", "Signal=a\nDuration=1234567", "A", 160),
        ("application/dtmf", "10", "*", 160),
    ],
)
def test_keys_by_info(
    bob: UserAgent, peer: FakePeer, kind: str, body: str, digit: str, duration: int
) -> None:
    call = established(peer)
    heard = peer.request("INFO", 2, body=body, extra=(f"Content-Type: {kind}",))
    assert statuses(heard) == [200]
    assert bob.take_events() == [events.DtmfInfo(call, digit, duration)]


def test_an_info_that_is_no_key(bob: UserAgent, peer: FakePeer) -> None:
    established(peer)
    dtmf = ("Content-Type: application/dtmf-relay",)
    assert statuses(peer.request("INFO", 2)) == [200]
    assert statuses(peer.request("INFO", 3, body="Signal=99", extra=dtmf)) == [400]
    assert statuses(peer.request("INFO", 4, body="x", extra=("Content-Type: a/b",))) == [415]
    assert bob.take_events() == []


# New offers


def test_a_reoffer_is_the_owners_to_answer_and_moves_the_target(
    bob: UserAgent, peer: FakePeer
) -> None:
    call = established(peer)
    moved = ("Contact: <sip:peer@203.0.113.7:5060>", "Contact: <sip:elsewhere@203.0.113.8>")
    assert statuses(peer.request("INVITE", 2, body=description(2), replace=moved)) == [100]
    [event] = bob.take_events()
    assert isinstance(event, events.Reoffered)
    assert event.offer is not None
    call.answer(offer("192.0.2.2", 2), now=0.0)
    assert statuses(peer.hear()) == [200]
    peer.request("ACK", 2)
    assert bob.take_events() == [events.Established(call, None, initial=False)]
    call.hang_up(now=0.0)
    assert str(a_request(peer.hear()).uri) == "sip:elsewhere@203.0.113.8"


def test_a_reoffer_may_be_refused_and_the_call_goes_on(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    peer.request("INVITE", 2, body=description(2), branch="z9hG4bKre")
    call.reject(488, now=0.0)
    assert statuses(peer.hear()) == [488]
    assert call.state is CallState.ESTABLISHED


def test_a_reoffer_may_be_cancelled(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    peer.request("INVITE", 2, body=description(2), branch="z9hG4bKre")
    bob.take_events()
    assert statuses(peer.request("CANCEL", 2, branch="z9hG4bKre")) == [200, 487]
    assert bob.take_events() == []
    assert call.state is CallState.ESTABLISHED


def test_the_same_offer_again_gets_the_same_answer(bob: UserAgent, peer: FakePeer) -> None:
    established(peer)
    answer = the(peer.request("INVITE", 2, body=description()))
    assert (answer.status, answer.body) == (200, bytes(ANSWER))
    peer.request("ACK", 2)
    assert [type(event) for event in bob.take_events()] == [events.Established]


def test_offers_wait_for_each_other(bob: UserAgent, peer: FakePeer) -> None:
    call = answered(peer)
    assert statuses(peer.request("INVITE", 2, body=description(2))) == [491]  # no ACK yet
    assert statuses(peer.request("UPDATE", 3, body=description(2))) == [491]
    peer.request("ACK", 1)
    assert statuses(peer.request("INVITE", 4, body=description(2))) == [100]
    refusal = the(peer.request("INVITE", 5, body=description(3)))
    assert refusal.status == 500
    assert refusal.retry_after is not None
    call.answer(offer("192.0.2.2", 2), now=0.0)


def test_a_malformed_reoffer_is_refused(peer: FakePeer) -> None:
    established(peer)
    assert statuses(peer.request("INVITE", 2, body="v=0\r\nbroken")) == [400]


def test_hanging_up_refuses_the_reoffer_that_waits(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    peer.request("INVITE", 2, body=description(2))
    call.hang_up(now=0.0)
    heard = peer.hear()
    assert (statuses(heard), methods(heard)) == ([487], ["BYE"])


def test_an_update_with_an_offer(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    assert peer.request("UPDATE", 2, body=description(2)) == []
    assert statuses(peer.request("UPDATE", 3, body=description(2))) == [500]
    assert [type(event) for event in bob.take_events()] == [events.Reoffered]
    call.answer(offer("192.0.2.2", 2), now=0.0)
    assert statuses(peer.hear()) == [200]
    assert call.state is CallState.ESTABLISHED
    peer.request("UPDATE", 4, body=description(3))
    assert statuses(peer.request("BYE", 5)) == [200, 487]


def test_an_update_without_offer_refreshes_the_target(peer: FakePeer) -> None:
    call = established(peer)
    moved = ("sip:peer@203.0.113.7:5060", "sip:moved@203.0.113.9")
    assert statuses(peer.request("UPDATE", 2, replace=moved)) == [200]
    assert call.dialog is not None
    assert call.dialog.remote_target == "sip:moved@203.0.113.9"


def test_a_contact_that_cannot_be_reached_is_answered_where_it_called_from(
    bob: UserAgent, peer: FakePeer
) -> None:
    peer.call(replace=("Contact: <sip:peer@203.0.113.7:5060>", "Contact: <tel:+1>"))
    call = ringing_in(bob)
    call.answer(ANSWER, now=0.0)
    peer.to_tag = call.local_tag
    peer.request("ACK")
    call.hang_up(now=0.0)
    assert bob.take_datagrams()[-1].destination == peer.source


def test_requests_go_along_the_route_set(bob: UserAgent, peer: FakePeer) -> None:
    peer.call(extra=("Record-Route: <sip:198.51.100.1:5070;lr>, <sip:198.51.100.2;lr>",))
    call = ringing_in(bob)
    call.answer(ANSWER, now=0.0)
    peer.to_tag = call.local_tag
    assert len(peer.hear()[-1].record_routes) == 2
    peer.request("ACK")
    call.hang_up(now=0.0)
    [out] = bob.take_datagrams()
    assert (out.destination.host, out.destination.port) == ("198.51.100.1", 5070)
    assert out.data.startswith(b"BYE sip:peer@203.0.113.7:5060 SIP/2.0\r\n")
    assert out.data.count(b"\r\nRoute: ") == 2


# Session timers


def test_a_caller_who_refreshes_and_then_does_not(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer, "Supported: timer", "Session-Expires: 120;refresher=uac")
    assert peer.wait(80) == []
    asked = ("Supported: timer", "Session-Expires: 120;refresher=uac")
    refreshed = the(peer.request("UPDATE", 2, extra=asked))
    assert refreshed.headers.get("Session-Expires") == "120;refresher=uac"
    assert refreshed.headers.get("Require") == "timer"
    assert methods(peer.wait(90))[:1] == ["BYE"]  # 32 s before the end
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.SESSION_EXPIRED)]


def test_we_refresh_by_update_where_it_is_allowed(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer, "Session-Expires: 120", "Allow: INVITE, UPDATE")
    update = a_request(peer.wait(60))
    assert (update.method, update.headers.get("Session-Expires")) == ("UPDATE", "120;refresher=uac")
    peer.respond(update, 100)
    peer.respond(update, 200, extra=("Session-Expires: 120;refresher=uac",))
    peer.respond(peer.wait(60.5)[0], 500)
    assert call.state is CallState.ESTABLISHED
    peer.wait(40)
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.SESSION_EXPIRED)]


def test_we_refresh_by_invite_where_update_is_unknown(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer, "Session-Expires: 120")
    invite = a_request(peer.wait(60))
    assert (invite.method, invite.body) == ("INVITE", bytes(ANSWER))
    assert methods(peer.respond(invite, 200, body=description())) == ["ACK"]
    assert call.state is CallState.ESTABLISHED
    assert bob.take_events()[0].call is call


@pytest.mark.parametrize("answer", [481, None])
def test_a_refresh_that_finds_nobody_ends_the_call(
    bob: UserAgent, peer: FakePeer, answer: int | None
) -> None:
    call = established(peer, "Session-Expires: 600", "Allow: UPDATE")
    update = a_request(peer.wait(300))
    if answer is None:
        peer.wait(33)
    else:
        peer.respond(update, answer)
    [ended] = bob.take_events()
    assert isinstance(ended, events.CallEnded)
    assert (ended.call, ended.cause, ended.status) == (
        call,
        events.EndCause.TRANSPORT,
        answer or 408,
    )


def test_a_busy_call_is_not_refreshed(bob: UserAgent, peer: FakePeer) -> None:
    established(peer, "Session-Expires: 120", "Allow: UPDATE")
    peer.wait(50)
    peer.request("INVITE", 2, body=description(2))
    assert "UPDATE" not in methods(peer.wait(10))


def test_a_session_too_short_is_refused(peer: FakePeer) -> None:
    short = ("Supported: timer", "Session-Expires: 30")
    refusal = peer.request("INVITE", body=description(), extra=short)[-1]
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.headers.get("Min-SE")) == (422, "90")


def test_a_refresh_that_fails_while_we_hang_up_changes_nothing(
    bob: UserAgent, peer: FakePeer
) -> None:
    call = established(peer, "Session-Expires: 600", "Allow: UPDATE")
    update = a_request(peer.wait(300))
    call.hang_up(now=peer.now)
    bye = a_request(peer.hear())
    peer.respond(update, 481)
    assert bob.take_events() == []
    peer.respond(bye, 200)
    assert bob.take_events() == [events.CallEnded(call, events.EndCause.LOCAL, 200)]


def test_a_session_that_expires_while_we_wait_for_the_ack_to_hang_up(
    bob: UserAgent, peer: FakePeer
) -> None:
    call = answered(peer, "Session-Expires: 30")  # no refusal: it would not be understood
    call.hang_up(now=peer.now)
    assert set(statuses(peer.wait(25))) == {200}
    assert bob.take_events() == []
    assert call.state is CallState.ENDING


def test_a_reoffer_without_offer_gets_ours(bob: UserAgent, peer: FakePeer) -> None:
    call = established(peer)
    peer.request("INVITE", 2)
    assert bob.take_events() == [events.Reoffered(call, None)]
    call.answer(offer("192.0.2.2", 2), now=0.0)
    peer.request("ACK", 2, body=description(2))
    [again] = bob.take_events()
    assert isinstance(again, events.Established)
    assert (again.initial, again.answer is not None) == (False, True)


def test_a_cancel_finds_its_call_among_others(bob: UserAgent, peer: FakePeer) -> None:
    bob.invite("sip:x@203.0.113.9", offer("192.0.2.2"), now=0.0)
    peer.call()
    first = ringing_in(bob)
    peer.call_id = "call-2"
    peer.request("INVITE", body=description(), branch="z9hG4bKsecond")
    second = ringing_in(bob)
    peer.hear()
    assert statuses(peer.request("CANCEL", branch="z9hG4bKsecond")) == [200, 487]
    assert bob.take_events() == [events.CallCancelled(second)]
    assert first in bob.calls
