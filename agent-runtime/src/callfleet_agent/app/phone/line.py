"""The phone's end of the media: a noise floor without gaps, the turns' speech on top of it, and the
times of what is sent and of what arrives.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from callfleet_agent.app.phone.measure import SpeechArrivals, TurnTimes
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k
from callfleet_agent.audio.g711 import decode
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.audio.randomness import Randomness
from callfleet_agent.rtp import (
    Address,
    MalformedPacket,
    MediaSession,
    MediaSettings,
    MediaTick,
    RtpPacket,
)

NOISE_DBFS = -60.0


class Line(MediaSession):
    """A media session that speaks what it is given and notes when things happen."""

    def __init__(
        self,
        settings: MediaSettings,
        *,
        rng: Randomness,
        now: float,
        on_onset: Callable[[float], None],
    ) -> None:
        super().__init__(settings, rng=rng, now=now)
        self.arrivals = SpeechArrivals()
        self.turn: TurnTimes | None = None
        self._laws = {each.payload_type: each.law for each in settings.formats}
        self._floor = NoiseFloor(rng, NOISE_DBFS)
        self._frames: deque[Pcm8k] = deque()
        self._pushed = 0
        self._on_onset = on_onset
        self._key_ended: int | None = None

    def receive_rtp(self, data: bytes, source: Address, now: float) -> None:
        """A datagram, looked at before the jitter buffer has it."""
        with_sound = self._sound_of(data)
        if with_sound is not None and self.arrivals.receive(with_sound, now):
            began = self.arrivals.began_at
            if began is not None:
                self._on_onset(began)
        super().receive_rtp(data, source, now)

    def _sound_of(self, data: bytes) -> Pcm8k | None:
        try:
            packet = RtpPacket.parse(data)
        except MalformedPacket:
            return None
        law = self._laws.get(packet.payload_type)
        return None if law is None or not packet.payload else decode(packet.payload, law)

    def say(self, speech: Pcm8k) -> None:
        """Speak after what is queued."""
        for start in range(0, len(speech), FRAME_SAMPLES):
            frame = speech.slice(start, start + FRAME_SAMPLES)
            self._frames.append(frame + Pcm8k.silence(FRAME_SAMPLES - len(frame)))

    @property
    def busy(self) -> bool:
        """Whether something of a turn is still to be sent."""
        return bool(self._frames) or self.sending_digits

    def after_tick(self, tick: MediaTick, now: float) -> None:
        """Note what this tick sent, and give the next tick its frame."""
        if self.turn is not None:
            self.turn.sent(tick.reference, now)
            for packet in map(RtpPacket.parse, tick.rtp):
                self._note_key(self.turn, packet, now)
        if not self.sending_digits:
            self._push_next()

    def _note_key(self, turn: TurnTimes, packet: RtpPacket, now: float) -> None:
        """Note a key's packet; its end is in the first that tells it (RFC 4733 section 2.3)."""
        if packet.payload_type in self._laws or len(packet.payload) != 4:
            return
        turn.key_began(now)
        if packet.payload[1] & 0x80 and packet.timestamp != self._key_ended:
            self._key_ended = packet.timestamp
            turn.key_sent(now)

    def _push_next(self) -> None:
        frame = self._floor.frame(FRAME_SAMPLES)
        if self._frames:
            mixed = frame.samples.astype(np.int32) + self._frames.popleft().samples
            frame = Pcm8k.from_samples(mixed)
        self.push(self.epoch, self._pushed, frame)
        self._pushed += FRAME_SAMPLES
