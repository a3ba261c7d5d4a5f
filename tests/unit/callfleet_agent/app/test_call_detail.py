"""What is written down of a call."""

from uuid import uuid4

import pytest

from callfleet_agent.app.call_detail import answer_ms_of, call_detail, plain
from callfleet_agent.session import Call, CallEvent
from callfleet_agent.sip.dialog import Dialog


def test_a_call_without_media_has_a_record_too() -> None:
    call: Call[Dialog] = Call(uuid=uuid4(), offered_at=1.0)
    refused = call.on(CallEvent.REFUSED, at=2.0)
    record = call_detail(refused, "no-codec", 0, None, None)
    assert (record["ended_by"], record["cause"]) == ("refused", "no-codec")
    assert (record["talked_s"], record["packets_lost"], record["codec"]) == (0.0, 0, None)
    assert call_detail(refused, "", 0, None, None)["cause"] == "refused"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"answer_ms": 120}, 120.0),
        ({"result": "heard", "endpointing_ms": 200.0, "dialog_ms": 1, "speech_ms": 900}, 201.0),
        ({"result": "heard", "dialog_ms": "fast"}, None),
        ({"result": "keyed", "dialog_ms": 1}, None),
        ({"result": "heard"}, None),
    ],
)
def test_the_time_of_an_answer(fields: dict[str, object], expected: float | None) -> None:
    assert answer_ms_of(fields) == expected


def test_fields_of_a_turn_are_short_and_clash_with_nothing() -> None:
    given = {"msg": "x" * 99, "turn": 3, "nested": {"text": "said"}}
    assert plain(given) == {"turn_msg": "x" * 40, "turn_turn": 3}
