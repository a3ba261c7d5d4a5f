"""All streams to pods: the PodLink of a leader's term.

Each pod that is wanted has one task: dial, send the wanted state at once and on every change, take
reports; when the stream ends, dial again after a growing delay with jitter. A pod that cannot be
heard keeps its last figures. An intent that is unchanged is sent again every `repeat_s`, which also
tells a half-open connection.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

from callfleet.v1 import fleet_pb2
from callfleet_operator.pods.dial import Dialer, DialError
from callfleet_operator.pods.messages import figures, intent
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.pods import PodFigures, PodState, PodTarget

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.25
_LAST_DELAY_S = 15.0
_SILENCE_S = 30.0


@dataclass
class _Stream:
    target: PodTarget
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    asked: str = ""  # the correlation id of the last intent that was sent
    answered: bool = False


@dataclass
class PodStreams:
    """`on_report(namespace, agent, urgent)` is called when figures of one of its pods changed.

    Urgent is what a drain waits for; the rest (calls that come and go, counters) can be looked at
    together.
    """

    dialer: Dialer
    clock: Clock
    epoch: int
    on_report: Callable[[str, str, bool], None]
    random: Callable[[], float]
    repeat_s: float = 20.0
    _streams: dict[str, _Stream] = field(default_factory=dict)
    _figures: dict[str, PodFigures] = field(default_factory=dict)
    _of_agent: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def heard(self) -> int:
        return sum(found.heard for found in self._figures.values())

    async def run(self) -> None:
        """Owns the streams until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for stream in self._streams.values():
                self._start(stream)
            try:
                await self._stop.wait()
            finally:
                self._group = None
                for stream in self._streams.values():
                    if stream.task is not None:
                        stream.task.cancel()

    def want(self, namespace: str, agent: str, targets: Mapping[str, PodTarget]) -> None:
        owner = (namespace, agent)
        for uid in self._of_agent.get(owner, set()) - targets.keys():
            self._end(uid)
        if targets:
            self._of_agent[owner] = set(targets)
        else:
            self._of_agent.pop(owner, None)
        for uid, target in targets.items():
            self._want(uid, target)

    def figures(self, uid: str) -> PodFigures | None:
        return self._figures.get(uid)

    def _want(self, uid: str, target: PodTarget) -> None:
        stream = self._streams.get(uid)
        if stream is not None and stream.target.address != target.address:
            if stream.task is not None:
                stream.task.cancel()
            stream = None
        if stream is None:
            stream = self._streams[uid] = _Stream(target)
            self._start(stream)
        elif stream.target != target:
            stream.target = target
            stream.answered = False
            if uid in self._figures:
                self._figures[uid] = replace(self._figures[uid], answered=False)
            stream.changed.set()

    def _start(self, stream: _Stream) -> None:
        if self._group is not None and stream.task is None:
            name = f"pod-{stream.target.name}"
            stream.task = self._group.create_task(self._keep(stream), name=name)

    def _end(self, uid: str) -> None:
        stream = self._streams.pop(uid, None)
        self._figures.pop(uid, None)
        if stream is not None and stream.task is not None:
            stream.task.cancel()

    async def _keep(self, stream: _Stream) -> None:
        failures = 0
        while True:
            code, refused, heard = await self._once(stream)
            failures = 0 if heard else failures + 1
            self._unheard(stream.target)
            ceiling = min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures, 10))
            if refused:
                ceiling = _LAST_DELAY_S
            delay = ceiling * (0.5 + 0.5 * self.random())
            _log.log(
                logging.WARNING if refused or failures == 3 else logging.DEBUG,
                "the stream to a pod ended; dialing again",
                extra={
                    "pod": stream.target.name,
                    "namespace": stream.target.namespace,
                    "code": code,
                    "delay_s": round(delay, 3),
                },
            )
            await self.clock.sleep(delay)

    async def _once(self, stream: _Stream) -> tuple[str, bool, bool]:
        """One stream to its end: the code, whether we were refused, whether anything was heard."""
        heard = stream.answered = False
        reports = self.dialer.stream(stream.target, self._intents(stream))
        try:
            while True:
                async with asyncio.timeout(_SILENCE_S):
                    report = await anext(reports)
                if report.pod_uid and report.pod_uid != stream.target.uid:
                    return "OTHER_POD", True, heard
                heard = True
                self._take(stream, report)
        except StopAsyncIteration:
            return "ENDED", False, heard
        except TimeoutError:
            return "SILENT", False, heard
        except DialError as error:
            return error.code, error.refused, heard
        finally:
            await _close(reports)

    async def _intents(self, stream: _Stream) -> AsyncIterator[fleet_pb2.PodIntent]:
        while True:
            stream.changed.clear()
            stream.asked = str(uuid.uuid4())
            yield intent(stream.target, self.epoch, stream.asked)
            try:
                async with asyncio.timeout(self.repeat_s):
                    await stream.changed.wait()
            except TimeoutError:
                continue

    def _take(self, stream: _Stream, report: fleet_pb2.PodReport) -> None:
        target = stream.target
        if report.correlation_id == stream.asked and not stream.changed.is_set():
            stream.answered = True
        new = figures(report, self.clock.monotonic())
        new = replace(new, uid=target.uid, answered=stream.answered)
        old = self._figures.get(target.uid)
        self._figures[target.uid] = new
        if old is None or replace(old, received_at=new.received_at) != new:
            self.on_report(target.namespace, target.agent, _urgent(old, new))

    def _unheard(self, target: PodTarget) -> None:
        old = self._figures.get(target.uid)
        if old is not None and old.heard:
            self._figures[target.uid] = replace(old, heard=False)
            self.on_report(target.namespace, target.agent, True)


def _urgent(old: PodFigures | None, new: PodFigures) -> bool:
    if old is None or old.heard != new.heard:
        return True
    if (old.state, old.terminating, old.capacity) != (new.state, new.terminating, new.capacity):
        return True
    if old.answered != new.answered:
        return True
    return new.state is PodState.DRAINING and new.calls == 0 and old.calls != 0


async def _close(reports: AsyncIterator[fleet_pb2.PodReport]) -> None:
    close = getattr(reports, "aclose", None)
    if close is not None:
        await close()
