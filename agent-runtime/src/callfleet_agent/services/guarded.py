"""Requests to one of the platform's services within a limit: retries, and a circuit breaker.

Only for what may come twice: every request that goes this way is idempotent by an id, or a read.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from callfleet_agent.chain import CircuitBreaker
from callfleet_agent.services.client import NotReadyError, Service
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.refused import Refused, refused
from callfleet_agent.time_limit import at_most

_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
# gRPC says these by itself of a connection that broke; said by the service they are its word.
_BROKEN: Final = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
)


class ServiceAwayError(ServicesError):
    """The service cannot be asked; `code` is a constant word for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(f"a service of the platform cannot be asked: {code}")
        self.code = code


class ServiceRefusedError(ServicesError):
    """The service said no; `refused` has its word."""

    def __init__(self, said: Refused) -> None:
        super().__init__(f"a service of the platform refused: {said.code or said.status.name}")
        self.refused = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`limit_s` is that of a whole request, its retries included. `again`: words of the service
    after which it is asked again; `final`: words of a service that need no second try although the
    status would allow one."""

    limit_s: float = 5.0
    retries: int = 3
    backoff_s: float = 0.1
    backoff_max_s: float = 1.0
    again: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Timing:
    """Clock, sleep and randomness (0 to 1)."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Guarded:
    """One service, guarded. The breaker opens after 5 failures in a row, for 30 seconds."""

    def __init__(self, service: Service, guard: Guard, timing: Timing | None = None) -> None:
        self._service = service
        self._guard = guard
        self._timing = timing or Timing()
        self._breaker = CircuitBreaker()

    @property
    def circuit(self) -> str:
        """The breaker's state now."""
        return self._breaker.state(self._timing.clock()).value

    async def ask(self, stub: Any, rpc: str, request: Any, correlation_id: str) -> Any:
        """The service's answer.

        Raises:
            ServiceAwayError: it cannot be reached, or not in time.
            ServiceRefusedError: it said no.
        """
        try:
            async with at_most(self._guard.limit_s):
                return await self._retried(stub, rpc, request, correlation_id)
        except TimeoutError:
            self._breaker.failed(self._timing.clock())
            raise ServiceAwayError("slow") from None

    async def _retried(self, stub: Any, rpc: str, request: Any, correlation_id: str) -> Any:
        wait_s, ends_at = self._guard.backoff_s, self._timing.clock() + self._guard.limit_s
        for left in range(self._guard.retries, -1, -1):
            left_s = max(0.01, ends_at - self._timing.clock())
            try:
                return await self._once(stub, rpc, request, correlation_id, left_s)
            except ServiceAwayError as error:
                if error.code == "circuit_open" or not left:
                    raise
            except ServiceRefusedError as error:
                if error.refused.code not in self._guard.again or not left:
                    raise
            await self._timing.sleep(wait_s * (0.5 + self._timing.random() / 2))
            wait_s = min(wait_s * 2, self._guard.backoff_max_s)
        raise AssertionError("the last try has answered or raised")  # pragma: no cover

    async def _once(
        self, stub: Any, rpc: str, request: Any, correlation_id: str, limit_s: float
    ) -> Any:
        if not self._breaker.admits(self._timing.clock()):
            raise ServiceAwayError("circuit_open")
        try:
            call = getattr(self._service.stub(stub), rpc)
            metadata = self._service.metadata(correlation_id)
            answer = await call(request, metadata=metadata, timeout=limit_s)
        except NotReadyError:
            self._breaker.failed(self._timing.clock())
            raise ServiceAwayError("not_ready") from None
        except grpc.aio.AioRpcError as error:
            raise self._judged(refused(error)) from None
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return answer

    def _judged(self, said: Refused) -> ServicesError:
        bare = not said.is_the_services
        away = said.status in _AWAY or (bare and said.status in _BROKEN)
        if away and said.code not in self._guard.final:
            self._breaker.failed(self._timing.clock())
            return ServiceAwayError(said.code.lower() or said.status.name.lower())
        self._breaker.succeeded()
        return ServiceRefusedError(said)
