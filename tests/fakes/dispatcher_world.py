"""DispatcherWorld: proxies, pods and operators in one random schedule, without a loop's time.

The driver (`TableProxy`), its rounds (`DispatcherSync`) and the policies for rows, gates and drains
are the real ones; databases, instances and pods are made of dictionaries, so that thousands of
schedules of faults can be tried. `trouble` has what must never happen (see `dispatcher_rules`), and
`wrong` what is not as it should be once nothing fails any more. One class, since any thing that
happens may change any part of it.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from callfleet_operator.policies.views import PodView, ReportView
from callfleet_operator.ports.errors import NotLeaderError
from callfleet_operator.ports.proxy import ProxyError
from callfleet_operator.proxies.driver import TableProxy, Timing
from callfleet_operator.proxies.endpoints import fixed
from callfleet_operator.proxies.kamailio import Kamailio
from callfleet_operator.proxies.opensips import OpenSips
from callfleet_operator.proxies.plan import Rules
from callfleet_operator.proxies.rows import Held, pod_of
from callfleet_operator.reconcile.dispatcher import DispatcherSync
from callfleet_operator.reconcile.errors import RowsHeldError
from fakes.dispatcher_operator import Operator
from fakes.dispatcher_parts import (
    ADDRESSES,
    FIRST_SET,
    LAST_SET,
    NUMBERS,
    QUARANTINE_S,
    Agent,
    Clock,
    Pod,
    with_commands,
)
from fakes.dispatcher_rules import DispatcherRules
from fakes.proxy_tables import PROBE_S, Running, Tables


class DispatcherWorld:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.loss = 0.03  # of probes
        self.instances: dict[str, Running] = {}
        kinds: list[Kamailio | OpenSips] = [Kamailio(), OpenSips()]
        dialect = with_commands(self.rng.choice(kinds), self.instances)
        self.tables = Tables(dialect, self.clock, QUARANTINE_S)
        self.urls = [f"http://p{n}/" for n in range(self.rng.randint(1, 3))]
        for url in self.urls:
            self.instances[url] = Running(self.tables)
        self.pods: dict[str, Pod] = {}
        self.agents: list[Agent] = []
        self.trouble: list[str] = []
        self.operator = self._start(1)
        self.former: list[Operator] = []
        self.asked: set[str] = set()
        self.rules = DispatcherRules(self)
        # In every other schedule somebody changes our rows, which is found by the sweep only.
        self.meddled = seed % 2 == 1
        self._next: Callable[[], None] | None = None  # what happens after what happened
        self._count = 0

    def _start(self, epoch: int) -> Operator:
        proxy = TableProxy(
            self.tables,  # type: ignore[arg-type]
            self.tables,  # type: ignore[arg-type]
            fixed(self.urls),
            Rules(FIRST_SET, LAST_SET, lambda _namespace, _number: True),
            Timing(probe_interval_s=PROBE_S),
            self.clock,
        )
        operator = Operator(self, epoch, proxy)
        operator.sync = DispatcherSync(
            {"default": proxy}, operator.wanted, operator.wake, self.clock, epoch
        )
        operator.see()
        return operator

    async def close(self) -> None:
        for operator in (self.operator, *self.former):
            await operator.proxy.close()

    # --- what an operator does to the cluster ---------------------------------------------------
    def set_gate(self, uid: str, value: bool) -> None:
        pod = self.pods.get(uid)
        if pod is None or pod.view.gate is value:
            return
        if not value and pod.view.gate and self._routed(pod):
            self._note(f"{uid} lost its gate under a row that is active")
        if value and not all(self._reaches(instance, pod) for instance in self.instances.values()):
            self._note(f"{uid} got its gate, and not every proxy sends it calls")
        pod.view = replace(pod.view, gate=value)

    def tell(self, uid: str, *, draining: bool) -> None:
        pod = self.pods.get(uid)
        if pod is None:
            return
        if draining and not pod.told and self.rules.may_get_calls(pod):
            self._note(f"{uid} was told to refuse calls that it may get")
        pod.told = draining

    def note(self, when: str, found: list[str]) -> None:
        for text in found:
            self._note(f"{when}: {text}")

    def _note(self, text: str) -> None:
        self.trouble.append(f"{self.clock.now:.1f}: {text}")

    def report(self, uid: str) -> ReportView | None:
        pod = self.pods.get(uid)
        return None if pod is None else ReportView(uid, draining=pod.told, calls=pod.calls)

    def release(self, uid: str) -> None:
        """Its Deployment deletes it; the kubelet ends it."""
        pod = self.pods.get(uid)
        if pod is None:
            return
        if pod.calls:
            self._note(f"{uid} was released with calls")
        self._end(uid)

    def _end(self, uid: str) -> None:
        del self.pods[uid]

    # --- what there is --------------------------------------------------------------------------
    def _routed(self, pod: Pod) -> bool:
        """An instance sends calls to this pod as itself, not as another one at its address."""
        return any(self.sends(instance, pod) for instance in self.instances.values())

    def sends(self, instance: Running, pod: Pod) -> bool:
        """It sends the agent's calls to this pod."""
        key = (self.tables.state.sets.get(pod.agent, 0), pod.uri)
        row = instance.rows.get(key)
        return (
            row is not None
            and not instance.down
            and row.held is Held.ACTIVE
            and pod_of(row.mark) == pod.view.uid
        )

    def _reaches(self, instance: Running, pod: Pod) -> bool:
        """It sends the agent's calls to this pod, by a row of somebody else's if need be."""
        row = instance.rows.get((self.tables.state.sets.get(pod.agent, 0), pod.uri))
        # A process that begins does not know whose a row was: that the address gets calls is true.
        begins = self.operator.memory.synced is None
        strange = row is not None and row.held is Held.ACTIVE and (begins or not pod_of(row.mark))
        return self.sends(instance, pod) or (strange and not instance.down)

    def _at(self, uri: str) -> Pod | None:
        mine = (pod for pod in self.pods.values() if pod.uri == uri and not pod.view.finished)
        return next(mine, None)

    # --- time and chance ------------------------------------------------------------------------
    def pass_time(self, seconds: float) -> None:
        """Probes are answered; those in flight as a row was drained may come late."""
        self.clock.now += seconds
        for instance in self.instances.values():
            if instance.down:
                if not self.tables.away:
                    instance.restart()
                continue
            instance.probe(self._answers, self._answered_late)
        for pod in self.pods.values():
            if self._routed(pod):
                pod.routed_at = self.clock.now
                if pod.told:
                    self._note(f"{pod.view.uid} gets calls that it refuses")

    def _answered_late(self, uri: str) -> bool:
        """It was asked before it was told to refuse calls."""
        pod = self._at(uri)
        if pod is None or not pod.alive or self.rng.random() >= 0.3:
            return False
        pod.proved = True
        return True

    def _answers(self, uri: str) -> bool:
        pod = self._at(uri)
        if pod is None or not pod.answers or self.rng.random() < self.loss:
            return False
        pod.proved = True
        return True

    def populate(self) -> None:
        """Agents with pods, before anything goes wrong."""
        for _ in range(self.rng.randint(1, 2)):
            self._agent_comes()
        for _ in range(self.rng.randint(2, 5)):
            self._pod_comes()

    def happen(self) -> None:
        """One thing, drawn by chance, that people, Kubernetes or the machines do."""
        rng = self.rng
        self._mend()
        if self._next is not None:
            then, self._next = self._next, None
            then()
            return
        things = [
            self._nothing, self._nothing, self._pod_comes, self._pod_comes, self._pod_starts,
            self._pod_starts, self._pod_stumbles, self._pod_is_asked_to_leave,
            self._pod_is_asked_to_leave, self._pod_is_taken_back, self._pod_is_deleted,
            self._pod_vanishes, self._pod_ends, self._pod_is_replaced, self._node_is_silent,
            self._all_leave, self._all_leave, self._somebody_wavers, self._agent_comes,
            self._agent_changes, self._agent_goes, self._agent_vanishes, self._database,
            self._answer_is_lost, self._rpc, self._rpc, self._proxy_restarts, self._row_is_lost,
            self._stranger, self._stranger, self._stranger_drains, self._calls,
        ]  # fmt: skip
        rng.choice(things)()

    def _mend(self) -> None:
        """What is away does not stay away for long."""
        self.tables.away = self.tables.away and self.rng.random() < 0.6
        for instance in self.instances.values():
            instance.away = instance.away and self.rng.random() < 0.6
            instance.loses_answers = instance.loses_answers and self.rng.random() < 0.6

    def _any_pod(self) -> Iterator[Pod]:
        """One that has not ended."""
        there = [pod for pod in self.pods.values() if not pod.view.finished]
        if there:
            yield self.rng.choice(there)

    def _change(self, pod: Pod, **fields: Any) -> None:
        pod.view = replace(pod.view, **fields)

    def _nothing(self) -> None:
        return

    def _agent_comes(self) -> None:
        if sum(not agent.gone for agent in self.agents) < 3:
            self._count += 1
            self.agents.append(Agent(f"a{self._count}", self._some_numbers()))

    def _some_numbers(self) -> tuple[str, ...]:
        return tuple(sorted(self.rng.sample(NUMBERS, self.rng.randint(0, 2))))

    def _agent_changes(self) -> None:
        for agent in self.rng.sample(self.agents, min(1, len(self.agents))):
            agent.numbers = self._some_numbers()
            agent.media = self.rng.choice(["direct", "relay"])

    def _agent_goes(self) -> None:
        if self.agents and self.rng.random() < 0.2:
            self.rng.choice(self.agents).deleting = True

    def _agent_vanishes(self) -> None:
        """Somebody took its finalizer off: it is gone with its pods before it was let go."""
        if self.agents and self.rng.random() < 0.2:
            agent = self.rng.choice(self.agents)
            agent.deleting = agent.gone = True
            for pod in [pod for pod in self.pods.values() if pod.agent == agent.uid]:
                self._end(pod.view.uid)

    def _pod_comes(self) -> None:
        agents = [agent for agent in self.agents if not agent.deleting]
        if not agents or len(self.pods) >= 8:
            return
        taken = {pod.view.ip for pod in self.pods.values() if not pod.view.finished}
        ip = self.rng.choice([ip for ip in ADDRESSES if ip not in taken])
        self._new_pod(self.rng.choice(agents).uid, ip, runs=self.rng.random() < 0.7)

    def _new_pod(self, agent: str, ip: str, *, runs: bool) -> None:
        self._count += 1
        uid = f"pod{self._count}"
        view = PodView(uid, uid, "r", ip=ip, created=self.clock.now, containers_ready=runs)
        self.pods[uid] = Pod(view, agent, alive=runs, started=runs)

    def _pod_is_replaced(self) -> None:
        """Another pod, at once, at the same address."""
        for pod in self._any_pod():
            self._end(pod.view.uid)
            if not self._deleting(pod):
                self._new_pod(pod.agent, str(pod.view.ip), runs=True)

    def _pod_ends(self) -> None:
        """Its processes ended; it is still listed, and its address goes to another."""
        for pod in self._any_pod():
            self._change(pod, finished=True, containers_ready=False)
            pod.alive, pod.calls = False, 0

    def _all_leave(self) -> None:
        """All pods of an agent, for one reason or another."""
        for one in self._any_pod():
            for pod in [pod for pod in self.pods.values() if pod.agent == one.agent]:
                if not pod.view.finished:
                    leave = [self._asked, self._deleted, self._overloaded, self._silent]
                    self.rng.choice(leave)(pod)

    def _somebody_wavers(self) -> None:
        """A pod is asked to leave and taken back, or the other way round; of the first nobody hears
        whether it was written, and at the second the database may be away."""
        for pod in self._any_pod():
            self._wavers(pod)
            self.tables.away, self.tables.loses_answer = False, True
            self._next = partial(self._wavers, pod, away=self.rng.random() < 0.5)

    def _wavers(self, pod: Pod, *, away: bool = False) -> None:
        leaves = pod.view.draining_since is None
        self._change(pod, draining_since=self.clock.now if leaves else None)
        self.tables.away = away

    def _asked(self, pod: Pod) -> None:
        if pod.view.draining_since is None:
            self._change(pod, draining_since=self.clock.now)

    def _deleted(self, pod: Pod) -> None:
        if pod.view.terminating_since is None:
            self._change(pod, terminating_since=self.clock.now)

    def _overloaded(self, pod: Pod) -> None:
        self._change(pod, containers_ready=False)

    def _silent(self, pod: Pod) -> None:
        self._change(pod, unreachable=True)

    def _pod_starts(self) -> None:
        for pod in self._any_pod():
            self._runs(pod)

    def _runs(self, pod: Pod) -> None:
        self._change(pod, containers_ready=True, unreachable=False)
        pod.alive = pod.started = True

    def _pod_stumbles(self) -> None:
        """It is overloaded, or its process is dead."""
        for pod in self._any_pod():
            self._overloaded(pod)
            pod.alive = pod.alive and self.rng.random() < 0.5

    def _pod_is_asked_to_leave(self) -> None:
        for pod in self._any_pod():
            self._asked(pod)

    def _pod_is_taken_back(self) -> None:
        for pod in self._any_pod():
            self._change(pod, draining_since=None)

    def _pod_is_deleted(self) -> None:
        for pod in self._any_pod():
            self._deleted(pod)

    def _pod_vanishes(self) -> None:
        for pod in self._any_pod():
            self._end(pod.view.uid)

    def _node_is_silent(self) -> None:
        for pod in self._any_pod():
            self._change(pod, unreachable=not pod.view.unreachable)

    def _calls(self) -> None:
        for pod in self._any_pod():
            pod.calls = self.rng.randint(0, 2) if self._routed(pod) else 0

    def _database(self) -> None:
        self.tables.away = not self.tables.away

    def _answer_is_lost(self) -> None:
        self.tables.loses_answer = True

    def _rpc(self) -> None:
        instance = self.instances[self.rng.choice(self.urls)]
        if self.rng.random() < 0.5:
            instance.away = not instance.away
        else:
            instance.loses_answers = not instance.loses_answers

    def _proxy_restarts(self) -> None:
        self.instances[self.rng.choice(self.urls)].restart()

    def _row_is_lost(self) -> None:
        if not self.meddled:
            return
        if self.tables.state.owned:
            row_id, _ = self.rng.choice(list(self.tables.state.owned.values()))
            self.tables.lose_row(row_id)
        if self.tables.state.numbers:
            self.tables.lose_number(self.rng.choice(list(self.tables.state.numbers)))

    def _stranger(self) -> None:
        """Somebody else's rows, in sets of ours and beside them, and his numbers."""
        sets = [7, LAST_SET, *range(FIRST_SET, FIRST_SET + 3)]
        self.tables.add_foreign((self.rng.choice(sets), "sip:192.0.2.1:5060"))
        for pod in self._any_pod():
            mine = self.tables.state.sets.get(pod.agent, 7)
            self.tables.add_foreign((self.rng.choice([mine, *sets]), pod.uri))
        number = self.rng.choice(NUMBERS)
        if self.rng.random() < 0.3:
            self.tables.add_foreign_number(number, claimed=self.rng.random() < 0.5)

    def _stranger_drains(self) -> None:
        """Somebody takes his own rows out of service, or in again, in one instance."""
        instance = self.instances[self.rng.choice(self.urls)]
        for key, _ in self.tables.foreign().values():
            instance.set_foreign(key, self.rng.choice(list(Held)))

    # --- operators ------------------------------------------------------------------------------
    async def operate(self, *, faults: bool) -> None:
        """The operator's turn. With faults its watch may lag, or it is replaced by another one."""
        draw = self.rng.random() if faults else 1.0
        if draw < 0.08:
            self.former.append(self.operator)
            self.operator = self._start(self.operator.epoch + 1)
        elif draw < 0.12 and self.former:
            await self._former_wakes(self.rng.choice(self.former))
        elif draw < 0.3:
            pass  # decides on what it saw before
        elif draw < 0.36:
            left_out = self.rng.randint(0, len(self.pods))
            self.operator.see(frozenset(self.rng.sample(list(self.pods), left_out)))
        else:
            self.operator.see()
        before = self.rules.before(self.operator)
        ended = await self.operator.round()
        self.rules.after(self.operator, before, ended=ended, fresh=draw >= 0.36)
        self._agents_end()

    async def _former_wakes(self, former: Operator) -> None:
        state = self.tables.state
        rows = {url: dict(instance.rows) for url, instance in self.instances.items()}
        refused, knows = self.tables.refused, True
        with suppress(NotLeaderError, ProxyError, RowsHeldError):
            await former.sync.round("default")
            knows = self.tables.refused == refused
        if not knows:
            self._note("a former leader was refused, and takes no notice")
        after = {url: dict(instance.rows) for url, instance in self.instances.items()}
        led = self.operator.sync.memory("default").synced is not None
        if led and (self.tables.state.owned != state.owned or rows != after):
            self._note("a former leader wrote")

    def _agents_end(self) -> None:
        """A finalizer is taken away once the proxy has nothing of the agent any more."""
        for agent in self.agents:
            there = any(pod.agent == agent.uid for pod in self.pods.values())
            if agent.deleting and not there and agent.uid not in self.tables.state.sets:
                agent.gone = True

    def heal(self) -> None:
        """Nothing fails any more, and strangers take their rows off pods' addresses."""
        uris = {pod.uri for pod in self.pods.values()}
        for row_id, (key, _) in self.tables.foreign().items():
            if key[1] in uris:
                self.tables.lose_row(row_id)
        self.loss = 0.0
        self.tables.away = self.tables.loses_answer = False
        for instance in self.instances.values():
            instance.away = instance.loses_answers = False
        for uid, pod in list(self.pods.items()):
            ends = pod.view.terminating_since is not None or pod.view.finished
            if ends or self._deleting(pod):
                self._end(uid)
            else:
                self._change(pod, draining_since=None)
                self._runs(pod)
                pod.calls = 0

    def _deleting(self, pod: Pod) -> bool:
        return any(agent.uid == pod.agent and agent.deleting for agent in self.agents)

    def ask_to_leave(self) -> None:
        """One pod of each agent that has several. Some have a call that goes on."""
        for agent in self.agents:
            mine = [pod for pod in self.pods.values() if pod.agent == agent.uid]
            if len(mine) > 1 and agent.uid in self.tables.state.sets:
                self._change(mine[0], draining_since=self.clock.now)
                mine[0].calls = self.rng.randint(0, 1)
                self.asked.add(mine[0].view.uid)

    def hang_up(self) -> None:
        for uid in self.asked & self.pods.keys():
            self.pods[uid].calls = 0

    def restart_proxies(self) -> None:
        """They know what the tables say, and no more."""
        for instance in self.instances.values():
            instance.restart()
