"""Keys as telephone events in RTP (RFC 4733): received once each, and sent."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

from callfleet_agent.audio import FRAME_SAMPLES
from callfleet_agent.rtp.arithmetic import timestamp_delta
from callfleet_agent.rtp.errors import MalformedPacket

KEYS: Final = "0123456789*#ABCD"  # event codes 0 to 15
MAX_DURATION: Final = 0xFFFF
LOST_END_S: Final = 0.12  # an event that is not refreshed for this long has ended
END_PACKETS: Final = 3
_PAYLOAD = struct.Struct("!BBH")


@dataclass(frozen=True, slots=True)
class Digit:
    """A key that was pressed and released."""

    digit: str = field(repr=False)
    duration_ms: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """The payload: event code, end bit, volume in -dBm0 (0 to 63), duration in samples."""

    event: int
    end: bool
    duration: int
    volume: int = 10

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Of several events in one payload (2.5.1.5) the first; raises MalformedPacket."""
        if len(payload) < _PAYLOAD.size:
            raise MalformedPacket("shorter than a telephone event")
        event, flags, duration = _PAYLOAD.unpack_from(payload)
        return cls(event=event, end=flags > 0x7F, volume=flags & 0x3F, duration=duration)

    def __bytes__(self) -> bytes:
        return _PAYLOAD.pack(self.event, self.end << 7 | self.volume, self.duration)


@dataclass(slots=True)
class _Pressed:
    event: int
    timestamp: int
    duration: int
    seen: float
    earlier: int = 0  # the duration of the segments before this one


class DtmfReceiver:
    """Turns packets into one `Digit` for each key: repeated ends, lost ends, reordered packets
    and events longer than 65535 samples (8.2 s), which come in segments, included."""

    def __init__(self) -> None:
        self._pressed: _Pressed | None = None
        self._last_timestamp: int | None = None

    def receive(self, payload: bytes, timestamp: int, now: float) -> list[Digit]:
        """Raises MalformedPacket. Events that are no keys (fax tones, flash) are ignored."""
        event = TelephoneEvent.parse(payload)
        if event.event >= len(KEYS) or self._is_old(timestamp):
            return []
        digits: list[Digit] = []
        pressed = self._pressed
        if pressed is None or pressed.timestamp != timestamp:
            earlier = self._segment(pressed, event, timestamp)
            if pressed is not None and earlier is None:
                digits.append(self._release(pressed))
            pressed = _Pressed(event.event, timestamp, event.duration, now, earlier or 0)
            self._pressed = pressed
        pressed.duration = max(pressed.duration, event.duration)
        pressed.seen = now
        if event.end:
            digits.append(self._release(pressed))
        return digits

    def expire(self, now: float) -> list[Digit]:
        """Ends a key whose end packets were all lost."""
        if self._pressed is None or now - self._pressed.seen < LOST_END_S:
            return []
        return [self._release(self._pressed)]

    def reset(self) -> list[Digit]:
        """Another stream begins; a key that was down ends."""
        digits = [self._release(self._pressed)] if self._pressed else []
        self._last_timestamp = None
        return digits

    def _is_old(self, timestamp: int) -> bool:
        """Of a key that has ended: a repeated end, or one that was overtaken."""
        if self._pressed is not None:
            return timestamp_delta(timestamp, self._pressed.timestamp) < 0
        last = self._last_timestamp
        return last is not None and timestamp_delta(timestamp, last) <= 0

    @staticmethod
    def _segment(pressed: _Pressed | None, event: TelephoneEvent, timestamp: int) -> int | None:
        """The duration so far when this packet continues the pressed key (2.5.1.3)."""
        if pressed is None or pressed.event != event.event:
            return None
        step = timestamp_delta(timestamp, pressed.timestamp)
        nearly_full = MAX_DURATION - 10 * FRAME_SAMPLES
        if nearly_full <= step <= MAX_DURATION + 1 and pressed.duration >= nearly_full:
            return pressed.earlier + step
        return None

    def _release(self, pressed: _Pressed) -> Digit:
        self._pressed = None
        self._last_timestamp = pressed.timestamp
        return Digit(KEYS[pressed.event], (pressed.earlier + pressed.duration) // 8)


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What to send in this tick: `offset` is how far before the current timestamp it began."""

    payload: bytes
    offset: int
    marker: bool


class DtmfSender:
    """Sends keys one after another, a packet each tick while one is down, and its end three
    times; 60 ms of pause between keys. Sound is not sent while a key is."""

    def __init__(self, pause_ticks: int = 3) -> None:
        self._queue: deque[tuple[int, int]] = deque()
        self._pause_ticks = pause_ticks
        self._event: int | None = None
        self._ticks = 0
        self._length = 0
        self._offset = 0
        self._pausing = 0

    @property
    def busy(self) -> bool:
        return bool(self._queue) or self._event is not None

    def press(self, digits: str, duration_ms: int = 100) -> None:
        """Queues keys. Raises ValueError for what is no key, or a key of under 40 or over 8000
        ms."""
        if not 40 <= duration_ms <= 8000:
            raise ValueError("a key is pressed for 40 to 8000 ms")
        codes = [KEYS.find(digit) for digit in digits.upper()]
        if -1 in codes:
            raise ValueError("keys are 0 to 9, *, #, A to D")
        self._queue.extend((code, -(-duration_ms // 20)) for code in codes)

    def tick(self) -> EventPacket | None:
        """The packet of this tick, None when sound is to be sent."""
        if self._event is None:
            if self._pausing or not self._queue:
                self._pausing = max(0, self._pausing - 1)
                return None
            self._event, self._length = self._queue.popleft()
            self._ticks, self._offset = 0, 0
        offset = self._offset
        self._ticks += 1
        self._offset += FRAME_SAMPLES
        ended = self._ticks >= self._length
        packet = EventPacket(
            payload=bytes(
                TelephoneEvent(self._event, ended, min(self._ticks, self._length) * FRAME_SAMPLES)
            ),
            offset=offset,
            marker=self._ticks == 1,
        )
        if self._ticks == self._length + END_PACKETS - 1:
            self._event, self._pausing = None, self._pause_ticks
        return packet

    def skip(self, ticks: int) -> None:
        """Our clock jumped: the key's beginning is that much further back."""
        self._offset += ticks * FRAME_SAMPLES
