"""The trace of one call: a span for the call, below it one for each turn, below that its stages.

Workers know nothing of it: they tell how long the stages took, and the spans are drawn from that.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from callfleet_agent.tracing import NO_SPAN, Span, Value, tracer

_STAGES: Final = (
    ("endpointing", ("endpointing_ms",)),
    ("recognition", ("recognition_ms",)),
    ("dialog", ("model_ms", "dialog_ms")),
    ("bank", ("bank_ms",)),
)
_WITHIN: Final = "recognition"  # runs while the end of speech is awaited, and ends with it


class TracedCall:
    """One call's. Everything returns at once while nobody traces."""

    def __init__(self, call_id: str, parent: str, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._on = tracer().on
        self._call: Span = tracer().begin("call", parent) if self._on else NO_SPAN
        self._turn: Span = NO_SPAN
        self._call.set("call.id", call_id)

    @property
    def traceparent(self) -> str:
        """The call's span, for workers and for the other side of the call."""
        return self._call.traceparent

    def turn(self, fields: Mapping[str, object]) -> None:
        """A worker has told of a turn: it began when the caller fell silent, or when the dialog
        was asked, and lasts until its answer is heard."""
        if not self._on:
            return
        self._turn.end()
        now, taken = self._now(), _taken(fields)
        began = now - sum(seconds for name, seconds in taken if name != _WITHIN)
        self._turn = span = tracer().begin("turn", self.traceparent, began)
        for name in ("turn", "state", "result"):
            value = fields.get(name)
            if isinstance(value, str | int):
                span.set("turn.number" if name == "turn" else f"turn.{name}", value)
        at = began
        for name, seconds in taken:
            first = at - seconds if name == _WITHIN else at
            stage = tracer().begin(name, span.traceparent, first)
            stage.set("stage", name)
            at = first + seconds
            stage.end(at)

    def heard(self, first_sound_s: float | None) -> None:
        """The agent speaks: the turn is answered."""
        if not self._on or self._turn is NO_SPAN:
            return
        now = self._now()
        if first_sound_s is not None:
            speech = tracer().begin("speech", self._turn.traceparent, now - first_sound_s)
            speech.set("stage", "speech")
            speech.end(now)
        self._turn.end(now)
        self._turn = NO_SPAN

    def interrupted(self) -> None:
        """The caller spoke into the answer."""
        self._turn.set("turn.interrupted", True)

    def end(self, about: Mapping[str, Value | None], failed: str = "") -> None:
        """The call is over. Nothing may be told after that."""
        self._turn.end()
        self._turn = NO_SPAN
        for name, value in about.items():
            if value is not None:
                self._call.set(f"call.{name}", value)
        if failed:
            self._call.fail(failed)
        self._call.end()


def _taken(fields: Mapping[str, object]) -> list[tuple[str, float]]:
    """The stages that the event tells of, in their order, with their seconds."""
    taken = []
    for name, keys in _STAGES:
        told = next((fields[key] for key in keys if key in fields), None)
        if isinstance(told, int | float):
            taken.append((name, max(0.0, told / 1000)))
    return taken
