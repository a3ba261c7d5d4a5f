"""A call from INVITE to BYE, both roles."""

from callfleet_agent.sip import events
from callfleet_agent.sip.sdp import make_answer
from fakes.sip_line import ALICE, BOB, BOB_URI, FakeLine, agent, media, offer


def test_a_call_is_answered_and_ended() -> None:
    alice, bob = agent(ALICE), agent(BOB)
    line = FakeLine(alice, bob)

    call = alice.invite(BOB_URI, offer(), now=line.now)
    line.run()
    [incoming] = line.take(bob)
    assert isinstance(incoming, events.IncomingCall)
    assert incoming.offer is not None
    assert incoming.call.info.number == "+15550100"
    negotiated = make_answer(incoming.offer, media("192.0.2.2"), incoming.call.origin("192.0.2.2"))
    incoming.call.answer(negotiated.description, now=line.now)
    line.run()
    assert line.take(alice) == [events.Answered(call, negotiated.description)]
    assert line.take(bob) == [events.Established(incoming.call, None, initial=True)]

    call.hang_up(now=line.now)
    line.run()
    assert line.take(alice) == [events.CallEnded(call, events.EndCause.LOCAL, 200)]
    assert line.take(bob) == [events.CallEnded(incoming.call, events.EndCause.REMOTE)]
    assert line.summary() == ["INVITE", "100", "200", "ACK", "BYE", "200"]

    line.run(40)
    assert alice.idle
    assert bob.idle
