"""Who is told when a provider of a call fails."""

from collections.abc import Callable

from callfleet_agent.chain import Failure
from callfleet_operator.model.engines import Stage

Told = Callable[[Stage, Failure], None]


def untold(stage: Stage, failure: Failure) -> None:
    """Nobody."""
