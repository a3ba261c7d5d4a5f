"""The account of one direction of speech: its epoch, how far it was sent, and how far it may go.

Both sides keep the same account, the worker of what it sent, the connector of what it received.
"""

from __future__ import annotations

from dataclasses import dataclass

from callfleet_agent.link.messages import CREDIT_SAMPLES


@dataclass(slots=True)
class SpeechAccount:
    """Positions are samples of 8 kHz from the beginning of the epoch. A new epoch starts with
    credit for 200 ms. Methods raise ValueError when a rule is broken and then change nothing."""

    epoch: int = 0
    end: int = 0
    credit: int = CREDIT_SAMPLES

    def open(self, epoch: int) -> None:
        self.epoch, self.end, self.credit = epoch, 0, CREDIT_SAMPLES

    def raise_to(self, epoch: int) -> None:
        """Interrupt."""
        if epoch <= self.epoch:
            raise ValueError(f"epoch {epoch} does not raise {self.epoch}")
        self.open(epoch)

    def is_stale(self, epoch: int) -> bool:
        """True for an older epoch; raises ValueError for one that has not begun."""
        if epoch > self.epoch:
            raise ValueError(f"epoch {epoch} has not begun, {self.epoch} has")
        return epoch < self.epoch

    def add(self, position: int, samples: int) -> None:
        """Audio of the current epoch."""
        if position != self.end:
            raise ValueError(f"audio at {position} does not continue at {self.end}")
        if position + samples > self.credit:
            raise ValueError(f"audio up to {position + samples} exceeds the credit {self.credit}")
        self.end = position + samples

    def check_reached(self, position: int) -> None:
        """A mark (end of speech, hang-up) in the current epoch."""
        if position > self.end:
            raise ValueError(f"position {position} is beyond the audio's end {self.end}")

    def grant(self, credit: int) -> None:
        """A tick's credit for the current epoch."""
        if credit < self.credit:
            raise ValueError(f"credit {credit} takes back {self.credit}")
        self.credit = credit

    @property
    def writable(self) -> int:
        return self.credit - self.end
