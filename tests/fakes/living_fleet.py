"""LivingFleet: a FakeFleet whose pods run the agent's own drain, with callers, and nothing at once.

Watch events, intents, reports, the proxy's answers and calls under way all take random times, so
that decisions are made on what was true a while ago. `trouble` has what must never happen.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from callfleet_agent.session.drain import Drain, PodIntent
from callfleet_agent.session.errors import StaleEpochError
from callfleet_operator.kube.client import Selection, WatchEvent
from callfleet_operator.ports.errors import KubeError
from callfleet_operator.ports.kinds import POD, Manifest
from callfleet_operator.ports.pods import PodFigures, PodState, PodTarget
from callfleet_operator.ports.proxy import AgentRows, Observation, SyncOutcome
from fakes.controllers import FakeControllers
from fakes.fleet import NAMESPACE, FakeFleet, FakeOperator
from fakes.kube import FakeKube
from fakes.pods import FakePods
from fakes.proxy import FakeProxy

NUMBER = "+15550100"
GRACE_S = 5.0 + 60.0 + 32.0 + 8.0
_REPORT_GAP_S = 1.0


@dataclass(frozen=True)
class Delays:
    """The longest that each thing may take, in seconds; how long it takes is drawn each time."""

    watch_s: float = 0.3
    intent_s: float = 0.3
    report_s: float = 0.5
    proxy_s: float = 0.3
    invite_s: float = 0.5


class SlowKube(FakeKube):
    """Events of a watch come late, and in order."""

    def __init__(self, rng: random.Random, delays: Delays) -> None:
        super().__init__()
        self._rng, self._delays = rng, delays

    async def watch(
        self, selection: Selection, resource_version: str, *, timeout_s: float
    ) -> AsyncIterator[WatchEvent]:
        loop = asyncio.get_running_loop()
        arriving: asyncio.Queue[tuple[float, WatchEvent] | None] = asyncio.Queue()
        ended: list[Exception] = []

        async def read() -> None:
            try:
                async for event in super(SlowKube, self).watch(
                    selection, resource_version, timeout_s=timeout_s
                ):
                    at = loop.time() + self._rng.uniform(0, self._delays.watch_s)
                    arriving.put_nowait((at, event))
            except KubeError as error:
                ended.append(error)
            arriving.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (found := await arriving.get()) is not None:
                await asyncio.sleep(found[0] - loop.time())
                yield found[1]
        finally:
            reader.cancel()
        if ended:
            raise ended[0]


class SlowProxy(FakeProxy):
    """Writes and looks take time, and calls come meanwhile."""

    def __init__(self, rng: random.Random, delays: Delays) -> None:
        super().__init__(probe_s=1.0, settle_s=1.0)
        self._rng, self._delays = rng, delays

    async def sync(self, agents: Sequence[AgentRows], *, epoch: int) -> SyncOutcome:
        await self._wait()
        outcome = await super().sync(agents, epoch=epoch)
        await self._wait()
        return outcome

    async def observe(self) -> Observation:
        outcome = await super().observe()
        await self._wait()
        return outcome

    async def _wait(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, self._delays.proxy_s))


@dataclass
class LivingPod:
    """One pod's process: the agent's own rules of leaving, and the calls that it has."""

    uid: str
    name: str
    drain: Drain = field(default_factory=Drain)
    calls: set[int] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


@dataclass
class LivingPods(FakePods):
    """The PodLink of one operator: intents and reports travel in order, and take a while."""

    fleet: "LivingFleet" = None  # type: ignore[assignment]
    _streams: dict[str, list[asyncio.Task[None]]] = field(default_factory=dict)
    _intents: dict[str, asyncio.Queue[PodTarget]] = field(default_factory=dict)

    def want(self, namespace: str, agent: str, targets: Mapping[str, PodTarget]) -> None:
        for uid in self.targets.keys() - targets.keys():
            del self.targets[uid]
            self._figures.pop(uid, None)
            for task in self._streams.pop(uid):
                task.cancel()
        for uid, target in targets.items():
            if uid not in self._streams:
                self._intents[uid] = asyncio.Queue()
                self._streams[uid] = [
                    asyncio.create_task(self._tell(uid)),
                    asyncio.create_task(self._hear(target)),
                ]
            if self.targets.get(uid) != target:
                self.targets[uid] = target
                self._intents[uid].put_nowait(target)

    async def _tell(self, uid: str) -> None:
        delays, rng = self.fleet.delays, self.fleet.rng
        while True:
            target = await self._intents[uid].get()
            await asyncio.sleep(rng.uniform(0, delays.intent_s))
            pod = self.fleet.living.get(uid)
            if pod is None:
                continue
            state = PodIntent.DRAINING if target.state is PodState.DRAINING else PodIntent.SERVING
            try:
                pod.drain = pod.drain.on_intent(
                    self.epoch, state, row_confirmed_inactive=target.row_confirmed_inactive
                )
            except StaleEpochError:
                return
            pod.tell()

    @property
    def epoch(self) -> int:
        return self.fleet.operators.index(self.fleet.operator_of(self)) + 1

    async def _hear(self, target: PodTarget) -> None:
        delays, rng = self.fleet.delays, self.fleet.rng
        pod = await self.fleet.process(target.uid)
        while True:
            changed = pod.changed
            draining = pod.drain.intent is PodIntent.DRAINING
            new = PodFigures(
                uid=pod.uid,
                state=PodState.DRAINING if draining else PodState.SERVING,
                calls=len(pod.calls),
                capacity=20,
                terminating=pod.drain.terminated_at is not None,
                revision="",
                received_at=0.0,
            )
            await asyncio.sleep(rng.uniform(0, delays.report_s))
            if self._figures.get(pod.uid) != new:
                self._figures[pod.uid] = new
                self.on_report(target.namespace, target.agent, True)
            await asyncio.sleep(rng.uniform(0, _REPORT_GAP_S))
            await changed.wait()

    def end(self) -> None:
        for tasks in self._streams.values():
            for task in tasks:
                task.cancel()


class LivingFleet(FakeFleet):
    """Pods live from running to their exit; `call()` is one caller."""

    def __init__(self, seed: int, delays: Delays | None = None) -> None:
        self.rng = random.Random(seed)
        self.delays = delays or Delays()
        super().__init__(proxy=SlowProxy(self.rng, self.delays))
        self.kube = SlowKube(self.rng, self.delays)
        self.controllers = FakeControllers(self.kube, start_s=2.0, grace_s=GRACE_S)
        self.living: dict[str, LivingPod] = {}
        self.trouble: list[str] = []
        self.begun = asyncio.Event()  # a process began
        self.answered = 0
        self.struck: set[str] = set()  # names of pods that the test itself deleted
        self._calls = 0

    @asynccontextmanager
    async def alive(self) -> AsyncIterator["LivingFleet"]:
        async with self.running():
            kubelet = asyncio.create_task(self._kubelet())
            try:
                yield self
            finally:
                kubelet.cancel()
                for operator in self.operators:
                    operator.pods.end()  # type: ignore[attr-defined]

    def make_pods(self) -> FakePods:
        return LivingPods(fleet=self)

    def operator_of(self, pods: FakePods) -> FakeOperator:
        return next(operator for operator in self.operators if operator.pods is pods)

    def crash(self) -> None:
        """The operator's process is killed, and its streams end with it."""
        self.operator.kill()
        self.operator.pods.end()  # type: ignore[attr-defined]

    def strike(self, name: str) -> None:
        """Somebody deletes a pod, gracefully."""
        self.struck.add(name)
        self.controllers.delete(NAMESPACE, name)

    def revisions(self) -> set[str]:
        """Of the pods that there are."""
        pods = self.all_pods()
        return {pod["metadata"]["labels"]["callfleet.io/revision"] for pod in pods}

    def states(self) -> set[PodState]:
        """What the pods that there are were last told to be."""
        return {target.state for target in self.pods.targets.values()}

    async def process(self, uid: str) -> LivingPod:
        """The process of a pod, once it runs."""
        while uid not in self.living:
            await self.begun.wait()
        return self.living[uid]

    async def call(self, length_s: float) -> None:
        """One call, from the proxy's choice to its end. What goes wrong is in `trouble`."""
        self._calls += 1
        number, loop = self._calls, asyncio.get_running_loop()
        began = loop.time()
        chosen = sorted(self.proxy.route(NUMBER))
        self.rng.shuffle(chosen)
        if not chosen:
            self.trouble.append(f"{began:.2f}: no row is active")
            return
        pod = None
        for uri in chosen:
            await asyncio.sleep(self.rng.uniform(0, self.delays.invite_s))
            pod = self._at(uri)
            if pod is not None and pod.drain.takes_calls(now=loop.time()):
                break
        else:
            self.trouble.append(f"{began:.2f}: refused by all of {len(chosen)}")
            return
        pod.calls.add(number)
        pod.tell()
        self.answered += 1
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(length_s)
        if self.living.get(pod.uid) is not pod:
            self.trouble.append(f"{began:.2f}: the pod went away under a call")
        pod.calls.discard(number)
        pod.drain = pod.drain.on_call_ended(at=loop.time())
        pod.tell()

    async def callers(self, rate: float, length_s: float) -> None:
        """Calls without end."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self.call(self.rng.uniform(0.5, 1.5) * length_s))
                await asyncio.sleep(self.rng.uniform(0.5, 1.5) / rate)

    def _at(self, uri: str) -> LivingPod | None:
        for pod in self.kube.view(POD):
            if f"sip:{pod['status'].get('podIP')}:5060" in uri:
                return self.living.get(pod["metadata"]["uid"])
        return None

    async def _kubelet(self) -> None:
        """Processes begin with their containers, hear of their deletion, and exit by themselves."""
        loop = asyncio.get_running_loop()
        while True:
            there = {pod["metadata"]["uid"]: pod for pod in self.kube.view(POD)}
            for uid, pod in there.items():
                self._watch_over(uid, pod, loop.time())
            for uid in self.living.keys() - there.keys():
                if self.living[uid].calls:
                    self.trouble.append(f"{loop.time():.2f}: a pod was killed under its calls")
                del self.living[uid]
            await asyncio.sleep(0.05)

    def _watch_over(self, uid: str, pod: Manifest, now: float) -> None:
        name = pod["metadata"]["name"]
        if uid not in self.living:
            if _running(pod):
                self.living[uid] = LivingPod(uid, name)
                begun, self.begun = self.begun, asyncio.Event()
                begun.set()
            return
        process = self.living[uid]
        if not pod["metadata"].get("deletionTimestamp"):
            return
        if process.drain.terminated_at is None:
            if name not in self.struck and process.calls:
                self.trouble.append(f"{now:.2f}: a pod with {len(process.calls)} calls was deleted")
            process.drain = process.drain.on_terminate(at=now)
            process.tell()
        if process.drain.may_exit(now=now, calls=len(process.calls), idle=True):
            self.controllers.finish(NAMESPACE, name)


def _running(pod: Manifest) -> bool:
    return any(
        item["type"] == "ContainersReady" and item["status"] == "True"
        for item in pod["status"].get("conditions", ())
    )
