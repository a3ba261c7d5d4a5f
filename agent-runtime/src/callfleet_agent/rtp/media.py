"""The media of one call, sans-IO: datagrams and ticks in; datagrams, frames and keys out."""

from __future__ import annotations

from dataclasses import dataclass, field

from callfleet_agent.audio import FRAME_SAMPLES, FrameKind, Pcm8k
from callfleet_agent.audio.g711 import encode
from callfleet_agent.audio.noise import DEFAULT_DBFS, NoiseFloor
from callfleet_agent.audio.randomness import Randomness
from callfleet_agent.rtp.arithmetic import next_timestamp
from callfleet_agent.rtp.dtmf import Digit, DtmfSender
from callfleet_agent.rtp.format import Format
from callfleet_agent.rtp.jitter import JitterSettings
from callfleet_agent.rtp.latch import Address
from callfleet_agent.rtp.playout import PlayoutQueue
from callfleet_agent.rtp.receiver import MediaReceiver
from callfleet_agent.rtp.reports import MIN_INTERVAL_S, Reporter
from callfleet_agent.rtp.sender import RtpSender


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """What was negotiated. `formats` are what may be received; the first is what is sent.
    `remote` is the address of the session description, None or port 0 for none."""

    formats: tuple[Format, ...]
    telephone_event: int | None = None
    remote: Address | None = None
    remote_rtcp: Address | None = None
    sending: bool = True
    receiving: bool = True
    cname: str = "callfleet"
    noise_dbfs: float = DEFAULT_DBFS
    jitter: JitterSettings = field(default_factory=JitterSettings)
    rtcp_interval_s: float = MIN_INTERVAL_S

    def __post_init__(self) -> None:
        if not self.formats:
            raise ValueError("a call needs at least one format")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTick:
    """One tick of 20 ms. `reference` is what was sent in it; positions are samples."""

    kind: FrameKind
    inbound: Pcm8k
    inbound_position: int
    reference: Pcm8k
    epoch: int
    played_epoch: int
    played_position: int
    credit_position: int
    rtp: tuple[bytes, ...]
    rtcp: bytes | None
    digits: tuple[Digit, ...]
    finished: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStats:
    """A call's counters so far. `lost` and `loss_fraction` are of the current stream."""

    packets_sent: int
    packets_received: int
    lost: int
    loss_fraction: float
    jitter_ms: float
    delay_ms: float
    late: int
    duplicates: int
    discarded: int
    concealed_frames: int
    inserted_frames: int
    dropped_frames: int
    strangers: int
    malformed: int
    unexpected: int
    underruns: int
    skipped_ticks: int
    silent_s: float
    remote_loss_fraction: float
    remote_jitter_ms: float
    rtt_ms: float | None


