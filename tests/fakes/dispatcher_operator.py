"""One operator of the dispatcher's world: rounds and policies are real, the world its cluster."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from callfleet_operator.policies.drain import DrainFacts, DrainStep, drain_step
from callfleet_operator.policies.rows import (
    Row,
    gate_verdicts,
    guard,
    pods_by_uri,
    presumed,
    wanted_rows,
)
from callfleet_operator.policies.views import PodView, ReportView, Seen
from callfleet_operator.ports.proxy import AgentRows, ProxyError, RowState, WantedRow
from callfleet_operator.proxies.driver import TableProxy
from callfleet_operator.reconcile.dispatcher import DispatcherSync, ProxyMemory, RowMemory
from callfleet_operator.reconcile.errors import RowsHeldError
from callfleet_operator.reconcile.views import seen_views
from fakes.dispatcher_parts import DRAIN_TIMEOUT_S, UDP, Agent, Clock, Pod
from fakes.proxy_tables import PROBE_S


class World(Protocol):
    """What an operator sees of the cluster, and does to it."""

    clock: Clock
    pods: dict[str, Pod]
    agents: list[Agent]

    def set_gate(self, uid: str, value: bool) -> None: ...
    def tell(self, uid: str, *, draining: bool) -> None: ...
    def report(self, uid: str) -> ReportView | None: ...
    def release(self, uid: str) -> None: ...


@dataclass
class Operator:
    """One process: what it remembers, and the pods as it saw them last."""

    world: World
    epoch: int
    proxy: TableProxy
    sync: DispatcherSync = None  # type: ignore[assignment]
    pods: list[PodView] = field(default_factory=list)
    owner: dict[str, str] = field(default_factory=dict)  # pod UID -> agent UID
    explained: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)  # agent UID -> its Deployment's count
    woken: set[str] = field(default_factory=set)  # agents that are to be looked at
    again: float | None = None  # when the proxy wants its next round

    @property
    def memory(self) -> ProxyMemory:
        return self.sync.memory("default")

    def see(self, missing: frozenset[str] = frozenset()) -> None:
        """The watch catches up; `missing` pods are left out of a wrong list."""
        there = {uid for uid in self.world.pods if uid not in missing}
        before = {pod.uid: pod for pod in self.pods}
        self.explained |= {uid for uid in before if uid not in self.world.pods}
        self.pods = [pod.view for uid, pod in self.world.pods.items() if uid in there]
        self.owner |= {uid: self.world.pods[uid].agent for uid in there}
        self.counted = dict(Counter(pod.agent for pod in self.world.pods.values()))
        now = {pod.uid: pod for pod in self.pods}
        changed = {uid for uid in before.keys() | now.keys() if before.get(uid) != now.get(uid)}
        self.woken |= {self.owner[uid] for uid in changed}

    def wake(self, _proxy: str, uids: set[str] | None) -> None:
        self.woken |= {agent.uid for agent in self.world.agents} if uids is None else uids

    def rows_of(self, agent: Agent) -> tuple[list[PodView], tuple[Row, ...], RowMemory]:
        memory = self.memory.agent(agent.uid)
        pods = [pod for pod in self.pods if self.owner[pod.uid] == agent.uid]
        memory.pods = pods_by_uri(pods, UDP)
        memory.forget_others(memory.pods)
        rows = wanted_rows(
            pods,
            presumed(seen_views(memory.known), pods, UDP, begins=memory.synced is None),
            transports=UDP,
            deleting=agent.deleting,
            now=self.world.clock.now,
        )
        return pods, rows, memory

    def wanted(self, _proxy: str) -> Sequence[AgentRows]:
        return [self._agent_rows(agent) for agent in self.world.agents if not agent.gone]

    def _agent_rows(self, agent: Agent) -> AgentRows:
        pods, rows, memory = self.rows_of(agent)
        if agent.deleting and all(pod.finished for pod in pods):
            return AgentRows(agent.uid, "bank", agent.uid, gone=True, media=agent.media)
        owners, explained = memory.uids(), set(self.explained)
        if self.counted.get(agent.uid, 0) == len(pods):
            owners = {uri: owners.get(uri, "unlisted") for uri in memory.confirmed}
            explained |= set(owners.values())
        verdict = guard(
            seen_views(memory.confirmed),
            owners,
            rows,
            pods=pods,
            explained=explained,
            deleting=agent.deleting,
        )
        if not verdict.allowed and not memory.rows:
            raise RowsHeldError(verdict.message)
        told = (
            tuple(WantedRow(r.uri, r.pod_uid, RowState(r.state.value), r.weight) for r in rows)
            if verdict.allowed
            else memory.rows
        )
        return AgentRows(agent.uid, "bank", agent.uid, agent.numbers, told, media=agent.media)

    async def round(self) -> bool:
        """A round of the proxy, then a look at the agents for which something changed. Whether the
        round came to its end: faults are survived."""
        self.again = None
        with suppress(ProxyError, RowsHeldError):
            self.again = await self.sync.round("default")
        leaving = {self.owner[pod.uid] for pod in self.pods if _leaves(pod)}
        woken, self.woken = self.woken | leaving, set()
        for agent in self.world.agents:
            if not agent.gone and (agent.deleting or agent.uid in woken):
                self._reconcile(agent)
        return self.again is not None

    def _reconcile(self, agent: Agent) -> None:
        pods, rows, memory = self.rows_of(agent)
        seen = seen_views(memory.seen)
        for uid, verdict in gate_verdicts(pods, rows, seen).items():
            if verdict.value is not None:
                self.world.set_gate(uid, verdict.value)
        for view in pods:
            if view.finished:
                continue
            if _leaves(view) or agent.deleting:
                self._drain(view, memory, seen)
            else:
                self.world.tell(view.uid, draining=False)

    def _drain(self, view: PodView, memory: RowMemory, seen: dict[str, Seen]) -> None:
        uri = f"sip:{view.ip}:5060"
        step = drain_step(
            DrainFacts(
                pod=view,
                report=self.world.report(view.uid),
                seen=seen.get(uri, Seen.UNKNOWN),
                inactive_since=memory.out_since.get((uri, view.uid)),
                probe_interval_s=PROBE_S,
                drain_timeout_s=DRAIN_TIMEOUT_S,
                now=self.world.clock.now,
            )
        )
        self.world.tell(view.uid, draining=step.tell_draining)
        if step.step is DrainStep.DONE:
            self.world.release(view.uid)


def _leaves(view: PodView) -> bool:
    return view.draining_since is not None or view.terminating_since is not None
