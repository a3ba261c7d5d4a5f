"""What is traced, whoever records it; and the tracer that records nothing."""

from typing import Final, Protocol

Value = str | int | float | bool


class Span(Protocol):
    """One piece of work. Attributes are codes and numbers, never content."""

    @property
    def traceparent(self) -> str:
        """The span as a parent for others, empty where nothing is recorded."""
        ...

    def set(self, name: str, value: Value) -> None:
        """Note an attribute; one that is not on the list of those that may be is left out."""
        ...

    def fail(self, code: str) -> None:
        """It did not succeed."""
        ...

    def end(self, at: float | None = None) -> None:
        """It is over, now or at a moment (seconds since the epoch)."""
        ...


class Tracer(Protocol):
    """Begins spans."""

    @property
    def on(self) -> bool:
        """Whether anything is recorded."""
        ...

    def begin(self, name: str, parent: str = "", at: float | None = None) -> Span:
        """A span below `parent`, a traceparent, or of a trace of its own; begun now or at a moment
        (seconds since the epoch)."""
        ...

    def close(self) -> None:
        """Send what was not sent yet."""
        ...


class _NoSpan:
    """Nothing is recorded."""

    __slots__ = ()
    traceparent = ""

    def set(self, name: str, value: Value) -> None:
        """Nothing."""

    def fail(self, code: str) -> None:
        """Nothing."""

    def end(self, at: float | None = None) -> None:
        """Nothing."""


NO_SPAN: Final = _NoSpan()


class NoTracer:
    """Records nothing."""

    __slots__ = ()
    on = False

    def begin(self, name: str, parent: str = "", at: float | None = None) -> Span:  # noqa: ARG002
        """The span that is none."""
        return NO_SPAN

    def close(self) -> None:
        """Nothing."""
