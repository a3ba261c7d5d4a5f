"""What is known and decided about one agent at one moment: gathered from caches, decided by
policies.

Used by an agent's reconcile and by the rounds of its proxy, so that both always decide the same.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from callfleet_operator.model import Transport, VoiceAgent
from callfleet_operator.policies.address import sip_uri
from callfleet_operator.policies.rows import Row, pods_by_uri, presumed, wanted_rows
from callfleet_operator.policies.scaling import COST_RELEASED, FleetPlan, plan_fleet
from callfleet_operator.policies.views import PodView, ReportView, Seen
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    NODE,
    POD,
    VOICE_AGENT,
    Manifest,
    name_of,
    namespace_of,
)
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.pods import PodLink
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.dispatcher import DispatcherSync, ProxyMemory, RowMemory
from callfleet_operator.reconcile.errors import UnreadableError
from callfleet_operator.reconcile.keys import cordoned, proxy_of
from callfleet_operator.reconcile.views import pod_view, report_view, seen_views, timestamp
from callfleet_operator.resources.names import deployment_name
from callfleet_operator.resources.revision import asks_own_bank, revision_of

FINALIZER = "callfleet.io/dispatcher"


@dataclass(frozen=True)
class AgentFacts:
    """One agent: what it asks for, what there is, and what follows. Times are Unix times.

    `rows` are what the proxy is to have; `gone` asks it to forget the agent altogether. An agent
    that is `refused` asks for what the installation does not have: it gets no pods, and those that
    it has leave.
    """

    manifest: Manifest
    agent: VoiceAgent
    revision: str
    pods: tuple[PodView, ...]
    reports: Mapping[str, ReportView]
    memory: RowMemory
    proxy: ProxyMemory | None
    plan: FleetPlan
    rows: tuple[Row, ...]
    deleting: bool
    overdue: bool
    gone: bool
    refused: bool
    wanted: int
    now: float

    @property
    def ref(self) -> Ref:
        return Ref(VOICE_AGENT, self.agent.metadata.namespace, self.agent.metadata.name)

    @property
    def uid(self) -> str:
        return self.agent.metadata.uid

    @property
    def seen(self) -> dict[str, Seen]:
        """The last look, without what was seen of other pods at the same addresses."""
        return seen_views(self.memory.seen)

    def uri_of(self, pod: PodView) -> str | None:
        return sip_uri(pod.ip, self.agent.spec.sip.transports) if pod.ip else None

    def out_since(self, pod: PodView) -> float | None:
        return self.memory.out_since.get((self.uri_of(pod) or "", pod.uid))


def read_agent(manifest: Manifest) -> VoiceAgent:
    """The agent of a manifest that the API server accepted. Raises UnreadableError."""
    try:
        return VoiceAgent.model_validate(manifest, extra="ignore")
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors()})[:5])
        raise UnreadableError(
            f"VoiceAgent {name_of(manifest)}: this operator cannot read {fields}"
        ) from None


@dataclass
class Gatherer:
    """Reads caches, never the network. `give_up_s` is how long a deletion waits for a proxy; with
    `refuse_own_banks` no pod takes calls that asks a bank by itself.
    """

    applied: Applied
    links: PodLink
    dispatcher: DispatcherSync
    clock: Clock
    give_up_s: float
    refuse_own_banks: bool = False
    _agents: dict[str, tuple[str, VoiceAgent, str]] = field(default_factory=dict)
    _by_revision: dict[str, bool] = field(default_factory=dict)

    def facts(self, manifest: Manifest) -> AgentFacts:
        """Raises UnreadableError."""
        agent, revision = self._read(manifest)
        pods = self._pods(manifest)
        reports = self._reports(pods)
        proxy = self._proxy(manifest)
        memory = proxy.agent(agent.metadata.uid) if proxy is not None else RowMemory()
        transports = agent.spec.sip.transports
        memory.pods = pods_by_uri(pods, transports)
        memory.forget_others(memory.pods)
        own_bank = self._own_banks(agent, revision, pods)
        pods = tuple(
            replace(
                pod,
                row=_row(pod, memory, transports),
                own_bank=pod.revision in own_bank,
                barred=self.refuse_own_banks and pod.revision in own_bank,
            )
            for pod in pods
        )
        deleting = agent.metadata.deletion_timestamp is not None
        now = self.clock.wall()
        refused = self.refuse_own_banks and agent.spec.banking.url is not None
        wanted = 0 if deleting or refused else agent.spec.replicas
        plan = held_back(plan_fleet(wanted, revision, pods, reports, agent.spec.rollout, now), pods)
        rows = wanted_rows(
            pods,
            presumed(seen_views(memory.known), pods, transports, begins=memory.synced is None),
            transports=transports,
            deleting=deleting,
            unwanted=wanted == 0,
            now=now,
        )
        overdue = deleting and self._overdue(agent, now)
        return AgentFacts(
            manifest=manifest,
            agent=agent,
            revision=revision,
            pods=pods,
            reports=reports,
            memory=memory,
            proxy=proxy,
            plan=plan,
            rows=rows,
            deleting=deleting,
            overdue=overdue,
            gone=deleting and (overdue or not _alive(pods)),
            refused=refused,
            wanted=wanted,
            now=now,
        )

    def _read(self, manifest: Manifest) -> tuple[VoiceAgent, str]:
        """The agent and its revision, read once for each version of the object."""
        uid, version = manifest["metadata"]["uid"], manifest["metadata"]["resourceVersion"]
        known = self._agents.get(uid)
        if known is None or known[0] != version:
            agent = read_agent(manifest)
            known = self._agents[uid] = (version, agent, revision_of(agent))
        return known[1], known[2]

    def _own_banks(
        self, agent: VoiceAgent, current: str, pods: Collection[PodView]
    ) -> frozenset[str]:
        """The revisions, of those that have pods, whose pods ask a bank by themselves."""
        own = {
            revision
            for revision in {pod.revision for pod in pods} - {current}
            if self._own_bank(agent, revision)
        }
        if agent.spec.banking.url is not None:
            own.add(current)
        return frozenset(own)

    def _own_bank(self, agent: VoiceAgent, revision: str) -> bool:
        """Read once for each revision: the same name is the same bank, of whichever agent."""
        known = self._by_revision.get(revision)
        if known is None:
            ref = agent.metadata.namespace, deployment_name(agent, revision)
            stored = self.applied.get(CONTROLLER_REVISION, *ref)
            if stored is None:
                return False
            known = self._by_revision[revision] = asks_own_bank(stored)
        return known

    def forget(self, uid: str) -> None:
        """The agent is gone."""
        self._agents.pop(uid, None)

    def pods_confirmed(self, facts: AgentFacts) -> bool:
        """Another source than the list of pods says the same number: the Deployments' status."""
        deployments = self.applied.of_agent(DEPLOYMENT, facts.ref.namespace, facts.ref.name)
        if not deployments:
            return False
        current = all(
            (item.get("status") or {}).get("observedGeneration")
            == item["metadata"].get("generation")
            for item in deployments
        )
        counted = sum(int((item.get("status") or {}).get("replicas") or 0) for item in deployments)
        return current and counted == sum(pod.exists for pod in facts.pods)

    def _proxy(self, manifest: Manifest) -> ProxyMemory | None:
        name = proxy_of(manifest)
        return self.dispatcher.memory(name) if name in self.dispatcher.proxies else None

    def _pods(self, manifest: Manifest) -> tuple[PodView, ...]:
        """By label, the oldest first."""
        namespace, name = namespace_of(manifest), name_of(manifest)
        found = self.applied.of_agent(POD, namespace, name)
        views = (pod_view(pod, cordoned=self._cordoned(pod)) for pod in found)
        return tuple(sorted(views, key=lambda view: (view.created, view.name)))

    def _cordoned(self, pod: Manifest) -> bool:
        node = self.applied.get(NODE, "", str((pod.get("spec") or {}).get("nodeName") or ""))
        return node is not None and cordoned(node)

    def _reports(self, pods: Collection[PodView]) -> dict[str, ReportView]:
        figures = ((pod.uid, self.links.figures(pod.uid)) for pod in pods)
        return {uid: report_view(found) for uid, found in figures if found is not None}

    def _overdue(self, agent: VoiceAgent, now: float) -> bool:
        asked = timestamp(agent.metadata.deletion_timestamp) or now
        return now > asked + agent.spec.rollout.drain_timeout_seconds + self.give_up_s


def held_back(plan: FleetPlan, pods: Collection[PodView]) -> FleetPlan:
    """No Deployment falls before its released pods are seen with the deletion cost that names them,
    and are seen not to be ready, which a ReplicaSet looks at first.

    One that heard of the lower number before would choose for itself whom to delete.
    """
    marked = {pod.uid for pod in pods if pod.deletion_cost == COST_RELEASED and not pod.ready}
    return FleetPlan(
        {
            revision: replace(
                each, replicas=each.replicas + sum(uid not in marked for uid in each.release)
            )
            for revision, each in plan.revisions.items()
        }
    )


def _row(pod: PodView, memory: RowMemory, transports: Collection[Transport]) -> Seen:
    """What the proxy last said of a pod's row, if it ever did."""
    state = memory.confirmed.get(sip_uri(pod.ip, transports)) if pod.ip else None
    return Seen(state.value) if state is not None else Seen.UNKNOWN


def _alive(pods: Collection[PodView]) -> bool:
    return any(not pod.finished for pod in pods)
