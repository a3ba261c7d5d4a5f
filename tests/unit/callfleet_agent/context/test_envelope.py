"""The envelope of a conversation: bounded, versioned, and suspicious."""

import orjson
import pytest

from callfleet_agent.context import MAX_BYTES, ContextError, Envelope, opened, sealed

GOOD = {"version": 1, "flow": "f", "dialog": {"a": 1}, "channel": [1.0]}


def test_a_round_trip() -> None:
    envelope = Envelope("card-delivery", {"state": "more"}, (41.25, -3.5))
    assert opened(sealed(envelope)) == envelope


def test_an_unknown_channel_is_empty() -> None:
    assert opened(orjson.dumps({**GOOD, "channel": None})).channel == ()


def test_it_is_bounded_both_ways() -> None:
    with pytest.raises(ContextError):
        sealed(Envelope("f", {"text": "x" * MAX_BYTES}))
    with pytest.raises(ContextError):
        opened(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        orjson.dumps({**GOOD, "version": 2}),
        orjson.dumps({**GOOD, "flow": 1}),
        orjson.dumps({**GOOD, "dialog": []}),
        orjson.dumps({**GOOD, "channel": "x"}),
        orjson.dumps({**GOOD, "channel": ["x"]}),
        orjson.dumps({**GOOD, "channel": [0] * 65}),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ContextError):
        opened(data)
