"""Each message travels unchanged, and what is malformed is refused."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.link import (
    MAX_AUDIO_SAMPLES,
    MAX_CONTEXT_BYTES,
    Audio,
    Caller,
    Context,
    Dtmf,
    Earlier,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    Message,
    Ping,
    Pong,
    Ready,
    Tick,
)
from callfleet_agent.link.messages import MAX_JSON_BYTES, MESSAGES

FRAME = Pcm8k.silence(160)

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
header = {"epoch": u32, "position": u64}
sound = st.binary(min_size=320, max_size=320).map(Pcm8k)
reasons = st.from_regex(r"[a-z][a-z0-9-]{0,63}", fullmatch=True)
integers = st.integers(-(2**53), 2**53)

callers = st.builds(Caller, id=st.none() | text, trusted=st.booleans(), withheld=st.booleans())

MESSAGE_STRATEGIES = st.one_of(
    st.builds(
        Hello,
        **header,
        call_number=integers,
        dialed=text,
        caller=st.builds(
            Caller, id=st.none() | text, trusted=st.booleans(), withheld=st.booleans()
        ),
        resumed=st.booleans(),
        draining=st.booleans(),
        correlation_id=text,
        earlier=st.none()
        | st.builds(
            Earlier, intent=text, customer_number=st.none() | text, failed_attempts=integers
        ),
    ),
    st.builds(Context, **header, data=st.binary(max_size=300)),
    st.builds(
        Tick,
        **header,
        kind=st.sampled_from(FrameKind),
        played_epoch=u32,
        played_position=u64,
        credit_position=u64,
        inbound=sound,
        reference=sound,
    ),
    st.builds(
        Dtmf, **header, digit=st.sampled_from("0123456789*#ABCD"), duration_ms=st.integers(0, 65535)
    ),
    st.builds(Interrupted, **header),
    st.builds(Hangup, **header, reason=reasons),
    st.builds(Ping, **header, nonce=u64),
    st.builds(Ready, **header),
    st.builds(
        Audio,
        **header,
        samples=st.binary(min_size=1, max_size=MAX_AUDIO_SAMPLES).map(lambda b: Pcm8k(b + b)),
    ),
    st.builds(Interrupt, **header),
    st.builds(EndOfSpeech, **header),
    st.builds(
        Event,
        **header,
        name=text,
        fields=st.dictionaries(text, st.none() | st.booleans() | integers | text, max_size=5),
    ),
    st.builds(Pong, **header, nonce=u64),
)


@given(MESSAGE_STRATEGIES)
def test_a_message_travels_unchanged(message: Message) -> None:
    again = type(message).parse(message.epoch, message.position, message.payload())
    assert again == message
    assert MESSAGES[message.TYPE] is type(message)


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=700))
def test_any_payload_is_a_message_or_an_error_of_the_sender(number: int, payload: bytes) -> None:
    try:
        message = MESSAGES[number].parse(0, 0, payload)
    except (ValueError, TypeError):
        return
    assert type(message).parse(0, 0, message.payload()) == message


def hello(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "protocol": 1,
        "call_number": 1,
        "dialed": "1",
        "caller": {"id": None, "trusted": False, "withheld": True},
        "resumed": False,
        "draining": False,
        "correlation_id": "",
    }
    return orjson.dumps(fields | changes)


def test_unknown_keys_of_hello_are_ignored() -> None:
    message = Hello.parse(3, 4, hello(colour="blue"))
    assert message == Hello(
        epoch=3, position=4, call_number=1, dialed="1", caller=Caller(withheld=True)
    )


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Hello, hello(protocol=2)),
        (Hello, hello(protocol=True)),
        (Hello, hello(call_number="1")),
        (Hello, hello(caller=[])),
        (Hello, hello(caller={"id": 5, "trusted": True, "withheld": False})),
        (Hello, hello(caller={"id": None, "trusted": 1, "withheld": False})),
        (Hello, hello(resumed=None)),
        (Hello, hello(earlier=[])),
        (Hello, hello(earlier={"intent": "x", "customer_number": 5, "failed_attempts": 0})),
        (Hello, hello(earlier={"intent": None, "customer_number": None, "failed_attempts": 0})),
        (Hello, b"[]"),
        (Hello, b"{"),
        (Hello, b'{"a":"' + b"x" * MAX_JSON_BYTES + b'"}'),
        (Context, b"x" * (MAX_CONTEXT_BYTES + 1)),
        (Tick, bytes(660)),
        (Tick, bytes(662)),
        (Tick, b"\x03" + bytes(660)),
        (Dtmf, b"1"),
        (Dtmf, b"X\x00\x01"),
        (Interrupted, b"x"),
        (Hangup, b'{"reason": "Because"}'),
        (Hangup, b'{"reason": 1}'),
        (Hangup, b"{}"),
        (Ping, bytes(7)),
        (Pong, bytes(9)),
        (Ready, b"x"),
        (Audio, b""),
        (Audio, b"x"),
        (Audio, bytes(2 * MAX_AUDIO_SAMPLES + 2)),
        (Interrupt, b"x"),
        (EndOfSpeech, b"x"),
        (Event, b'{"name": "turn", "fields": {"a": [1]}}'),
        (Event, b'{"name": "turn", "fields": {"a": {"b": 1}}}'),
        (Event, b'{"fields": {}}'),
    ],
)
def test_a_malformed_payload_is_refused(kind: type[Message], payload: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        kind.parse(0, 0, payload)


def test_what_cannot_be_sent_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="160 samples"):
        Tick(
            kind=FrameKind.REAL,
            played_epoch=0,
            played_position=0,
            credit_position=0,
            inbound=FRAME,
            reference=Pcm8k.silence(80),
        )
    with pytest.raises(ValueError, match="65535"):
        Dtmf(digit="1", duration_ms=65536)
    with pytest.raises(ValueError, match="key"):
        Dtmf(digit="12", duration_ms=1)


def test_audio_knows_its_end() -> None:
    assert Audio(position=5, samples=FRAME).end == 165


@pytest.mark.parametrize(
    "message",
    [
        Hello(call_number=1, dialed="+15550177", caller=Caller("+15550177")),
        Context(data=b"+15550177"),
        Dtmf(digit="7", duration_ms=177),
        Audio(samples=Pcm8k(b"15550177")),
    ],
)
def test_a_repr_tells_nothing_private(message: Message) -> None:
    assert "77" not in repr(message)
