"""FakeFleet: the core with everything around it in memory, in virtual time.

@in_virtual_time
async def test_something() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_agent("card-line", replicas=2)
        await fleet.until(lambda: fleet.condition("card-line", "Ready") == "True")
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from callfleet_operator.identity.authority import make_authority
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.tokens import KeyRing
from callfleet_operator.kube.cache import CacheSet
from callfleet_operator.kube.cert_manager import CertificateIssuer
from callfleet_operator.kube.certificates import Issuer
from callfleet_operator.kube.client import Selection
from callfleet_operator.kube.fenced import FencedWriter
from callfleet_operator.kube.lease import Lease, LeaseTerms
from callfleet_operator.kube.projection import projection_of
from callfleet_operator.kube.reflector import Reflector, run_all
from callfleet_operator.kube.tokens import Minter
from callfleet_operator.kube.watched import WATCHED
from callfleet_operator.model import OperatorSettings, ProviderPool
from callfleet_operator.ports.certificates import LeafIssuer
from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import POD, PROVIDER_POOL, VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Change, Ref
from callfleet_operator.ports.probe import Figures, ProbeOutcome, Progress
from callfleet_operator.reconcile.core import Core, Outside
from fakes.controllers import FakeControllers
from fakes.kube import FakeKube
from fakes.pods import FakePods
from fakes.proxy import FakeProxy
from fakes.virtual_time import FakeClock

NAMESPACE = "bank"
_CA = make_authority("callfleet", Lifetimes(), 1_800_000_000.0)
_KEYS = KeyRing().tended(Lifetimes(), 1_700_000_000.0)


@dataclass
class FakeEvents:
    """The Events port: `seen` has (regarding's name, type, reason, note)."""

    seen: list[tuple[str, EventType, str, str]] = field(default_factory=list)

    def emit(
        self, regarding: Manifest, kind: EventType, reason: str, action: str, note: str
    ) -> None:
        self.seen.append((regarding["metadata"]["name"], kind, reason, note))

    def reasons(self) -> list[str]:
        return [reason for _, _, reason, _ in self.seen]


@dataclass
class FakeProbe:
    outcome: ProbeOutcome = field(default_factory=lambda: ProbeOutcome(ok=True, message=""))
    keys: list[str | None] = field(default_factory=list)
    told: Figures | None = None
    loaded: Progress | None = None

    async def probe(
        self, pool: ProviderPool, key: str | None, ca: str | None = None
    ) -> ProbeOutcome:
        self.keys.append(key)
        return self.outcome

    async def figures(self, address: str, port: int) -> Figures | None:
        return self.told

    async def progress(self, address: str, port: int) -> Progress | None:
        return self.loaded


def settings(**changes: Any) -> OperatorSettings:
    return OperatorSettings.model_validate(
        {
            "agentImage": "localhost/callfleet/agent:dev",
            "proxies": [
                {
                    "name": "default",
                    "driver": "kamailio",
                    "endpoints": ["http://127.0.0.1:5066/RPC"],
                    "databaseUrlFile": "/etc/callfleet/proxy-database/url",
                    "sipAddress": "127.0.0.1:5060",
                }
            ],
            "deletionGiveUpSeconds": 60,
        }
        | changes
    )


@dataclass
class FakeOperator:
    """One operator process: caches of its own, a lease, and a core while it leads."""

    fleet: "FakeFleet"
    holder: str
    pods: FakePods
    caches: CacheSet
    lease: Lease
    core: Core | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def heard(self, change: Change) -> None:
        if self.core is not None:
            self.core.changed(change)

    def kill(self) -> None:
        """As SIGKILL: nothing is finished, the lease is not released."""
        for task in self.tasks:
            task.cancel()


class FakeFleet:
    def __init__(self, *, proxy: FakeProxy | None = None, **changes: Any) -> None:
        self.kube = FakeKube()
        self.proxy = proxy or FakeProxy()
        self.events = FakeEvents()
        self.probe = FakeProbe()
        self.clock = FakeClock()
        self.settings = settings(**changes)
        self.controllers = FakeControllers(self.kube)
        self.operators: list[FakeOperator] = []
        self.calls: dict[str, int] = {}

    @property
    def operator(self) -> FakeOperator:
        return self.operators[-1]

    @property
    def core(self) -> Core:
        assert self.operator.core is not None
        return self.operator.core

    @property
    def pods(self) -> FakePods:
        return self.operator.pods

    @asynccontextmanager
    async def running(self, *, operator: bool = True) -> AsyncIterator["FakeFleet"]:
        async with AsyncExitStack() as stack:
            controllers = asyncio.create_task(self.controllers.run())
            stack.push_async_callback(_end, [controllers])
            stack.push_async_callback(self.stop)
            if operator:
                await self.start()
            yield self

    async def start(self, holder: str = "a") -> FakeOperator:
        """A new operator process. Answers when it leads."""
        started = self.launch(holder)
        await self.until(lambda: started.core is not None, 120)
        return started

    def launch(self, holder: str) -> FakeOperator:
        terms = LeaseTerms("callfleet-system", "callfleet-operator", holder)
        lease = Lease(self.kube, terms, self.clock, lambda: 0.5)
        pods = self.make_pods()
        operator = FakeOperator(self, holder, pods, CacheSet([], lambda _: None), lease)
        operator.caches = CacheSet([watched.kind for watched in WATCHED], operator.heard)
        reflectors = [
            Reflector(
                self.kube,
                Selection(watched.kind, labels=watched.labels),
                operator.caches.of(watched.kind),
                projection_of(watched.kind),
                self.clock,
                lambda: 0.5,
            )
            for watched in WATCHED
        ]
        operator.tasks = [
            asyncio.create_task(run_all(reflectors)),
            asyncio.create_task(self._lead(operator)),
        ]
        self.operators.append(operator)
        return operator

    def _issuer(self) -> LeafIssuer:
        identities = self.settings.identities
        if identities.cert_manager is not None:
            return CertificateIssuer(identities.cert_manager, identities.lifetimes)
        return Issuer(_CA, self.clock, identities.lifetimes)

    def make_pods(self) -> FakePods:
        """The link to the pods of a new operator process."""
        return FakePods(calls=self.calls)

    async def stop(self) -> None:
        for operator in self.operators:
            await _end(operator.tasks)
            operator.core = None

    async def _lead(self, operator: FakeOperator) -> None:
        epoch = await operator.lease.acquire()
        operator.core = Core(
            Outside(
                store=operator.caches,
                writer=FencedWriter(self.kube, operator.lease, epoch),
                reader=self.kube,
                clock=self.clock,
                random=lambda: 0.5,
                events=self.events,
                proxies={self.proxy.name: self.proxy},
                links=operator.pods,
                issuer=self._issuer(),
                tokens=Minter(_KEYS, "callfleet", self.clock, self.settings.identities.lifetimes),
                probe=self.probe,
                settings=self.settings,
                epoch=epoch,
            )
        )
        operator.pods.on_report = operator.core.reported
        work = asyncio.create_task(operator.core.run())
        try:
            await operator.lease.hold()
        finally:
            await _end([work])

    # --- what people do -----------------------------------------------------------------------
    def apply_agent(self, name: str = "card-line", **spec: Any) -> Manifest:
        base: dict[str, Any] = {"banking": {"url": "http://bank.example"}, "replicas": 1}
        sip = {"sip": {"proxy": "default", "numbers": ["+15550100"]}}
        return self.kube.put(
            {
                "apiVersion": VOICE_AGENT.api_version,
                "kind": "VoiceAgent",
                "metadata": {"namespace": NAMESPACE, "name": name},
                "spec": base | sip | spec,
            }
        )

    def apply_pool(self, name: str, **spec: Any) -> Manifest:
        return self.kube.put(
            {
                "apiVersion": PROVIDER_POOL.api_version,
                "kind": "ProviderPool",
                "metadata": {"namespace": NAMESPACE, "name": name},
                "spec": spec,
            }
        )

    def scale(self, replicas: int, name: str = "card-line") -> None:
        self.kube.update(VOICE_AGENT, NAMESPACE, name, spec={"replicas": replicas})

    def change(self, name: str = "card-line", **spec: Any) -> None:
        self.kube.update(VOICE_AGENT, NAMESPACE, name, spec=spec)

    async def delete_agent(self, name: str = "card-line") -> None:
        await self.kube.delete(Ref(VOICE_AGENT, NAMESPACE, name))

    # --- what people see ----------------------------------------------------------------------
    def agent(self, name: str = "card-line") -> Manifest | None:
        return self.kube.peek(VOICE_AGENT, NAMESPACE, name)

    def status(self, name: str = "card-line") -> Manifest:
        return (self.agent(name) or {}).get("status") or {}

    def condition(self, kind: str, name: str = "card-line") -> tuple[str, str]:
        for item in self.status(name).get("conditions", ()):
            if item["type"] == kind:
                return item["status"], item["reason"]
        return "", ""

    def all_pods(self) -> list[Manifest]:
        return self.kube.all(POD)

    def ready_pods(self) -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in self.all_pods()
            for item in pod["status"].get("conditions", ())
            if item["type"] == "Ready" and item["status"] == "True"
        ]

    def pod_uid(self, name: str) -> str:
        pod = self.kube.peek(POD, NAMESPACE, name)
        assert pod is not None
        return str(pod["metadata"]["uid"])

    def is_ready(self, name: str = "card-line") -> bool:
        agent = self.agent(name)
        if agent is None or self.condition("Ready", name)[0] != "True":
            return False
        return bool(self.status(name).get("observedGeneration") == agent["metadata"]["generation"])

    async def until(self, wanted: Callable[[], bool], seconds: float = 60.0) -> float:
        """The seconds that it took. AssertionError with the agent's status when it did not come."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not wanted():
            if loop.time() > began + seconds:
                raise AssertionError(f"not within {seconds} s; status: {self.status()}")
            await asyncio.sleep(0.05)
        return loop.time() - began

    async def settle(self, seconds: float = 5.0) -> None:
        await asyncio.sleep(seconds)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
