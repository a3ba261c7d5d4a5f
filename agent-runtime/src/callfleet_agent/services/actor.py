"""Who makes the request that this task works on: the identity that the edge has let in."""

import contextvars
from typing import Final

NOBODY: Final = "none"
_acting: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default=NOBODY)


def acts(uri: str) -> None:
    """From here on this task, and tasks that it starts, work for this identity."""
    _acting.set(uri)


def acting() -> str:
    """The identity, "none" outside of a request."""
    return _acting.get()
