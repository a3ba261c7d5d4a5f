"""What a receiver knows of one source (RFC 3550, 6.4.1, A.1, A.3, A.8)."""

from __future__ import annotations

from typing import Final

from callfleet_agent.rtp.arithmetic import SEQUENCE, timestamp_delta

MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = 100
CLOCK_RATE: Final = 8000


class SourceStatistics:
    """Counts the packets of one SSRC. Arrival times are seconds on any monotonic clock."""

    def __init__(self, ssrc: int, sequence: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0  # timestamp units
        self._arrival: float | None = None
        self._timestamp = 0
        self._base = self._highest = sequence
        self._bad: int | None = None
        self._cycles = 0
        self._expected_prior = 0
        self._received_prior = 0

    @property
    def jitter_ms(self) -> float:
        return self.jitter * 1000 / CLOCK_RATE

    @property
    def highest_sequence(self) -> int:
        """Extended by the number of wraps, 32 bits."""
        return self._cycles + self._highest

    @property
    def expected(self) -> int:
        return self.highest_sequence - self._base + 1

    @property
    def lost(self) -> int:
        """Cumulative; negative when there were duplicates."""
        return self.expected - self.received

    def update(self, sequence: int, timestamp: int, now: float, *, measured: bool = True) -> bool:
        """Counts a packet; False when its sequence number makes no sense (one jump is ignored,
        two in a row are a restarted sender). Events are not `measured`: their timestamps are
        those of the beginning of the key."""
        ahead = (sequence - self._highest) % SEQUENCE
        if ahead < MAX_DROPOUT:
            if sequence < self._highest:
                self._cycles += SEQUENCE
            self._highest = sequence
        elif ahead <= SEQUENCE - MAX_MISORDER:
            if sequence != self._bad:
                self._bad = (sequence + 1) % SEQUENCE
                return False
            self._restart(sequence)
        self.received += 1
        if measured:
            self._measure_jitter(timestamp, now)
        return True

    def fraction_lost(self) -> int:
        """Of 256, since the last call (for a report block)."""
        expected = self.expected - self._expected_prior
        received = self.received - self._received_prior
        self._expected_prior, self._received_prior = self.expected, self.received
        lost = expected - received
        if expected <= 0 or lost <= 0:
            return 0
        return min(255, (lost << 8) // expected)

    def _restart(self, sequence: int) -> None:
        self._base = self._highest = sequence
        self._bad = None
        self._cycles = self.received = 0
        self._expected_prior = 0
        self._received_prior = 0

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        arrival = now * CLOCK_RATE
        if self._arrival is not None:
            # Only differences of transit times count, so wraps of the timestamp do not matter.
            passed = timestamp_delta(timestamp, self._timestamp)
            difference = abs(arrival - self._arrival - passed)
            if difference < CLOCK_RATE:  # a jump of the timestamps is not jitter
                self.jitter += (difference - self.jitter) / 16
        self._arrival, self._timestamp = arrival, timestamp
