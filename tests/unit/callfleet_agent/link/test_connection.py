"""What each side may do when, as in docs/design/20261123.link-protocol.md."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.link import (
    CREDIT_SAMPLES,
    Audio,
    ConnectorState,
    Context,
    Dtmf,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    LinkConnection,
    LocalProtocolError,
    Message,
    Ping,
    Pong,
    Ready,
    RemoteProtocolError,
    Side,
    Tick,
    WorkerState,
)
from callfleet_agent.link.connection import MAX_LENGTH, MAX_PINGS

CALL = UUID("00000000-0000-4000-8000-000000000001")
FRAME = Pcm8k.silence(160)


def tick(
    position: int = 0,
    *,
    epoch: int = 0,
    played: int = 0,
    played_epoch: int | None = None,
    credit: int | None = None,
) -> Tick:
    return Tick(
        epoch=epoch,
        position=position,
        kind=FrameKind.REAL,
        played_epoch=epoch if played_epoch is None else played_epoch,
        played_position=played,
        credit_position=played + CREDIT_SAMPLES if credit is None else credit,
        inbound=FRAME,
        reference=FRAME,
    )


def audio(position: int, samples: int = 160, *, epoch: int = 0) -> Audio:
    return Audio(epoch=epoch, position=position, samples=Pcm8k.silence(samples))


class Pair:
    """Both ends of a link, joined."""

    def __init__(self) -> None:
        self.connector = LinkConnection(Side.CONNECTOR, CALL)
        self.worker = LinkConnection(Side.WORKER)

    def tell(self, message: Message) -> list[Message]:
        """The connector says it; what the worker's application gets."""
        return self.worker.receive_data(self.connector.send(message))

    def answer(self, message: Message) -> list[Message]:
        """The worker says it; what the connector's application gets."""
        return self.connector.receive_data(self.worker.send(message))


HELLO = Hello(call_number=1, dialed="1")
RESUMED = Hello(call_number=1, dialed="1", resumed=True, epoch=4, position=800)


@pytest.fixture
def pair() -> Pair:
    """A call that the worker has taken."""
    pair = Pair()
    pair.tell(HELLO)
    pair.answer(Ready())
    return pair


def test_a_call_from_hello_to_hangup() -> None:
    pair = Pair()
    assert pair.tell(HELLO) == [HELLO]
    assert pair.worker.call == CALL
    assert pair.answer(Ready()) == [Ready()]
    assert pair.tell(tick()) == [tick()]
    assert pair.answer(audio(0)) == [audio(0)]
    assert pair.answer(EndOfSpeech(position=160)) == [EndOfSpeech(position=160)]
    assert pair.answer(Context(data=b"c")) == [Context(data=b"c")]
    assert pair.answer(Hangup(position=160, reason="done")) == [Hangup(position=160, reason="done")]
    assert pair.tell(tick(160, played=160)) == [tick(160, played=160)]
    assert pair.tell(Hangup(reason="completed")) == [Hangup(reason="completed")]
    assert pair.answer(Event(name="call")) == [Event(name="call")]
    pair.connector.receive_eof()
    pair.worker.receive_eof()


def test_a_resumed_call_begins_with_the_context_and_a_higher_epoch() -> None:
    pair = Pair()
    assert pair.tell(RESUMED) == [RESUMED]
    assert pair.connector.connector_state is ConnectorState.RESUMING
    with pytest.raises(LocalProtocolError):
        pair.worker.send(Ready())
    assert pair.tell(Context(data=b"c")) == [Context(data=b"c")]
    pair.answer(Ready())
    assert pair.answer(audio(0, epoch=4)) == [audio(0, epoch=4)]
    assert pair.tell(tick(800, epoch=4)) == [tick(800, epoch=4)]


def test_a_worker_may_refuse() -> None:
    pair = Pair()
    pair.tell(HELLO)
    assert pair.answer(Hangup(reason="refused")) == [Hangup(reason="refused")]
    pair.connector.receive_eof()


CONNECTOR_MESSAGES: tuple[Message, ...] = (
    HELLO, Context(data=b""), tick(), Dtmf(digit="1", duration_ms=1), Interrupted(), Ping(nonce=9),
)  # fmt: skip
WORKER_MESSAGES: tuple[Message, ...] = (
    Ready(), audio(0), Interrupt(epoch=1), EndOfSpeech(), Context(data=b""), Event(name="e"),
)  # fmt: skip


