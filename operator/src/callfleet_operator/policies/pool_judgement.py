"""A verdict on a pool: all its conditions at once, since they follow from one cause."""

from collections.abc import Callable
from dataclasses import dataclass

from .conditions import Truth
from .pool_view import PoolView


@dataclass(frozen=True)
class Judgement:
    """What Ready, Progressing and Degraded are, and why. With `beside` it is the fault there that
    Progressing and Degraded tell of.
    """

    reason: str
    message: str
    ready: Truth
    progressing: Truth = "False"
    degraded: Truth = "False"
    beside: "Judgement | None" = None


Check = Callable[[PoolView], Judgement | None]


def fault(reason: str, message: str) -> Judgement:
    """Somebody has to mend something before it works."""
    return Judgement(reason, message, "False", degraded="True")


def first(checks: tuple[Check, ...], view: PoolView) -> Judgement | None:
    """The first check that has something to say."""
    return next((found for check in checks if (found := check(view)) is not None), None)
