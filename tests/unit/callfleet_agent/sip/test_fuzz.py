"""Whatever arrives, nothing raises, nothing hangs and nothing is left behind for ever."""

from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.framing import StreamFramer
from callfleet_agent.sip.sdp import SessionDescription, make_answer
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.user_agent import UserAgent
from fakes.sip_line import ALICE, BOB, BOB_URI, FakeLine, agent, media, offer

SOURCE = Peer("UDP", "203.0.113.7", 5060)
LONG_S = 400.0


def recorded() -> list[bytes]:
    """The messages of an ordinary call."""
    alice, bob = agent(ALICE), agent(BOB)
    line = FakeLine(alice, bob)
    call = alice.invite(BOB_URI, offer(), now=0.0)
    line.run()
    bob.calls[0].answer(offer("192.0.2.2"), now=line.now)
    line.run()
    call.send_dtmf_info("5", 100, now=line.now)
    call.hang_up(now=line.now)
    line.run()
    return [bytes(message) for message in line.sent]


CALL = recorded()
BITS = st.sampled_from(
    [b"", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"\xff", b'"', b"<", b">", b";", b",", b"@",
     b":", b"%", b"9" * 40, b"\r\nVia: SIP/2.0/UDP h", b"\r\nl: 1", b"\r\nRequire: x", b"\r\nTo: x"]
)  # fmt: skip
CUT = st.tuples(st.floats(0, 1), st.integers(0, 12), BITS)


def mutate(data: bytes, cuts: list[tuple[float, int, bytes]]) -> bytes:
    for where, length, replacement in cuts:
        start = int(where * len(data))
        data = data[:start] + replacement + data[start + length :]
    return data


def run_to_the_end(user_agent: UserAgent) -> None:
    """Let time pass until nothing is left to do."""
    now = 0.0
    for _ in range(1000):
        user_agent.take_events()
        user_agent.take_datagrams()
        at = user_agent.next_timer()
        if at is None or at > LONG_S:
            return
        now = max(now, at)
        user_agent.handle_timers(now=now)
    raise AssertionError("it never ends")


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    user_agent = agent(BOB)
    user_agent.receive(data, SOURCE, now=0.0)
    run_to_the_end(user_agent)


@given(st.lists(st.tuples(st.sampled_from(CALL), st.lists(CUT, max_size=3)), max_size=8))
@settings(max_examples=150, deadline=None)
def test_damaged_messages_in_any_order(
    parts: list[tuple[bytes, list[tuple[float, int, bytes]]]],
) -> None:
    user_agent = agent(BOB)
    for data, cuts in parts:
        user_agent.receive(mutate(data, cuts), SOURCE, now=0.0)
    for call in user_agent.calls:
        call.hang_up(now=0.0)
    run_to_the_end(user_agent)
    assert user_agent.idle


@given(st.lists(CUT, max_size=4))
@settings(deadline=None)
def test_damaged_answers_to_our_calls(cuts: list[tuple[float, int, bytes]]) -> None:
    alice = agent(ALICE)  # the same randomness as in the recording: its responses fit
    alice.invite(BOB_URI, offer(), now=0.0)
    for data in CALL:
        alice.receive(mutate(data, cuts), SOURCE, now=0.0)
    for call in alice.calls:
        call.hang_up(now=0.0)
    run_to_the_end(alice)
    assert not alice.calls


@given(st.lists(CUT, max_size=4))
@settings(deadline=None)
def test_damaged_session_descriptions(cuts: list[tuple[float, int, bytes]]) -> None:
    data = mutate(bytes(offer()), cuts)
    try:
        description = SessionDescription.parse(data)
        make_answer(description, media(), description.origin)
    except RemoteProtocolError:
        return
    assert SessionDescription.parse(bytes(description)) == description


@given(st.lists(st.sampled_from(CALL), max_size=4), st.lists(st.integers(1, 400), max_size=20))
@settings(deadline=None)
def test_a_stream_is_cut_the_same_wherever_it_was_cut(
    messages: list[bytes], sizes: list[int]
) -> None:
    stream, framer, found = b"\r\n".join(messages), StreamFramer(), []
    for size in [*sizes, len(stream)]:
        found += framer.receive(stream[:size])
        stream = stream[size:]
    assert found == messages
    assert framer.idle