def _started(*steps: Callable[[Pair], object]) -> Callable[[], Pair]:
    def start() -> Pair:
        pair = Pair()
        for step in steps:
            step(pair)
        return pair

    return start


def hello(pair: Pair) -> None:
    pair.tell(HELLO)


def resumed(pair: Pair) -> None:
    pair.tell(RESUMED)


def ready(pair: Pair) -> None:
    pair.answer(Ready())


def leave(pair: Pair) -> None:
    pair.answer(Hangup(reason="done"))


def end(pair: Pair) -> None:
    pair.tell(Hangup(reason="caller-hung-up"))


Allowed = dict[str, tuple[Callable[[], Pair], set[type[Message]]]]

CONNECTOR_ALLOWED: Allowed = {
    "start": (_started(), {Hello}),
    "resuming": (_started(resumed), {Context}),
    "offered": (_started(hello), {Ping, Hangup}),
    "active": (_started(hello, ready), {Tick, Dtmf, Ping, Hangup}),
    "ended": (_started(hello, ready, end), set()),
}
WORKER_ALLOWED: Allowed = {
    "start": (_started(), set()),
    "waiting for the context": (_started(resumed), set()),
    "invited": (_started(hello), {Ready, Event, Hangup}),
    "active": (
        _started(hello, ready),
        {Audio, Interrupt, EndOfSpeech, Context, Event, Hangup},
    ),
    "leaving": (_started(hello, ready, leave), {Context, Event}),
    "finishing": (_started(hello, ready, end), {Context, Event}),
    "finishing after leaving": (_started(hello, ready, leave, end), {Context, Event}),
}


def named(value: str | Message) -> str:
    return value if isinstance(value, str) else type(value).__name__


EVERYTHING = (*CONNECTOR_MESSAGES, *WORKER_MESSAGES, Hangup(reason="x"), Pong(nonce=1))


@pytest.mark.parametrize(
    ("state", "message"),
    list(product(CONNECTOR_ALLOWED, EVERYTHING)),
    ids=lambda v: type(v).__name__,
)
def test_what_a_connector_may_send(state: str, message: Message) -> None:
    start, allowed = CONNECTOR_ALLOWED[state]
    check(start().connector, message, allowed)


@pytest.mark.parametrize(("state", "message"), list(product(WORKER_ALLOWED, EVERYTHING)), ids=named)
def test_what_a_worker_may_send(state: str, message: Message) -> None:
    start, allowed = WORKER_ALLOWED[state]
    check(start().worker, message, allowed)


def check(link: LinkConnection, message: Message, allowed: set[type[Message]]) -> None:
    before = (link.connector_state, link.worker_state)
    if type(message) in allowed:
        assert link.send(message)
    else:
        with pytest.raises(LocalProtocolError):
            link.send(message)
        assert (link.connector_state, link.worker_state) == before


def frame(
    message: Message,
    *,
    version: int = 1,
    kind: int | None = None,
    flags: int = 0,
    call: UUID = CALL,
) -> bytes:
    payload = message.payload()
    number = message.TYPE if kind is None else kind
    head = struct.pack(
        "!BBH16sIQ", version, number, flags, call.bytes, message.epoch, message.position
    )
    return struct.pack("!I", len(head) + len(payload)) + head + payload


