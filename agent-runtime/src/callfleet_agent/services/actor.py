"""Who makes the request that this task works on: the identity that the edge has let in."""

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

NOBODY: Final = "none"
_acting: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default=NOBODY)
_relayed: contextvars.ContextVar[bool] = contextvars.ContextVar("relayed", default=False)


def acts(uri: str, *, relayed: bool = False) -> None:
    """From here on this task, and tasks that it starts, work for this identity; `relayed`: another
    replica has brought its request."""
    _acting.set(uri)
    _relayed.set(relayed)


@contextmanager
def acts_for(uri: str) -> Iterator[None]:
    """Within the block this task works for this identity: for what is done later, or by a task that
    serves all."""
    token = _acting.set(uri)
    try:
        yield
    finally:
        _acting.reset(token)


def acting() -> str:
    """The identity, "none" outside of a request."""
    return _acting.get()


def is_relayed() -> bool:
    """Whether another replica has brought the request: it goes no further."""
    return _relayed.get()
