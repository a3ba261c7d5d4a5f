"""A call that was answered has a proper end, or its report says what was wrong with it."""

import pytest

from callfleet_agent.app.phone.ending import UNANSWERED, Ending, ending_of, missed_audio
from callfleet_agent.app.phone.settings import place_of
from callfleet_agent.sip.events import CallEnded, EndCause
from fakes.sip_line import ALICE, BOB_URI, agent, offer

CALL = agent(ALICE).invite(BOB_URI, offer(), now=0.0)


@pytest.mark.parametrize(
    ("event", "ending", "proper", "told"),
    [
        (CallEnded(CALL, EndCause.REMOTE), Ending("agent"), True, "ended by agent"),
        (CallEnded(CALL, EndCause.LOCAL, 200), Ending("local", 200), True, "ended by local"),
        (CallEnded(CALL, EndCause.LOCAL, 202), Ending("local", 202), True, "ended by local"),
        (
            CallEnded(CALL, EndCause.LOCAL, 481),
            Ending("bye-refused", 481),
            False,
            "our BYE was refused with 481",
        ),
        (
            CallEnded(CALL, EndCause.LOCAL, 301),
            Ending("bye-refused", 301),
            False,
            "our BYE was refused with 301",
        ),
        (
            CallEnded(CALL, EndCause.LOCAL, 408, answered=False),
            Ending(UNANSWERED),
            False,
            "nobody answered our BYE",
        ),
        (CallEnded(CALL, EndCause.LOCAL), Ending(UNANSWERED), False, "nobody answered our BYE"),
        (
            CallEnded(CALL, EndCause.LOCAL, 200, "Missing answer"),
            Ending("protocol-error", 200),
            False,
            "ended by protocol-error",
        ),
        (
            CallEnded(CALL, EndCause.SESSION_EXPIRED),
            Ending("session_expired"),
            False,
            "ended by session_expired",
        ),
        (
            CallEnded(CALL, EndCause.TRANSPORT, 503),
            Ending("transport"),
            False,
            "ended by transport",
        ),
    ],
)
def test_an_end_is_proper_when_one_side_hung_up_and_the_other_agreed(
    event: CallEnded, ending: Ending, proper: bool, told: str
) -> None:
    assert ending_of(event) == ending
    assert (ending.proper, str(ending)) == (proper, told)


@pytest.mark.parametrize(
    ("expected", "packets", "seconds", "missed"),
    [(True, 0, 1.0, True), (True, 0, 0.9, False), (True, 1, 9.0, False), (False, 0, 9.0, False)],
)
def test_audio_is_missed_where_it_was_due(
    expected: bool, packets: int, seconds: float, missed: bool
) -> None:
    assert missed_audio(expected=expected, packets=packets, seconds=seconds) is missed


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:+15550100@192.0.2.7:5070;transport=tcp", "192.0.2.7:5070"),
        ("sip:agent@agent.example.com", "agent.example.com:5060"),
        ("sip:agent@[2001:db8::7]", "[2001:db8::7]:5060"),
        ("tel:+15550100", None),
    ],
)
def test_an_address_names_nobody(uri: str, place: str | None) -> None:
    assert place_of(uri) == place