BROKEN = {
    "wrong state": frame(Ready()),
    "wrong direction": frame(tick()),
    "version": frame(Event(name="e"), version=2),
    "unknown type": frame(Event(name="e"), kind=0x70),
    "another call": frame(Event(name="e"), call=UUID(int=5)),
    "too short": struct.pack("!I", 31),
    "too long": struct.pack("!I", MAX_LENGTH + 1),
    "payload": frame(Interrupt(epoch=1), kind=Audio.TYPE),
    "json": frame(Ready(), kind=0x85),
    "epoch not raised": frame(Interrupt(epoch=0)),
    "epoch not begun": frame(audio(0, epoch=1)),
    "gap": frame(audio(160)),
    "overlap": frame(audio(0)) + frame(audio(0)),
    "beyond the credit": frame(audio(0, 1600)) + frame(audio(1600, 1)),
    "end of speech beyond the speech": frame(EndOfSpeech(position=1)),
    "good-bye beyond the speech": frame(Hangup(position=1, reason="done")),
    "pong without a ping": frame(Pong(nonce=1)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_worker_that_breaks_the_protocol_is_not_listened_to_again(pair: Pair, case: str) -> None:
    with pytest.raises(RemoteProtocolError):
        pair.connector.receive_data(BROKEN[case])
    with pytest.raises(RemoteProtocolError):
        pair.connector.receive_data(frame(Event(name="e")))
    with pytest.raises(LocalProtocolError):
        pair.connector.send(tick())
    pair.connector.receive_eof()


@pytest.mark.parametrize(
    "data",
    [
        frame(tick(epoch=1)),
        frame(tick(160)) + frame(tick(0)),
        frame(tick(credit=1599)),
        frame(tick(played=1)),
        frame(Interrupted()),
        frame(HELLO),
    ],
)
def test_a_connector_that_breaks_the_protocol_is_refused(pair: Pair, data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        pair.worker.receive_data(data)


def test_the_first_message_names_the_call() -> None:
    worker = LinkConnection(Side.WORKER)
    with pytest.raises(RemoteProtocolError, match="another call"):
        worker.receive_data(frame(Ping(nonce=1)))


def test_only_a_connector_names_the_call() -> None:
    with pytest.raises(ValueError, match="names the call"):
        LinkConnection(Side.CONNECTOR)
    with pytest.raises(ValueError, match="names the call"):
        LinkConnection(Side.WORKER, CALL)


def test_an_optional_message_that_is_not_known_is_skipped(pair: Pair) -> None:
    data = frame(Event(name="e"), kind=0x70, flags=0x8000) + frame(Event(name="f"))
    assert pair.connector.receive_data(data) == [Event(name="f")]


def test_flags_that_are_not_known_are_ignored(pair: Pair) -> None:
    assert pair.connector.receive_data(frame(Event(name="e"), flags=0x7FFF)) == [Event(name="e")]


@pytest.mark.parametrize(
    "message",
    [
        Interrupt(epoch=2**32),
        Event(name="e", position=-1),
        Event(name="e", fields={"a": 2**70}),
        Context(data=b"x", epoch=-1),
    ],
)
def test_what_does_not_fit_is_a_local_error(pair: Pair, message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        pair.worker.send(message)
    assert pair.answer(audio(0)) == [audio(0)]


def test_a_message_of_more_than_a_megabyte_is_a_local_error(pair: Pair) -> None:
    with pytest.raises(LocalProtocolError, match="bytes"):
        pair.worker.send(Event(name="x" * MAX_LENGTH))


# credit


def test_credit_is_what_was_played_and_200_ms(pair: Pair) -> None:
    assert pair.worker.writable_samples() == 1600
    pair.answer(audio(0, 1600))
    assert pair.worker.writable_samples() == 0
    with pytest.raises(LocalProtocolError, match="credit"):
        pair.worker.send(audio(1600))
    pair.tell(tick(played=160))
    assert pair.worker.writable_samples() == 160
    assert pair.worker.speech_end == 1600
    pair.answer(audio(1600))
    assert pair.worker.writable_samples() == 0


def test_nothing_can_be_written_before_the_call_is_taken_and_after_its_end() -> None:
    pair = Pair()
    assert pair.worker.writable_samples() == 0
    pair.tell(HELLO)
    assert pair.worker.writable_samples() == 0
    pair.answer(Ready())
    pair.answer(Hangup(reason="done"))
    assert pair.worker.writable_samples() == 0


# epochs


def test_an_interruption_begins_an_epoch_with_its_own_positions_and_credit(pair: Pair) -> None:
    pair.answer(audio(0, 1600))
    assert pair.answer(Interrupt(epoch=3)) == [Interrupt(epoch=3)]
    assert (pair.connector.epoch, pair.worker.epoch) == (3, 3)
    assert pair.worker.writable_samples() == 1600
    assert pair.tell(Interrupted(epoch=0, position=480)) == [Interrupted(epoch=0, position=480)]
    assert pair.answer(audio(0, epoch=3)) == [audio(0, epoch=3)]


def test_a_tick_that_crosses_an_interruption_gives_no_credit(pair: Pair) -> None:
    pair.answer(audio(0, 1600))
    crossing = pair.connector.send(tick(played=1600))
    pair.worker.send(Interrupt(epoch=1))
    assert pair.worker.receive_data(crossing) == [tick(played=1600)]
    assert pair.worker.writable_samples() == 1600


def test_a_worker_cannot_speak_in_an_epoch_that_has_ended(pair: Pair) -> None:
    pair.answer(Interrupt(epoch=1))
    for message in (audio(0), EndOfSpeech(), Hangup(reason="done")):
        with pytest.raises(LocalProtocolError, match="ended"):
            pair.worker.send(message)


def test_audio_of_an_epoch_that_has_ended_is_dropped_and_counted(pair: Pair) -> None:
    pair.answer(Interrupt(epoch=1))
    received = pair.connector.receive_data(frame(audio(7)) + frame(EndOfSpeech(position=7)))
    assert received == [EndOfSpeech(position=7)]
    assert pair.connector.stale_audio == 1


def test_a_connector_cannot_tick_in_an_epoch_that_has_ended(pair: Pair) -> None:
    pair.answer(Interrupt(epoch=1))
    with pytest.raises(LocalProtocolError, match="ended"):
        pair.connector.send(tick())
    assert pair.tell(tick(epoch=1, played_epoch=0, played=99, credit=1600))


def test_interruptions_are_answered_in_their_order(pair: Pair) -> None:
    pair.answer(audio(0))
    pair.answer(Interrupt(epoch=1))
    pair.answer(Interrupt(epoch=2))
    with pytest.raises(LocalProtocolError, match="nobody interrupted"):
        pair.connector.send(Interrupted(epoch=1))
    with pytest.raises(LocalProtocolError, match="more was played"):
        pair.connector.send(Interrupted(epoch=0, position=161))
    pair.tell(Interrupted(epoch=0, position=160))
    pair.tell(Interrupted(epoch=1))
    with pytest.raises(LocalProtocolError, match="nobody interrupted"):
        pair.connector.send(Interrupted(epoch=2))


# the end


def test_speech_that_crosses_the_hangup_is_dropped(pair: Pair) -> None:
    late = b"".join(
        pair.worker.send(message)
        for message in (
            audio(0),
            EndOfSpeech(),
            Interrupt(epoch=1),
            Context(data=b"last"),
            Hangup(epoch=1, reason="done"),
        )
    )
    pair.connector.send(Hangup(reason="caller-hung-up"))
    assert pair.connector.receive_data(late) == [
        Context(data=b"last"), Hangup(epoch=1, reason="done"),
    ]  # fmt: skip


def test_an_end_in_the_middle_of_the_call_is_the_others_fault(pair: Pair) -> None:
    for link in (pair.connector, pair.worker):
        with pytest.raises(RemoteProtocolError, match="middle"):
            link.receive_eof()


def test_an_end_in_the_middle_of_a_message_is_the_others_fault(pair: Pair) -> None:
    data = pair.worker.send(Context(data=b"context"))
    pair.connector.send(Hangup(reason="completed"))
    assert pair.connector.receive_data(data[:-1]) == []
    with pytest.raises(RemoteProtocolError):
        pair.connector.receive_eof()


def test_a_connection_that_never_began_may_end() -> None:
    LinkConnection(Side.WORKER).receive_eof()


# pings


def test_a_pong_answers_its_ping_and_those_before(pair: Pair) -> None:
    for nonce in (5, 6, 7):
        assert pair.tell(Ping(nonce=nonce)) == [Ping(nonce=nonce)]
    assert pair.connector.unanswered_pings == 3
    assert pair.answer(Pong(nonce=6)) == [Pong(nonce=6)]
    assert pair.connector.unanswered_pings == 1
    with pytest.raises(LocalProtocolError):
        pair.worker.send(Pong(nonce=5))


def test_unanswered_pings_are_bounded(pair: Pair) -> None:
    for nonce in range(MAX_PINGS):
        pair.connector.send(Ping(nonce=nonce))
    with pytest.raises(LocalProtocolError, match="unanswered"):
        pair.connector.send(Ping(nonce=99))


# the stream


@given(st.lists(st.integers(1, 900), max_size=12))
def test_messages_may_be_cut_anywhere(cuts: list[int]) -> None:
    source = LinkConnection(Side.CONNECTOR, CALL)
    worker = LinkConnection(Side.WORKER)
    sent: list[Message] = [HELLO, Ping(nonce=1), Ping(nonce=2), Hangup(reason="over")]
    stream = b"".join(source.send(message) for message in sent)
    received: list[Message] = []
    for cut in cuts:
        received += worker.receive_data(stream[:cut])
        stream = stream[cut:]
    assert received + worker.receive_data(stream) == sent


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_the_others_fault_and_nothing_else(data: bytes, framed: bool) -> None:
    link = LinkConnection(Side.WORKER)
    stream = frame(HELLO) + (struct.pack("!I", len(data)) + data if framed else data)
    try:
        link.receive_data(stream)
    except RemoteProtocolError:
        assert link.worker_state in WorkerState
    with pytest.raises((LocalProtocolError, RemoteProtocolError)):
        link.send(tick())
