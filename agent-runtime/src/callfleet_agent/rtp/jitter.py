"""The jitter buffer: packets in as they come, one frame of 20 ms out on each tick.

Sound is kept by timestamp, so any packet length is cut into our frames. `slack` is how early a
packet comes before its first sample is due; its mean is steered to a target that follows the
interarrival jitter (RFC 3550, 6.4.1), by leaving out or repeating frames of silence. That also
absorbs the drift between the sender's clock and ours. When nothing is queued the buffer waits,
concealing, and does not move on: what comes late is played late rather than lost.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from callfleet_agent.audio import FRAME_SAMPLES, FrameKind
from callfleet_agent.audio.level import rms
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.rtp.arithmetic import TIMESTAMP, sequence_delta, timestamp_delta
from callfleet_agent.rtp.concealment import Concealer

MAX_WAIT: Final = 1600  # samples of concealment before the stream counts as paused
SILENCE_RMS: Final = 100.0  # about -50 dBFS
MAX_FLOOR_RMS: Final = 580.0  # about -35 dBFS
_FLOOR_RISE = 1.005  # for each frame: doubles in 2.8 s
_RECENT = 512
_TOLERANCE = 0.75 * FRAME_SAMPLES
_SMOOTHING = 1 / 32
_TARGET_FALL = 0.998  # for each packet: halves in 7 s
_JITTERS = 3.0  # the target in units of jitter: 3.4 standard deviations of a normal delay


class Arrival(Enum):
    """What became of a packet."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class JitterSettings:
    """The bounds of the playout delay, and how much may be queued before it is cut."""

    min_ms: int = 20
    max_ms: int = 200
    backlog_ms: int = 400


@dataclass(slots=True)
class JitterCounters:
    """Packets that were of no use, and frames that were made up, repeated or left out."""

    late: int = 0
    duplicates: int = 0
    discarded: int = 0
    concealed_frames: int = 0
    inserted_frames: int = 0
    dropped_frames: int = 0
    resyncs: int = 0


@dataclass(slots=True, order=True)
class _Piece:
    start: int
    end: int = field(compare=False)
    data: bytes = field(compare=False)
    follows_pause: bool = field(compare=False)


