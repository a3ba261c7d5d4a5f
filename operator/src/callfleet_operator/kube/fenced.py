"""Writes of a leader, and of nobody else.

Every write checks the epoch, and its time limit ends before the lease can end: what this process
sends, it sends while no other process may lead. What is already on its way when a process is frozen
carries a resourceVersion, which a newer leader's write makes stale.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from callfleet_operator.ports.errors import NotLeaderError, UnavailableError
from callfleet_operator.ports.kinds import Manifest
from callfleet_operator.ports.kube import KubeWriter, Ref
from callfleet_operator.ports.leadership import Leadership

T = TypeVar("T")


class Writes(KubeWriter, Protocol):
    """The unfenced client."""


@dataclass(frozen=True)
class FencedWriter:
    """The KubeWriter of one term of leadership."""

    client: Writes
    leadership: Leadership
    epoch: int
    timeout_s: float = 10.0

    async def apply(self, manifest: Manifest) -> Manifest:
        return await self._fenced(lambda: self.client.apply(manifest))

    async def create(self, manifest: Manifest) -> Manifest:
        return await self._fenced(lambda: self.client.create(manifest))

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        await self._fenced(
            lambda: self.client.delete(ref, uid=uid, resource_version=resource_version)
        )

    async def patch(
        self, ref: Ref, patch: Manifest, *, subresource: str = "", strategic: bool = False
    ) -> Manifest:
        return await self._fenced(
            lambda: self.client.patch(ref, patch, subresource=subresource, strategic=strategic)
        )

    async def _fenced(self, request: Callable[[], Awaitable[T]]) -> T:
        if self.leadership.epoch != self.epoch:
            raise NotLeaderError
        try:
            async with asyncio.timeout(min(self.timeout_s, self.leadership.remaining_s())):
                return await request()
        except TimeoutError:
            raise UnavailableError(0, "Timeout", "no answer in time") from None
