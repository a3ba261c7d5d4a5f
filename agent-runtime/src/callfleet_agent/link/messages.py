"""The messages of the link, each a frozen dataclass with `payload()` and `parse()`.

`epoch` and `position` travel in the header. `parse` raises ValueError or TypeError on a malformed
payload, constructors do for what cannot be sent. Reprs show no sound, context, digit or number.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, Self

import orjson

from callfleet_agent.audio import FRAME_SAMPLES, FrameKind, Pcm8k

PROTOCOL: Final = 1
CREDIT_SAMPLES: Final = 1600  # 200 ms beyond what was played
MAX_AUDIO_SAMPLES: Final = 1600
MAX_CONTEXT_BYTES: Final = 256 * 1024
MAX_JSON_BYTES: Final = 64 * 1024
DTMF_DIGITS: Final = frozenset("0123456789*#ABCD")

_REASON = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TICK = struct.Struct("!BIQQ")
_DTMF = struct.Struct("!BH")
_NONCE = struct.Struct("!Q")
_FRAME_BYTES = 2 * FRAME_SAMPLES

EventValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Message:
    """What all messages share: the type's number on the wire, and the header's two counters."""

    TYPE: ClassVar[int]
    epoch: int = 0
    position: int = 0

    def payload(self) -> bytes:
        """The bytes after the header."""
        return b""

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        """The message of these header fields and payload; this one is for an empty payload."""
        if payload:
            raise ValueError(f"{cls.__name__} has no payload")
        return cls(epoch=epoch, position=position)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the network says. `id` is no proof of identity, even when trusted."""

    id: str | None = field(default=None, repr=False)
    trusted: bool = False
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Earlier:
    """A call of the same caller that broke off a moment ago, as far as it may be gone on with."""

    intent: str = ""
    customer_number: str | None = field(default=None, repr=False)
    failed_attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """Offers a call. `epoch` is the first that the worker may use, `position` that of inbound
    sound. A resumed call's Context follows at once, empty if none was ever handed over. `earlier`
    is for a call that is new."""

    TYPE: ClassVar[int] = 0x01
    call_number: int
    dialed: str = field(repr=False)
    caller: Caller = Caller()
    resumed: bool = False
    draining: bool = False
    correlation_id: str = ""
    traceparent: str = ""
    earlier: Earlier | None = None
    protocol: int = PROTOCOL

    def payload(self) -> bytes:
        fields = asdict(self)
        del fields["epoch"], fields["position"]
        return orjson.dumps(fields)

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        fields = _json_object(payload)
        protocol = _typed(fields, "protocol", int)
        if protocol != PROTOCOL:
            raise ValueError(f"protocol {protocol} is not {PROTOCOL}")
        caller = _typed(fields, "caller", dict)
        caller_id = caller.get("id")
        if not isinstance(caller_id, str | None):
            raise TypeError("caller.id is neither text nor null")
        return cls(
            epoch=epoch,
            position=position,
            call_number=_typed(fields, "call_number", int),
            dialed=_typed(fields, "dialed", str),
            caller=Caller(
                caller_id, _typed(caller, "trusted", bool), _typed(caller, "withheld", bool)
            ),
            resumed=_typed(fields, "resumed", bool),
            draining=_typed(fields, "draining", bool),
            correlation_id=_typed(fields, "correlation_id", str),
            traceparent=_typed({"traceparent": "", **fields}, "traceparent", str),
            earlier=_earlier(fields.get("earlier")),
            protocol=protocol,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Message):
    """The worker's opaque memory of the conversation: handed over after each turn, given back to
    the worker that resumes the call."""

    TYPE: ClassVar[int] = 0x02
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.data) > MAX_CONTEXT_BYTES:
            raise ValueError(f"a context has at most {MAX_CONTEXT_BYTES} bytes")

    def payload(self) -> bytes:
        return self.data

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        return cls(epoch=epoch, position=position, data=payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Message):
    """20 ms of the call, on the clock. `epoch` is the connector's current one, `position` that of
    the first inbound sample. `credit_position` belongs to `epoch`."""

    TYPE: ClassVar[int] = 0x03
    kind: FrameKind
    played_epoch: int
    played_position: int
    credit_position: int
    inbound: Pcm8k
    reference: Pcm8k

    def __post_init__(self) -> None:
        if len(self.inbound) != FRAME_SAMPLES or len(self.reference) != FRAME_SAMPLES:
            raise ValueError(f"a tick carries {FRAME_SAMPLES} samples each way")

    def payload(self) -> bytes:
        head = _TICK.pack(self.kind, self.played_epoch, self.played_position, self.credit_position)
        return head + self.inbound.data + self.reference.data

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        if len(payload) != _TICK.size + 2 * _FRAME_BYTES:
            raise ValueError("a tick of the wrong length")
        kind, played_epoch, played_position, credit_position = _TICK.unpack_from(payload)
        middle = _TICK.size + _FRAME_BYTES
        return cls(
            epoch=epoch,
            position=position,
            kind=FrameKind(kind),
            played_epoch=played_epoch,
            played_position=played_position,
            credit_position=credit_position,
            inbound=Pcm8k(payload[_TICK.size : middle]),
            reference=Pcm8k(payload[middle:]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtmf(Message):
    """A key that the caller pressed; `position` is the inbound sample where it ended."""

    TYPE: ClassVar[int] = 0x04
    digit: str = field(repr=False)
    duration_ms: int = field(repr=False)

    def __post_init__(self) -> None:
        if self.digit not in DTMF_DIGITS:
            raise ValueError("no key of a telephone")
        if not 0 <= self.duration_ms <= 0xFFFF:
            raise ValueError("a key's duration is 0 to 65535 ms")

    def payload(self) -> bytes:
        return _DTMF.pack(ord(self.digit), self.duration_ms)

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        if len(payload) != _DTMF.size:
            raise ValueError("a key of the wrong length")
        digit, duration_ms = _DTMF.unpack(payload)
        return cls(epoch=epoch, position=position, digit=chr(digit), duration_ms=duration_ms)


class Interrupted(Message):
    """Answers Interrupt: `epoch` is the one that ended, `position` how much of it was played."""

    __slots__ = ()
    TYPE: ClassVar[int] = 0x05


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Message):
    """From the connector: the call is over; its last message. From the worker: say good-bye up to
    `position` of `epoch` and end the call (before Ready: the worker refuses the call)."""

    TYPE: ClassVar[int] = 0x06
    reason: str

    def __post_init__(self) -> None:
        if not _REASON.fullmatch(self.reason):
            raise ValueError("a reason is a short code in lower case")

    def payload(self) -> bytes:
        return orjson.dumps({"reason": self.reason})

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        reason = _typed(_json_object(payload), "reason", str)
        return cls(epoch=epoch, position=position, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Message):
    """Asks whether the worker's loop still turns."""

    TYPE: ClassVar[int] = 0x07
    nonce: int

    def payload(self) -> bytes:
        return _NONCE.pack(self.nonce)

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        if len(payload) != _NONCE.size:
            raise ValueError("a nonce of the wrong length")
        return cls(epoch=epoch, position=position, nonce=_NONCE.unpack(payload)[0])


class Ready(Message):
    """The worker takes the call; ticks begin."""

    __slots__ = ()
    TYPE: ClassVar[int] = 0x81


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(Message):
    """1 to 1600 samples to be played, the first at `position` of `epoch`, without gaps."""

    TYPE: ClassVar[int] = 0x82
    samples: Pcm8k

    def __post_init__(self) -> None:
        if not 0 < len(self.samples) <= MAX_AUDIO_SAMPLES:
            raise ValueError(f"audio has 1 to {MAX_AUDIO_SAMPLES} samples")

    @property
    def end(self) -> int:
        """The position after the last sample."""
        return self.position + len(self.samples)

    def payload(self) -> bytes:
        return self.samples.data

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        return cls(epoch=epoch, position=position, samples=Pcm8k(payload))


class Interrupt(Message):
    """Begins the higher `epoch` at position 0; what is queued of older ones is never played."""

    __slots__ = ()
    TYPE: ClassVar[int] = 0x83


class EndOfSpeech(Message):
    """An utterance is complete at `position`, so that its end can be told from an underrun."""

    __slots__ = ()
    TYPE: ClassVar[int] = 0x84


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """Timings and counters of a turn; never what was said."""

    TYPE: ClassVar[int] = 0x85
    name: str
    fields: Mapping[str, EventValue] = field(default_factory=dict)

    def payload(self) -> bytes:
        return orjson.dumps({"name": self.name, "fields": dict(self.fields)})

    @classmethod
    def parse(cls, epoch: int, position: int, payload: bytes) -> Self:
        body = _json_object(payload)
        fields = _typed(body, "fields", dict)
        if any(isinstance(value, dict | list) for value in fields.values()):
            raise ValueError("an event's fields are flat")
        return cls(epoch=epoch, position=position, name=_typed(body, "name", str), fields=fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong(Ping):
    """Answers Ping with its nonce."""

    TYPE: ClassVar[int] = 0x87


MESSAGES: Final[Mapping[int, type[Message]]] = {
    kind.TYPE: kind
    for kind in (
        Hello, Context, Tick, Dtmf, Interrupted, Hangup, Ping,
        Ready, Audio, Interrupt, EndOfSpeech, Event, Pong,
    )
}  # fmt: skip


def _json_object(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_JSON_BYTES:
        raise ValueError(f"JSON of more than {MAX_JSON_BYTES} bytes")
    value = orjson.loads(payload)
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value


def _earlier(fields: Any) -> Earlier | None:
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise TypeError("earlier is no object")
    number = fields.get("customer_number")
    if not isinstance(number, str | None):
        raise TypeError("earlier.customer_number is neither text nor null")
    return Earlier(_typed(fields, "intent", str), number, _typed(fields, "failed_attempts", int))


def _typed(fields: Mapping[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if type(value) is not kind:
        raise TypeError(f"{name} is missing or of the wrong type")
    return value