class JitterBuffer:
    """Timestamps inside are unwrapped 8 kHz samples; `cursor` is the next one to be played, None
    while the stream is paused or has not begun."""

    def __init__(self, settings: JitterSettings, noise: NoiseFloor) -> None:
        self.counters = JitterCounters()
        self._settings = settings
        self._concealer = Concealer(noise)
        self._pieces: list[_Piece] = []
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._highest: int | None = None
        self._last_end = 0
        self._cursor: int | None = None
        self._waited = 0
        self._paused = False
        self._target = settings.min_ms * 8.0
        self._mean_slack = self._target
        self._level = _Level(noise.take(FRAME_SAMPLES))

    @property
    def target_ms(self) -> float:
        return self._target / 8

    @property
    def delay_ms(self) -> float:
        """The mean time from a packet's arrival until its first sample is due."""
        return self._mean_slack / 8

    def reset(self) -> None:
        """Another stream begins: its numbers have nothing to do with those so far."""
        self._pieces.clear()
        self._recent.clear()
        self._highest = None
        self._cursor = None

    def expect_pause(self) -> None:
        """The sender is busy with a key: what is missing until its next sound is a pause."""
        self._paused = True

    def push(
        self, sequence: int, timestamp: int, data: bytes, *, marker: bool, jitter: float
    ) -> Arrival:
        """A packet's sound (s16le); `jitter` is the stream's, in timestamp units."""
        self._follow_jitter(jitter)
        if self._is_repeated(sequence):
            self.counters.duplicates += 1
            return Arrival.DUPLICATE
        self._recent.append(sequence)
        start = self._last_end + timestamp_delta(timestamp, self._last_end % TIMESTAMP)
        follows_pause = self._follow(sequence, start, len(data) // 2, marker=marker)
        piece = _Piece(start, start + len(data) // 2, data, follows_pause)
        cursor = self._due(piece)
        self._mean_slack += (start - cursor - self._mean_slack) * _SMOOTHING
        if piece.end <= cursor:
            self.counters.late += 1
            return Arrival.LATE
        insort(self._pieces, piece)
        return Arrival.QUEUED

    def pop(self) -> tuple[FrameKind, bytes]:
        """The frame of this tick, 160 samples."""
        if self._cursor is None:
            return FrameKind.NOISE, self._concealer.silence(FRAME_SAMPLES)
        self._cursor = self._steered(self._limited(self._cursor))
        if self._repeats_silence():
            return FrameKind.CONCEALED, self._level.frame
        kind, data = self._frame(self._cursor)
        self._level.watch(kind, data)
        self.counters.concealed_frames += kind is FrameKind.CONCEALED
        return kind, data

    # arrival

    def _is_repeated(self, sequence: int) -> bool:
        """Only a number that is not ahead can have been there, so the usual packet is cheap."""
        ahead = self._highest is None or sequence_delta(sequence, self._highest) > 0
        return not ahead and sequence in self._recent

    def _follow_jitter(self, jitter: float) -> None:
        """The target rises at once and falls slowly, so that frames are not left out and put in
        again all the time."""
        bounds = self._settings
        wanted = max(_JITTERS * jitter, self._target * _TARGET_FALL)
        self._target = min(max(wanted, bounds.min_ms * 8.0), bounds.max_ms * 8.0)

    def _follow(self, sequence: int, start: int, samples: int, *, marker: bool) -> bool:
        """Moves the highest sequence number; whether the sender paused before this packet."""
        if self._highest is None:
            pause = True
        else:
            ahead = sequence_delta(sequence, self._highest)
            if ahead <= 0:
                return False
            gap = start - self._last_end
            if gap < -FRAME_SAMPLES:  # sequence numbers go on, timestamps go back
                self._resync()
            pause = marker or self._paused or self._cursor is None or (ahead == 1 and gap > 0)
        self._highest, self._last_end, self._paused = sequence, start + samples, False
        return pause

    def _resync(self) -> None:
        self._pieces.clear()
        self._cursor = None
        self.counters.resyncs += 1

    def _due(self, piece: _Piece) -> int:
        """The cursor, set anew where a talkspurt begins and moved over what was waited for."""
        begins = piece.follows_pause and self._waited and not self._pieces
        if self._cursor is None or begins:
            self._cursor = piece.start - self._whole_frames(self._target)
            self._mean_slack = float(piece.start - self._cursor)
            self._waited = 0
        elif self._waited and piece.end > self._cursor:
            self._cursor = max(self._cursor, min(piece.start, self._cursor + self._waited))
            self._waited = 0
        return self._cursor

    @staticmethod
    def _whole_frames(samples: float) -> int:
        """Rounded, so that the sender's frames of 20 ms stay whole."""
        return max(1, round(samples / FRAME_SAMPLES)) * FRAME_SAMPLES

    # playout

    def _frame(self, cursor: int) -> tuple[FrameKind, bytes]:
        head = self._pieces[0] if self._pieces else None
        if head and head.start == cursor and head.end == cursor + FRAME_SAMPLES:
            del self._pieces[0]
            self._cursor = head.end
            return FrameKind.REAL, self._concealer.real(head.data)
        return self._assemble(cursor)

    def _assemble(self, cursor: int) -> tuple[FrameKind, bytes]:
        """A frame of what there is: parts of packets, and something where they are missing."""
        data, real, made_up = b"", 0, False
        while (missing := FRAME_SAMPLES - len(data) // 2) > 0:
            head = self._pieces[0] if self._pieces else None
            if head and head.start <= cursor:
                part = head.data[2 * (cursor - head.start) :][: 2 * missing]
                if part:
                    data += self._concealer.real(part)
                    cursor += len(part) // 2
                    real += len(part) // 2
                if cursor >= head.end:
                    del self._pieces[0]
                continue
            pause = head.follows_pause if head else self._paused
            samples = min(missing, head.start - cursor) if head else missing
            made_up |= not (pause or self._concealer.faded)
            data += self._concealer.silence(samples) if pause else self._concealer.fill(samples)
            if head:
                cursor += samples
            else:
                self._waited += samples
        self._cursor = cursor
        if self._waited > MAX_WAIT:
            self._cursor, self._waited = None, 0
        return _kind(real, made_up=made_up), data

    # steering

    def _limited(self, cursor: int) -> int:
        """Gives up what is too old after a burst, or a jump of the timestamps."""
        if not self._pieces or self._pieces[-1].end - cursor <= self._settings.backlog_ms * 8:
            return cursor
        newest = self._pieces[-1]
        cursor = newest.start - self._whole_frames(self._target)
        self._mean_slack = float(newest.start - cursor)
        before = len(self._pieces)
        self._pieces = [piece for piece in self._pieces if piece.end > cursor]
        self.counters.discarded += before - len(self._pieces)
        self.counters.resyncs += 1
        return cursor

    def _steered(self, cursor: int) -> int:
        """Leaves out a frame of silence when packets come too early by most of one."""
        if self._mean_slack - self._target < _TOLERANCE:
            return cursor
        after = cursor + FRAME_SAMPLES
        ahead = self._peek(cursor)
        if len(ahead) < 4 * FRAME_SAMPLES or not self._level.is_silent(ahead[: 2 * FRAME_SAMPLES]):
            return cursor
        self._pieces = [piece for piece in self._pieces if piece.end > after]
        self._mean_slack -= FRAME_SAMPLES
        self.counters.dropped_frames += 1
        return after

    def _peek(self, cursor: int) -> bytes:
        """Up to two frames from the cursor on, as far as nothing is missing."""
        data = b""
        for piece in self._pieces:
            if piece.start > cursor + len(data) // 2 or len(data) >= 4 * FRAME_SAMPLES:
                break
            data += piece.data[2 * (cursor + len(data) // 2 - piece.start) :]
        return data[: 4 * FRAME_SAMPLES]

    def _repeats_silence(self) -> bool:
        """Plays a silent frame again when packets come too late by most of one."""
        due = self._target - self._mean_slack >= _TOLERANCE
        if not (due and self._pieces and self._level.quiet):
            return False
        self._mean_slack += FRAME_SAMPLES
        self.counters.inserted_frames += 1
        return True


class _Level:
    """What counts as silence on this line: little in itself, or near the quietest of late."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.quiet = False
        self._floor = SILENCE_RMS / 2

    def watch(self, kind: FrameKind, frame: bytes) -> None:
        """Only real frames tell of the line, and only they are played again."""
        self.quiet = False
        if kind is FrameKind.REAL:
            level = rms(frame)
            lowest = min(max(level, SILENCE_RMS / 2), self._floor * _FLOOR_RISE)
            self._floor = min(lowest, MAX_FLOOR_RMS)
            self.frame, self.quiet = frame, level <= self._threshold

    def is_silent(self, frame: bytes) -> bool:
        return rms(frame) <= self._threshold

    @property
    def _threshold(self) -> float:
        return 2 * self._floor


def _kind(real: int, *, made_up: bool) -> FrameKind:
    if real == FRAME_SAMPLES:
        return FrameKind.REAL
    return FrameKind.CONCEALED if real or made_up else FrameKind.NOISE
