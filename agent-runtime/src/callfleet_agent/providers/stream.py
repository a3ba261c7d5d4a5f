"""The asyncio edge of a turn: starts and cancels requests as `chain.Turn` says, no more."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from callfleet_agent.chain import (
    Action,
    Cancel,
    Deliver,
    Exhausted,
    Fault,
    Finished,
    Member,
    Start,
    Turn,
)
from callfleet_agent.providers.errors import ExhaustedError, ProviderError
from callfleet_agent.providers.ports import Connected
from callfleet_agent.time_limit import until

T = TypeVar("T")
Ask = Callable[[Member, Connected], AsyncIterator[T]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """A piece of the answer. `anew`: what came before it broke off, and this begins again."""

    value: T
    member: Member
    attempt: int
    anew: bool


class _Kind(Enum):
    CONNECTED = auto()
    PIECE = auto()
    END = auto()
    FAULT = auto()


@dataclass(frozen=True, slots=True)
class _Event(Generic[T]):
    kind: _Kind
    attempt: int
    at: float
    value: T | None = None
    error: ProviderError | None = None


class _Requests(Generic[T]):
    """The requests of one turn, each a task that puts what happens into one queue."""

    def __init__(self, ask: Ask[T]) -> None:
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.events: asyncio.Queue[_Event[T]] = asyncio.Queue()

    def start(self, attempt: int, member: Member) -> None:
        self._tasks[attempt] = self._loop.create_task(self._run(attempt, member))

    def cancel(self, attempt: int) -> None:
        self._tasks[attempt].cancel()

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _put(
        self,
        kind: _Kind,
        attempt: int,
        value: T | None = None,
        error: ProviderError | None = None,
    ) -> None:
        self.events.put_nowait(_Event(kind, attempt, self._loop.time(), value, error))

    async def _run(self, attempt: int, member: Member) -> None:
        try:
            async for value in self._ask(member, lambda: self._put(_Kind.CONNECTED, attempt)):
                self._put(_Kind.PIECE, attempt, value)
            self._put(_Kind.END, attempt)
        except ProviderError as error:
            self._put(_Kind.FAULT, attempt, error=error)
        except Exception as error:
            # Whatever an adapter did not expect is a failure of its provider, not of the call. The
            # text of the error may hold what was said: its type is enough.
            _log.exception(
                "an adapter failed", extra={"error": type(error).__name__}, exc_info=False
            )
            self._put(_Kind.FAULT, attempt, error=ProviderError(Fault.MALFORMED))


async def stream(
    turn: Turn, ask: Ask[T], ahead: Callable[[], float] = lambda: 0.0
) -> AsyncGenerator[Piece[T], None]:
    """The pieces of a turn's answer. To be closed when it is not read to its end. `ahead`: for how
    many seconds what was given will last.

    Raises ExhaustedError when nobody gave a whole answer.
    """
    loop = asyncio.get_running_loop()
    requests = _Requests(ask)
    try:
        actions = turn.begin(loop.time())
        _do(actions, requests)
        while True:
            if actions and isinstance(actions[-1], Finished):
                return
            if actions and isinstance(actions[-1], Exhausted):
                raise ExhaustedError(actions[-1].fault)
            event = await _next(requests, turn)
            actions = (
                turn.time_passed(loop.time(), ahead()) if event is None else _tell(turn, event)
            )
            _do(actions, requests)
            for action in actions:
                if isinstance(action, Deliver) and event is not None and event.value is not None:
                    member = turn.member(action.attempt)
                    yield Piece(event.value, member, action.attempt, action.anew)
    finally:
        if not turn.over:
            turn.cancelled(loop.time())
        for failure in turn.failures:
            _log.warning(
                "a provider failed", extra={"pool": failure.member, "fault": failure.fault.value}
            )
        await requests.close()


async def _next(requests: _Requests[T], turn: Turn) -> _Event[T] | None:
    """What happened, in order; None when a time is up and nothing had happened before."""
    if not requests.events.empty():
        return requests.events.get_nowait()
    try:
        async with until(turn.due):
            return await requests.events.get()
    except TimeoutError:
        return None


def _tell(turn: Turn, event: _Event[T]) -> list[Action]:
    match event.kind:
        case _Kind.CONNECTED:
            return turn.connected(event.attempt, event.at)
        case _Kind.PIECE:
            return turn.piece(event.attempt, event.at)
        case _Kind.END:
            return turn.ended(event.attempt, event.at)
        case _Kind.FAULT:
            error = event.error or ProviderError(Fault.MALFORMED)
            return turn.failed(event.attempt, error.fault, event.at, error.retry_after_s)


def _do(actions: list[Action], requests: _Requests[T]) -> None:
    for action in actions:
        if isinstance(action, Start):
            requests.start(action.attempt, action.member)
        elif isinstance(action, Cancel):
            requests.cancel(action.attempt)