class MediaSession:
    """Receives, plays and reports. `tick` is called once each 20 ms; everything else at any time
    between ticks. `now` is seconds on one monotonic clock."""

    def __init__(self, settings: MediaSettings, *, rng: Randomness, now: float) -> None:
        self._settings = settings
        self._rng = rng
        self._noise = NoiseFloor(rng, settings.noise_dbfs)
        self._receiver = MediaReceiver(settings.jitter, self._noise, now)
        self._configure(settings, now)
        self._queue = PlayoutQueue()
        self._keys = DtmfSender()
        self._sender = RtpSender(
            ssrc=rng.getrandbits(32), sequence=rng.getrandbits(16), timestamp=rng.getrandbits(32)
        )
        self._reporter = Reporter(
            settings.cname, rng=rng, now=now, minimum_s=settings.rtcp_interval_s
        )
        self._inbound_position = 0
        self._skipped = 0
        self._sent_total = 0

    # what is received

    def receive_rtp(self, data: bytes, source: Address, now: float) -> None:
        """A datagram of the RTP port; what is malformed or a stranger's is dropped and counted."""
        before = self._receiver.ssrc
        collided = self._receiver.receive(data, source, now, ours=self._sender.ssrc)
        if self._receiver.ssrc != before:
            self._reporter.forget_source()
        if collided:
            self._sender.restart(self._rng.getrandbits(32))

    def receive_rtcp(self, data: bytes, source: Address, now: float) -> None:
        """A datagram of the RTCP port, treated likewise."""
        packets = self._receiver.receive_rtcp(data, source, now)
        theirs = self._receiver.ssrc
        self._reporter.receive(packets, self._sender.ssrc, theirs, now)

    @property
    def rtp_destination(self) -> Address | None:
        """Where RTP goes: to where it comes from, or to what was signalled."""
        return self._receiver.latch.source or _usable(self._settings.remote)

    @property
    def rtcp_destination(self) -> Address | None:
        """Where RTCP goes: to where it comes from, to what was signalled, or one port above."""
        if self._receiver.rtcp_source is not None:
            return self._receiver.rtcp_source
        rtp = self.rtp_destination
        signalled = _usable(self._settings.remote)
        if rtp is None:
            return None
        if rtp == signalled and self._settings.remote_rtcp is not None:
            return self._settings.remote_rtcp
        return (rtp[0], rtp[1] + 1)

    @property
    def inbound_position(self) -> int:
        """The position of the next inbound frame."""
        return self._inbound_position

    @property
    def epoch(self) -> int:
        return self._queue.epoch

    def silent_for(self, now: float) -> float:
        """Seconds since the last valid packet of sound or RTCP, or since the session began or a
        hold ended."""
        return now - self._receiver.last_heard

    # what is played

    def push(self, epoch: int, position: int, sound: Pcm8k) -> bool:
        """Queues sound; False when its epoch has ended. Raises ValueError for a gap, and for an
        epoch that has not begun."""
        return self._queue.push(epoch, position, sound)

    def end_of_speech(self, epoch: int, position: int) -> None:
        """An utterance is complete; `MediaTick.finished` tells when it was played."""
        self._queue.end_of_speech(epoch, position)

    def interrupt(self, epoch: int) -> tuple[int, int]:
        """Flushes what is queued and begins `epoch`; the epoch that ended and the position up to
        which it was really played."""
        return self._queue.interrupt(epoch)

    def has_played(self, epoch: int, position: int) -> bool:
        """True when everything up to this point was played, or never will be."""
        return self._queue.has_played(epoch, position)

    def send_digits(self, digits: str, duration_ms: int = 100) -> None:
        """Presses keys, one after another. Raises ValueError for what is no key, and when no
        telephone events were negotiated."""
        if self._settings.telephone_event is None:
            raise ValueError("telephone events were not negotiated")
        self._keys.press(digits, duration_ms)

    @property
    def sending_digits(self) -> bool:
        return self._keys.busy

    # the clock

    def tick(self, now: float, skipped: int = 0) -> MediaTick:
        """20 ms pass, after `skipped` that nobody noticed."""
        if skipped:
            self._skip(skipped)
        position = self._inbound_position
        kind, inbound = self._receiver.frame()
        self._inbound_position += FRAME_SAMPLES
        reference, packets = self._play()
        self._sender.advance(1)
        return MediaTick(
            kind=kind,
            inbound=Pcm8k(inbound),
            inbound_position=position,
            reference=Pcm8k(reference),
            epoch=self._queue.epoch,
            played_epoch=self._queue.epoch,
            played_position=self._queue.played,
            credit_position=self._queue.credit_position,
            rtp=packets,
            rtcp=self._reporter.poll(self._sender, self._receiver.statistics, now),
            digits=self._receiver.digits(now),
            finished=self._queue.finished(),
        )

    def renegotiate(self, settings: MediaSettings, now: float) -> None:
        """A re-offer was answered: other formats, directions or addresses; the first valid
        packet after it may come from a new source."""
        if settings.remote != self._settings.remote:
            self._receiver.forget_rtcp_source()
        if settings.formats[0] != self._settings.formats[0]:
            self._sender.pause()
        self._settings = settings
        self._configure(settings, now)
        self._receiver.latch.reoffer(_usable(settings.remote), now)

    def bye(self, now: float) -> bytes:
        """The RTCP that ends our stream."""
        return self._reporter.bye(self._sender, self._receiver.statistics, now)

    def stats(self, now: float) -> MediaStats:
        """A snapshot."""
        receiver, remote = self._receiver, self._reporter.remote
        counters, source = receiver.jitter.counters, receiver.statistics
        expected = max(1, source.expected) if source else 1
        lost = max(0, source.lost) if source else 0
        return MediaStats(
            packets_sent=self._sent_total,
            packets_received=receiver.packets,
            lost=lost,
            loss_fraction=lost / expected,
            jitter_ms=source.jitter_ms if source else 0.0,
            delay_ms=receiver.jitter.delay_ms,
            late=counters.late,
            duplicates=counters.duplicates,
            discarded=counters.discarded,
            concealed_frames=counters.concealed_frames,
            inserted_frames=counters.inserted_frames,
            dropped_frames=counters.dropped_frames,
            strangers=receiver.strangers,
            malformed=receiver.malformed,
            unexpected=receiver.unexpected,
            underruns=self._queue.underruns,
            skipped_ticks=self._skipped,
            silent_s=self.silent_for(now),
            remote_loss_fraction=remote.fraction_lost,
            remote_jitter_ms=remote.jitter_ms,
            rtt_ms=remote.rtt_ms,
        )

    # inside

    def _configure(self, settings: MediaSettings, now: float) -> None:
        self._receiver.configure(
            {each.payload_type: each.law for each in settings.formats},
            settings.telephone_event,
            now,
            receiving=settings.receiving,
        )
        if self._receiver.latch.source is None:
            self._receiver.latch.signalled = _usable(settings.remote)

    def _skip(self, ticks: int) -> None:
        self._skipped += ticks
        self._inbound_position += ticks * FRAME_SAMPLES
        self._sender.advance(ticks)
        self._keys.skip(ticks)

    def _play(self) -> tuple[bytes, tuple[bytes, ...]]:
        """The frame that the caller gets, and its packet. Nothing is played while on hold."""
        if not self._settings.sending:
            self._sender.pause()
            return bytes(2 * FRAME_SAMPLES), ()
        if (event := self._keys.tick()) is not None:
            packet = self._sender.packet(
                self._settings.telephone_event or 0,
                event.payload,
                timestamp=next_timestamp(self._sender.timestamp, -event.offset),
                marker=event.marker,
            )
            self._sent_total += 1
            return bytes(2 * FRAME_SAMPLES), (packet,)
        frame = self._queue.take()
        if len(frame) < 2 * FRAME_SAMPLES:
            frame += self._noise.take(FRAME_SAMPLES - len(frame) // 2)
        chosen = self._settings.formats[0]
        self._sent_total += 1
        return frame, (self._sender.packet(chosen.payload_type, encode(Pcm8k(frame), chosen.law)),)


def _usable(address: Address | None) -> Address | None:
    """None for an address that media cannot be sent to: none, port 0, or unspecified."""
    if address is None or address[1] == 0 or address[0] in ("0.0.0.0", "::"):  # noqa: S104
        return None
    return address
