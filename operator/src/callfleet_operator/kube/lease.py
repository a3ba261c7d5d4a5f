"""Leadership by a Lease, by the monotonic clock.

- A holder counts from the moment *before* it sent the renewal that succeeded: it stops before
  anybody else may start, whatever the network did to the answer.
- A candidate never compares clocks of two machines: it takes the lease when it has watched it
  unchanged for the whole duration by its own clock, or when it is released or absent.
- The epoch is the Lease's count of transitions: it grows with every change of the holder, and a
  restarted process is another holder. Taking over is a PUT with resourceVersion: one of two
  candidates gets 409. The count is never lower than the minutes since EPOCH_ZERO, so that it grows
  also when the Lease was deleted or the cluster restored from a backup.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    KubeError,
)
from callfleet_operator.ports.kinds import LEASE, Kind, Manifest

_log = logging.getLogger(__name__)


# 2023-11-14, Unix time in seconds. Minutes since then fit the Lease's 32 bits for 4,000 years.
EPOCH_ZERO = 1_700_000_000.0


class LeaseClient(Protocol):
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...
    async def create(self, manifest: Manifest) -> Manifest: ...
    async def replace(self, manifest: Manifest) -> Manifest: ...


@dataclass(frozen=True)
class LeaseTerms:
    """Which lease, and how long. `request_timeout_s` must fit twice between renewals and the
    end.
    """

    namespace: str
    name: str
    holder: str
    duration_s: float = 15.0
    renew_s: float = 4.0

    @property
    def request_timeout_s(self) -> float:
        return max(0.5, min(5.0, self.renew_s))


@dataclass
class Lease:
    """One process's view of the lease: `Leadership` for the rest of the operator."""

    client: LeaseClient
    terms: LeaseTerms
    clock: Clock
    random: Callable[[], float]
    _epoch: int | None = None
    _until: float = 0.0
    _held: Manifest | None = None
    _seen: tuple[str, float] = field(default=("", 0.0))

    @property
    def epoch(self) -> int | None:
        return self._epoch if self.remaining_s() > 0 else None

    def remaining_s(self) -> float:
        if self._epoch is None:
            return 0.0
        return max(0.0, self._until - self.clock.monotonic())

    async def acquire(self) -> int:
        """Waits until this process leads, and answers the epoch. Never raises KubeError."""
        while True:
            try:
                async with asyncio.timeout(self.terms.request_timeout_s * 2):
                    if await self._try():
                        assert self._epoch is not None  # noqa: S101 - set by _try
                        return self._epoch
            except (KubeError, TimeoutError) as error:
                self._report(error)
            await self.clock.sleep(self.terms.renew_s * (0.5 + 0.5 * self.random()))

    async def hold(self) -> None:
        """Renews until leadership is lost; then returns. A held lease is needed to begin."""
        while (left := self.remaining_s()) > 0:
            await self.clock.sleep(min(self.terms.renew_s, left))
            try:
                async with asyncio.timeout(min(self.terms.request_timeout_s, self.remaining_s())):
                    if not await self._renew():
                        break
            except (ConflictError, AlreadyExistsError):
                break
            except (KubeError, TimeoutError) as error:
                self._report(error)
        self._epoch = None
        _log.warning("leadership was lost")

    async def release(self) -> None:
        """Gives the lease back, so that the next leader need not wait. Best effort, bounded in
        time.
        """
        held, self._epoch = self._held, None
        if held is None:
            return
        self._held = None
        try:
            async with asyncio.timeout(self.terms.request_timeout_s):
                await self._give_back(held)
            _log.info("the lease was released")
        except (KubeError, TimeoutError) as error:
            self._report(error)

    async def _give_back(self, held: Manifest) -> None:
        """Raises KubeError. A renewal whose answer was lost has made the lease newer than `held`:
        one that is still ours is looked at and given back all the same.
        """
        spec = held["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self.client.replace(held | {"spec": spec})
        except ConflictError:
            found = await self.client.get(LEASE, self.terms.namespace, self.terms.name)
            if found is None or _owner(found) != _owner(held):
                raise
            await self.client.replace(found | {"spec": spec})

    async def _try(self) -> bool:
        sent = self.clock.monotonic()
        found = await self.client.get(LEASE, self.terms.namespace, self.terms.name)
        if found is None:
            return await self._take(sent, None)
        version = str(found["metadata"].get("resourceVersion", ""))
        if version != self._seen[0]:
            self._seen = (version, self.clock.monotonic())
        spec = found.get("spec") or {}
        if not spec.get("holderIdentity"):
            return await self._take(sent, found)
        duration = float(spec.get("leaseDurationSeconds") or self.terms.duration_s)
        if self.clock.monotonic() - self._seen[1] < duration:
            return False
        return await self._take(self.clock.monotonic(), found)

    async def _take(self, sent: float, found: Manifest | None) -> bool:
        transitions = int(((found or {}).get("spec") or {}).get("leaseTransitions") or 0)
        epoch = max(transitions + 1, int((self.clock.wall() - EPOCH_ZERO) // 60))
        spec = self._spec(epoch) | {"acquireTime": self._now()}
        try:
            if found is None:
                written = await self.client.create(self._manifest(spec))
            else:
                written = await self.client.replace(found | {"spec": spec})
        except (ConflictError, AlreadyExistsError):
            return False
        self._hold(written, sent)
        self._epoch = epoch
        _log.info("this process leads", extra={"epoch": self._epoch})
        return True

    async def _renew(self) -> bool:
        assert self._held is not None  # noqa: S101 - hold() is entered with a lease
        sent = self.clock.monotonic()
        held = self._held
        spec = held["spec"] | {"renewTime": self._now()}
        try:
            self._hold(await self.client.replace(held | {"spec": spec}), sent)
        except ConflictError:
            # Our own renewal whose answer was lost, somebody's label, or somebody else's lease.
            found = await self.client.get(LEASE, self.terms.namespace, self.terms.name)
            if found is None or not self._ours(found):
                return False
            self._hold(await self.client.replace(found | {"spec": found["spec"] | spec}), sent)
        return True

    def _ours(self, found: Manifest) -> bool:
        spec = found.get("spec") or {}
        return (spec.get("holderIdentity"), spec.get("leaseTransitions")) == (
            self.terms.holder,
            self._epoch,
        )

    def _hold(self, written: Manifest, sent: float) -> None:
        self._held = written
        self._until = sent + self.terms.duration_s

    def _spec(self, transitions: int) -> Manifest:
        return {
            "holderIdentity": self.terms.holder,
            "leaseDurationSeconds": max(1, round(self.terms.duration_s)),
            "leaseTransitions": transitions,
            "renewTime": self._now(),
        }

    def _manifest(self, spec: Manifest) -> Manifest:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"namespace": self.terms.namespace, "name": self.terms.name},
            "spec": spec,
        }

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _report(self, error: Exception) -> None:
        denied = isinstance(error, ForbiddenError)
        _log.log(
            logging.ERROR if denied else logging.WARNING,
            "the lease could not be read or written; trying again",
            extra={"reason": getattr(error, "reason", type(error).__name__)},
        )


def _owner(lease: Manifest) -> tuple[object, object]:
    spec = lease.get("spec") or {}
    return spec.get("holderIdentity"), spec.get("leaseTransitions")
