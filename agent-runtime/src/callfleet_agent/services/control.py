"""The control stream: the operator says what it wants of the pod, the pod says what it is.

Reports go out in answer to every intent, on change at most once a second, and every ten seconds to
keep the stream alive. Only the operator's certificate is served, an older epoch is refused, and a
second stream of the same or a later leader ends the first.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc
from callfleet_agent.services.tls import OPERATOR_IDENTITY, peer_identities
from callfleet_agent.session import PodIntent, StaleEpochError

KEEPALIVE_S: Final = 10.0
SHORTEST_S: Final = 1.0
_log = logging.getLogger(__name__)

_INTENTS: Final = {
    fleet_pb2.POD_STATE_SERVING: PodIntent.SERVING,
    fleet_pb2.POD_STATE_DRAINING: PodIntent.DRAINING,
}


class ControlledPod(Protocol):
    """The pod as the control stream sees it."""

    @property
    def uid(self) -> str:
        """metadata.uid of the pod."""

    def want(self, epoch: int, intent: PodIntent, *, row_confirmed_inactive: bool) -> None:
        """Take in what the operator wants. Raises StaleEpochError."""

    def report(self) -> fleet_pb2.PodReport:
        """What the pod is now, without a correlation id."""

    @property
    def version(self) -> int:
        """Grows with every change of what `report` says."""

    async def changed_since(self, version: int) -> None:
        """Return once `version` is no longer this one."""


@dataclass(slots=True)
class _Stream:
    """The stream that is served, so that a later one can end it."""

    epoch: int = -1
    superseded: asyncio.Event = field(default_factory=asyncio.Event)


class ControlService(fleet_pb2_grpc.AgentPodServiceServicer):
    """AgentPodService for one pod. `open_to_all` is for a connection without TLS, on loopback."""

    def __init__(self, pod: ControlledPod, *, open_to_all: bool = False) -> None:
        self._pod = pod
        self._open_to_all = open_to_all
        self._current = _Stream()

    async def Control(  # noqa: N802, the name is the protocol's
        self,
        request_iterator: AsyncIterator[fleet_pb2.PodIntent],
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        """Serve one stream of the operator."""
        if not self._open_to_all and OPERATOR_IDENTITY not in peer_identities(
            context.auth_context()
        ):
            _log.warning("a control stream of a stranger was refused")
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this identity is not served")
        stream = _Stream()
        wake = asyncio.Queue[str | None](maxsize=64)
        reader = asyncio.create_task(self._read(request_iterator, stream, wake))
        try:
            async for report in self._reports(reader, wake, stream):
                yield report
        except _RefusedError as refused:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refused))
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "is no intent")
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reader
            if self._current is stream:
                self._current = _Stream(epoch=stream.epoch)

    async def _read(
        self,
        intents: AsyncIterator[fleet_pb2.PodIntent],
        stream: _Stream,
        wake: "asyncio.Queue[str | None]",
    ) -> None:
        async for intent in intents:
            self._take(intent, stream)
            await wake.put(intent.correlation_id)

    def _take(self, intent: fleet_pb2.PodIntent, stream: _Stream) -> None:
        if intent.pod_uid and intent.pod_uid != self._pod.uid:
            raise _RefusedError("another pod is meant")
        wanted = _INTENTS.get(intent.state)
        if wanted is None:
            raise _RefusedError("the wanted state is not set")
        try:
            self._pod.want(
                intent.epoch, wanted, row_confirmed_inactive=intent.row_confirmed_inactive
            )
        except StaleEpochError as error:
            _log.warning(
                "an intent of a former leader was refused",
                extra={"epoch": error.offered, "accepted_epoch": error.accepted},
            )
            raise _RefusedError(str(error)) from error
        stream.epoch = intent.epoch
        former = self._current
        if former is not stream:
            self._current = stream
            former.superseded.set()

    async def _reports(
        self,
        reader: "asyncio.Task[None]",
        wake: "asyncio.Queue[str | None]",
        stream: _Stream,
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        """Reports for intents at once, and for changes at most once a second."""
        loop = asyncio.get_running_loop()
        last_sent, told = -SHORTEST_S, self._pod.version
        while True:
            asked = asyncio.ensure_future(wake.get())
            changed = asyncio.ensure_future(self._pod.changed_since(told))
            superseded = asyncio.ensure_future(stream.superseded.wait())
            waits: set[asyncio.Future[Any]] = {reader, asked, changed, superseded}
            try:
                done, _ = await asyncio.wait(
                    waits, timeout=KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED
                )
                if done == {changed}:
                    pause = last_sent + SHORTEST_S - loop.time()
                    done, _ = await asyncio.wait(
                        {reader, asked, superseded},
                        timeout=max(0.0, pause),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                if superseded in done:
                    raise _RefusedError("a later stream took over")
                if reader in done and asked not in done:
                    await reader  # raises what refused the stream
                    return
                told, report = self._pod.version, self._pod.report()
                report.correlation_id = asked.result() or "" if asked in done else ""
            finally:
                for waiting in (asked, changed, superseded):
                    waiting.cancel()
            last_sent = loop.time()
            yield report


class _RefusedError(Exception):
    """The stream cannot go on; the text is for the operator."""
