"""How a schedule of the dispatcher's world ends: nothing fails any more, all comes right and stays
so, proxies start again from their tables, and pods can leave.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from callfleet_operator.ports.proxy import AgentProblem
from callfleet_operator.proxies.rows import Key
from callfleet_operator.reconcile.dispatcher import SWEEP_S
from fakes.dispatcher_parts import FIRST_SET, LAST_SET
from fakes.dispatcher_world import DispatcherWorld
from fakes.proxy_tables import Running


@dataclass
class DispatcherEnds:
    world: DispatcherWorld

    async def play(self) -> None:
        """What is found wrong is in the world's `trouble`."""
        world = self.world
        world.heal()
        await self.quiet(4)
        if not world.meddled:
            world.note("at once", self.wrong())
        world.pass_time(SWEEP_S)  # what somebody changed in the tables is found by the sweep
        await self.quiet(3)
        world.note("after a sweep", [*self.wrong(), *self.untold()])
        changes = self.changes()
        await self.quiet(1)
        if self.changes() != changes:
            world.note("all was right", ["something was written"])
        world.pass_time(SWEEP_S)  # by now the tables say of each row that it was proved
        await self.quiet(1)
        world.restart_proxies()
        world.note("started again", [*self.wrong(), *self.untold()])
        world.ask_to_leave()
        await self.quiet(4)
        world.note("as pods leave", self.staying())
        world.hang_up()
        await self.quiet(2)
        world.note("as pods leave", self.staying())

    async def quiet(self, rounds: int) -> None:
        for _ in range(rounds):
            await self.world.operate(faults=False)
            self.world.pass_time(3.0)

    def wrong(self) -> list[str]:
        """What is not as it should be once nothing fails any more."""
        state = self.world.tables.state
        living = {agent.uid: agent for agent in self.world.agents if not agent.deleting}
        found = []
        if not state.sets.keys() <= living.keys():
            found.append("an agent that is gone has a set")
        if living.keys() - state.sets.keys() and self._free_sets():
            found.append("an agent has no set, and one is free")
        for number, (uid, attrs) in state.numbers.items():
            if uid not in living:
                found.append("an agent that is gone has a number")
            elif attrs != f"set={state.sets[uid]};alg=rr;media={living[uid].media}":
                found.append(f"{number} leads elsewhere than its agent wants: {attrs}")
        for url, instance in self.world.instances.items():
            found += [f"{url}: {text}" for text in self._wrong_in(instance)]
        for uid, pod in self.world.pods.items():
            if pod.agent in state.sets and not (pod.view.gate and not pod.told):
                found.append(f"{uid} serves, and its gate does not say so")
        return found

    def untold(self) -> Iterator[str]:
        """Agents whose set has rows of others, which a sweep finds, and who are not told so."""
        strange = {key[0] for key, _ in self.world.tables.foreign().values()}
        for uid, set_id in self.world.tables.state.sets.items():
            outcome = self.world.operator.memory.agent(uid).outcome
            told = outcome is not None and outcome.problem is AgentProblem.FOREIGN_ROW_BESIDE
            if told != (set_id in strange):
                yield f"{uid} shares its set, and is not told so"

    def _free_sets(self) -> set[int]:
        state = self.world.tables.state
        foreign = {key[0] for key, _ in self.world.tables.foreign().values()}
        return {*range(FIRST_SET, LAST_SET + 1)} - {*state.sets.values(), *state.freed} - foreign

    def _wrong_in(self, instance: Running) -> Iterator[str]:
        state = self.world.tables.state
        held: set[Key] = {key for key, row in instance.rows.items() if "pod=" in row.mark}
        foreign = {key for key, _ in self.world.tables.foreign().values()}
        wanted = {
            (state.sets[pod.agent], pod.uri)
            for pod in self.world.pods.values()
            if pod.agent in state.sets
        }
        if held - foreign != wanted - foreign:
            yield f"holds {sorted(held - foreign)}, and {sorted(wanted - foreign)} are wanted"
        elif not wanted <= set(instance.active()):
            yield "sends calls to fewer pods than serve"
        if instance.loaded != state.revision:
            yield "has not loaded the numbers"
        if instance.numbers != state.numbers or None in {a for _, a in state.numbers.values()}:
            yield "routes numbers otherwise than the database says"

    def changes(self) -> int:
        """Everything that was written, in tables and instances."""
        return self.world.tables.commits + sum(i.changes for i in self.world.instances.values())

    def staying(self) -> list[str]:
        """What is not so while pods that were asked to leave have calls."""
        found = []
        for uid in self.world.asked:
            pod = self.world.pods.get(uid)
            if pod is not None and not pod.calls:
                found.append(f"{uid} cannot leave")
            elif pod is not None and (pod.view.gate or not pod.told):
                found.append(f"{uid} gets no calls, and does not know")
        return found
