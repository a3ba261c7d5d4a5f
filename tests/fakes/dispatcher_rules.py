"""What must hold in the dispatcher's world after every round, whatever was going wrong in it.

`DispatcherRules` looks at the world before an operator's round and after it, and says what is not
so: in `trouble` of the world. What is known of a proxy must be so in every instance, what stays out
must not be sent calls, what is somebody else's is left alone, and an agent that had a pod that
answers has one afterwards.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from callfleet_operator.ports.proxy import SeenState
from callfleet_operator.proxies.rows import Held, Key, MemoryRow, Stored
from fakes.dispatcher_operator import Operator
from fakes.dispatcher_parts import FIRST_SET, LAST_ROW_HOLD_S, LAST_SET, Agent, Clock, Pod
from fakes.proxy_tables import Running, Tables

RETRY_S = 2.0


class World(Protocol):
    clock: Clock
    tables: Tables
    instances: dict[str, Running]
    pods: dict[str, Pod]
    agents: list[Agent]
    trouble: list[str]
    meddled: bool

    def sends(self, instance: Running, pod: Pod) -> bool: ...


@dataclass
class Before:
    """The world before a round."""

    now: float
    commits: int
    faults: dict[str, int]
    owned: Mapping[tuple[str, str], tuple[int, str]]
    numbers: Mapping[str, tuple[str, str | None]]
    dispatcher: Mapping[int, tuple[Key, Any]]
    foreign: dict[int, Any]
    rows: dict[str, dict[Key, MemoryRow]]
    living: dict[tuple[str, str], set[str]]
    known: dict[str, set[str]]


@dataclass
class DispatcherRules:
    world: World
    # What every instance sent calls to as the operator last saw all of them: agent UID -> pod UIDs.
    shown: dict[str, set[str]] = field(default_factory=dict)

    def before(self, operator: Operator) -> Before:
        world, state = self.world, self.world.tables.state
        return Before(
            now=world.clock.now,
            commits=world.tables.commits,
            faults={url: instance.faults for url, instance in world.instances.items()},
            owned=state.owned,
            numbers=state.numbers,
            dispatcher=state.dispatcher,
            foreign=world.tables.foreign(),
            rows={url: dict(instance.rows) for url, instance in world.instances.items()},
            living={
                (url, agent.uid): self._living(instance, agent, world.clock.now)
                for url, instance in world.instances.items()
                for agent in world.agents
            },
            known=self._known(operator),
        )

    def after(self, operator: Operator, before: Before, *, ended: bool, fresh: bool) -> None:
        """`ended`: the round came to its end; `fresh`: it was decided on what there is."""
        world = self.world
        clean = ended and before.faults == {u: i.faults for u, i in world.instances.items()}
        found = [*self._always(operator, before)]
        if fresh:
            found += self._nothing_is_inherited(operator)
        if ended:
            found += self._seen_is_so(operator)
            found += self._ends(operator, before)
        if clean and fresh:
            found += self._served(before)
            found += self._leave_in_time(before.now)
        self._show(clean=clean)
        world.trouble += [f"{world.clock.now:.1f}: {text}" for text in found]

    # --- whatever fails -------------------------------------------------------------------------
    def _always(self, operator: Operator, before: Before) -> Iterator[str]:
        if self.world.tables.foreign() != before.foreign:
            yield "a foreign row was touched"
        yield from self._strangers(before)
        yield from self._guarded(operator, before)
        yield from self._proved(before)
        yield from self._claims(before)
        yield from self._out_is_out(operator)

    def _proved(self, before: Before) -> Iterator[str]:
        """Who was never ready, or never answered, gets no calls; who did keeps getting them."""
        dialect, now = self.world.tables.dialect, self.world.tables.state.dispatcher
        for pod in self.world.pods.values():
            uid, row = pod.view.uid, self._table_says(pod)
            # One that does not say what it did gets another chance with the next round.
            asked = [i for url, i in self.world.instances.items() if i.faults == before.faults[url]]
            routed = any(self.world.sends(instance, pod) for instance in asked)
            if not pod.proved and (row is Stored.ACTIVE or routed):
                yield f"{uid} gets calls unproved"
            if self._routed(pod):
                pod.routed_at = self.world.clock.now
        for row_id, (key, columns) in before.dispatcher.items():
            _, after = now.get(row_id, (key, columns))
            forgot = (dialect.stored(columns), dialect.stored(after)) == (Stored.ACTIVE, Stored.NEW)
            if forgot and after.attrs == columns.attrs:
                yield f"{key[1]} would wait for a probe after a restart, and was proved"

    def _claims(self, before: Before) -> Iterator[str]:
        state = self.world.tables.state
        if not set(state.sets.values()) <= set(range(FIRST_SET, LAST_SET + 1)):
            yield "a set outside of the range"
        for number, (uid, _) in before.numbers.items():
            agent = next(agent for agent in self.world.agents if agent.uid == uid)
            kept = state.numbers.get(number, (uid,))[0] == uid
            if not kept and number in agent.numbers and not agent.deleting:
                yield "a number went from who has it to somebody else"
        if state.numbers.keys() & (state.foreign_numbers | state.others.keys()):
            yield "a number that is somebody else's was taken"

    def _strangers(self, before: Before) -> Iterator[str]:
        """Rows of others are in each instance as their owners left them; those in sets of ours
        may be loaded anew, and never taken out."""
        ours = {*self.world.tables.state.sets.values(), *self.world.tables.state.freed}
        keys = {key for key, _ in before.foreign.values()}
        for url, instance in self.world.instances.items():
            if instance.faults != before.faults[url]:
                continue
            for key in keys & before.rows[url].keys() & instance.rows.keys():
                if "pod=" in instance.rows[key].mark or "pod=" in before.rows[url][key].mark:
                    continue
                was, held = before.rows[url][key].held, instance.rows[key].held
                if held is not was and not (key[0] in ours and held is Held.ACTIVE):
                    yield f"{url}: the foreign row {key} was {was} and is {held}"

    def _guarded(self, operator: Operator, before: Before) -> Iterator[str]:
        """A list that lacks most of a set's pods takes no rows out of it."""
        seen = {pod.uid for pod in operator.pods}
        owned = self.world.tables.state.owned
        deleting = {agent.uid for agent in self.world.agents if agent.deleting}
        for uid, active in before.known.items():
            lost = {
                pod.uri
                for pod in self.world.pods.values()
                if pod.agent == uid and pod.view.uid not in seen and pod.uri in active
                and before.owned.get((uid, pod.uri), (0, ""))[1] == pod.view.uid
                and (uid, pod.uri) not in owned
            }  # fmt: skip
            if uid not in deleting and len(lost) * 2 > len(active):
                yield f"{uid} lost rows of pods that are there"

    def _out_is_out(self, operator: Operator) -> Iterator[str]:
        for memory in operator.memory.agents.values():
            for (_, uid), since in memory.out_since.items():
                pod = self.world.pods.get(uid)
                if pod is not None and pod.routed_at > since:
                    yield f"{uid} counts as out since {since:.1f}, and got calls since"

    def _nothing_is_inherited(self, operator: Operator) -> Iterator[str]:
        """A pod at another one's address has what was seen of itself."""
        state = self.world.tables.state
        strange = {key for key, _ in self.world.tables.foreign().values()}
        begins = operator.memory.synced is None
        for pod in () if begins else self.world.pods.values():
            confirmed = operator.memory.agent(pod.agent).confirmed.get(pod.uri)
            key = (state.sets.get(pod.agent, 0), pod.uri)
            new = pod.routed_at == float("-inf") and not pod.view.finished and key not in strange
            if new and confirmed is SeenState.ACTIVE:
                yield f"{pod.view.uid} counts as active, which another pod was"

    # --- when a round ended ---------------------------------------------------------------------
    def _seen_is_so(self, operator: Operator) -> Iterator[str]:
        state = self.world.tables.state
        for uid, memory in operator.memory.agents.items():
            set_id = state.sets.get(uid)
            mine = {row.uri for row in memory.rows} | memory.pods.keys()
            for uri, seen in memory.seen.items():
                if uri in mine and set_id is not None and not self._so((set_id, uri), seen):
                    yield f"{uri} is seen as {seen}, and is not"
                if seen is SeenState.ABSENT and uri in memory.confirmed:
                    yield f"{uri} is absent, and counts as {memory.confirmed[uri]}"

    def _so(self, key: Key, seen: SeenState) -> bool:
        rows = [instance.rows.get(key) for instance in self.world.instances.values()]
        if any(row is not None and "pod=" not in row.mark for row in rows):
            return True  # somebody else's is in the way
        if seen is SeenState.ACTIVE:
            return all(row is not None and row.held is Held.ACTIVE for row in rows)
        if seen is SeenState.ABSENT:
            return not any(rows)
        if seen is SeenState.INACTIVE:
            out = all(row is None or row.held is Held.DRAINED for row in rows)
            return out and not (any(rows) and self._in_flight(key))
        return True

    def _ends(self, operator: Operator, before: Before) -> Iterator[str]:
        memory, world = operator.memory, self.world
        failed = {url for url, i in world.instances.items() if i.faults != before.faults[url]}
        if memory.in_sync and failed:
            yield f"all is in sync, and {len(failed)} instances did not answer"
        waits = memory.in_sync and not memory.undone
        if not waits and (operator.again is None or operator.again > RETRY_S):
            yield "what is not in sync is not tried again soon"
        if memory.in_sync and not world.meddled:
            yield from self._tables_are_so(operator)
        if world.tables.commits == before.commits:
            return
        if memory.in_sync:
            yield from self._in_sync_is_so(operator)
        for rows in memory.synced or ():
            outcome = memory.agent(rows.uid).outcome
            has = {n for n, (uid, _) in world.tables.state.numbers.items() if uid == rows.uid}
            if outcome is not None and set(outcome.accepted) != has:
                yield f"{rows.uid} is told of other numbers than it has"

    def _tables_are_so(self, operator: Operator) -> Iterator[str]:
        state, dialect = self.world.tables.state, self.world.tables.dialect
        for rows in operator.memory.synced or ():
            for row in rows.rows:
                row_id, _ = state.owned.get((rows.uid, row.uri), (0, ""))
                _, columns = state.dispatcher.get(row_id, (None, None))
                if columns is None:
                    yield f"all is in sync, and {row.uri} is not in the table"
                elif (dialect.stored(columns) is Stored.DRAINED) is row.takes_calls:
                    yield f"all is in sync, and the table says otherwise of {row.uri}"

    def _in_sync_is_so(self, operator: Operator) -> Iterator[str]:
        state = self.world.tables.state
        wanted = {
            (state.sets[rows.uid], row.uri): row
            for rows in operator.memory.synced or ()
            if rows.uid in state.sets
            for row in rows.rows
        }
        for url, instance in self.world.instances.items():
            for key, row in wanted.items():
                held = instance.rows.get(key)
                drained = held is not None and held.held is Held.DRAINED
                if held is None or row.pod_uid not in held.mark or drained is row.takes_calls:
                    yield f"{url} is in sync, and has not {key}"
            if instance.loaded != state.revision:
                yield f"{url} is in sync, and has other numbers"

    def _served(self, before: Before) -> Iterator[str]:
        """Who had a pod that answers still has one."""
        strange = {uri for (_, uri), _ in before.foreign.values()}  # calls go on through these
        for (url, uid), living in before.living.items():
            agent = next(agent for agent in self.world.agents if agent.uid == uid)
            shown = {self.world.pods[pod].uri for pod in self.shown.get(uid, ()) if self._is(pod)}
            told = before.known.get(uid, set()) <= living - strange and shown & living - strange
            still = self._living(self.world.instances[url], agent, before.now)
            if not agent.deleting and told and not still:
                yield f"{url} has no row of {uid} any more"

    def _leave_in_time(self, now: float) -> Iterator[str]:
        """Who is about to stop, whose agent goes, and who was never ready, is sent no calls."""
        for pod in self.world.pods.values():
            waits = self._table_says(pod) in (None, Stored.DRAINED) or pod.view.unreachable
            if not pod.started and not waits:
                yield f"{pod.view.uid} has a row that takes calls, and was never ready"
            since = pod.view.terminating_since
            late = since is not None and now >= since + LAST_ROW_HOLD_S
            going = any(a.uid == pod.agent and a.deleting for a in self.world.agents)
            if (late or going) and self._routed(pod):
                yield f"{pod.view.uid} is about to stop, and gets calls"

    # --- looks ----------------------------------------------------------------------------------
    def _is(self, uid: str) -> bool:
        return uid in self.world.pods

    def _show(self, *, clean: bool) -> None:
        """Remember what all instances send calls to; while one cannot be asked, no more than
        before."""
        for agent in self.world.agents:
            everywhere = {
                pod.view.uid
                for pod in self.world.pods.values()
                if pod.agent == agent.uid
                and all(self.world.sends(i, pod) for i in self.world.instances.values())
            }
            before = self.shown.get(agent.uid, set())
            self.shown[agent.uid] = everywhere if clean else everywhere & before

    def _living(self, instance: Running, agent: Agent, now: float) -> set[str]:
        """Addresses of pods that take calls, go on for a while, and are sent the agent's."""
        return {
            pod.uri
            for pod in self.world.pods.values()
            if pod.agent == agent.uid and pod.stays(now) and self.world.sends(instance, pod)
        }

    def _known(self, operator: Operator) -> dict[str, set[str]]:
        """What the operator knows to be active, by agent."""
        return {
            agent.uid: {
                uri
                for uri, state in operator.memory.agent(agent.uid).confirmed.items()
                if state is SeenState.ACTIVE
            }
            for agent in self.world.agents
            if not agent.gone
        }

    def _routed(self, pod: Pod) -> bool:
        return any(self.world.sends(i, pod) for i in self.world.instances.values())

    def _table_says(self, pod: Pod) -> Stored | None:
        """What a proxy that starts now would believe of a pod; None when it has no row."""
        state = self.world.tables.state
        row_id, uid = state.owned.get((pod.agent, pod.uri), (0, ""))
        row = state.dispatcher.get(row_id)
        if row is None or uid != pod.view.uid:
            return None
        return self.world.tables.dialect.stored(row[1])

    def may_get_calls(self, pod: Pod) -> bool:
        """A proxy sends it some, or will when a probe in flight is answered or it starts again."""
        key = (self.world.tables.state.sets.get(pod.agent, 0), pod.uri)
        rows = (i.rows.get(key) for i in self.world.instances.values() if not i.down)
        mine = [row for row in rows if row is not None and pod.view.uid in row.mark]
        waits = any(row.held is not Held.DRAINED for row in mine)
        stored = self._table_says(pod)
        return (
            waits
            or (bool(mine) and self._in_flight(key))
            or stored
            not in (
                None,
                Stored.DRAINED,
            )
        )

    def _in_flight(self, key: Key) -> bool:
        return any(i.in_flight(key) for i in self.world.instances.values() if not i.down)
