"""One running proxy: look at it, make it hold what is wanted, look again."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.proxy import SeenState

from . import states
from .dialect import Commands, Dialect
from .errors import RpcError
from .rows import Held, Key, MemoryRow, WantedMemory

_SEEN = {Held.ACTIVE: SeenState.ACTIVE, Held.WAITING: SeenState.PROBING}


@dataclass(frozen=True, slots=True)
class Target:
    """What an instance should hold of what is `ours`, of resting sets too."""

    wanted: Mapping[Key, WantedMemory]
    ours: states.Ours
    revision: int


@dataclass(slots=True)
class View:
    """What an instance held when it was looked at last, None while that is not known."""

    memory: Mapping[Key, MemoryRow] | None = None
    revision: int = 0
    error: str | None = None


@dataclass(slots=True)
class Instance:
    """Remembers when it saw each destination drained, and when the list was swapped last."""

    endpoint: str
    commands: Commands
    dialect: Dialect
    settle_s: float
    clock: Clock
    view: View = field(default_factory=View)
    _drained_since: dict[Key, float] = field(default_factory=dict)
    _reloaded_at: float = float("-inf")

    async def look(self) -> None:
        """See what it holds; afterwards `view` has that or the error."""
        try:
            memory = await self.commands.memory()
            self.view = View(memory, await self.commands.revision())
        except RpcError as error:
            self.view = View(error=str(error))
        self._note_drains()

    async def make(self, target: Target) -> None:
        """Make it hold the target, with one reload of each kind at most, and look again.

        States are set even when a reload failed: a drain needs no reload.
        """
        if self.view.memory is None:
            return
        before = self.view.memory
        failed = await self._reload(target, before)
        await self._set_states(target, before)
        self.view.error = self.view.error or failed

    def seen(self, key: Key) -> SeenState:
        """What this instance says of a destination. A drain counts once it has settled."""
        if self.view.memory is None:
            return SeenState.UNKNOWN
        row = self.view.memory.get(key)
        if row is None:
            return SeenState.UNKNOWN if self.view.error else SeenState.ABSENT
        if row.held is Held.DRAINED:
            settled = self._settling_s(key) <= 0
            return SeenState.INACTIVE if settled else SeenState.PROBING
        return _SEEN[row.held]

    def look_again_s(self) -> float | None:
        """When the first drain that has not settled will have."""
        waits = [wait for key in self._drained_since if (wait := self._settling_s(key)) > 0]
        return min(waits, default=None)

    def right(self, target: Target) -> bool:
        """It holds the target; a row that waits for its probe is right."""
        view = self.view
        return (
            view.error is None
            and view.memory is not None
            and view.revision == target.revision
            and not states.wrong(target.wanted, view.memory, target.ours)
        )

    async def _reload(self, target: Target, before: Mapping[Key, MemoryRow]) -> str | None:
        failed = None
        if states.needs_reload(target.wanted, before, target.ours):
            try:
                await self._keep_distance()
                await self.commands.reload_destinations()
            except RpcError as error:
                failed = str(error)
            # Also when that failed: it may have been done, and only the answer was lost.
            try:
                self.view.memory = await self.commands.memory()
            except RpcError as error:
                failed = failed or str(error)
        if self.view.revision != target.revision:
            try:
                await self.commands.reload_numbers()
                self.view.revision = await self.commands.revision()
            except RpcError as error:
                failed = failed or str(error)
        return failed

    async def _keep_distance(self) -> None:
        wait = self._reloaded_at + self.dialect.reload_gap_s - self.clock.monotonic()
        if wait > 0:
            await self.clock.sleep(wait)
        self._reloaded_at = self.clock.monotonic()

    async def _set_states(self, target: Target, before: Mapping[Key, MemoryRow]) -> None:
        after = self.view.memory or {}
        try:
            wanted = states.commands(target.wanted, before, after, target.ours)
            for key, held in wanted:
                await self.commands.set_state(key, held)
            if wanted:
                self.view.memory = await self.commands.memory()
        except RpcError as error:
            self.view = View(error=str(error))
        self._note_drains()

    def _note_drains(self) -> None:
        if self.view.memory is None:
            return  # what was seen before still holds when it is seen again
        now = self.clock.monotonic()
        drained = [key for key, row in self.view.memory.items() if row.held is Held.DRAINED]
        self._drained_since = {key: self._drained_since.get(key, now) for key in drained}

    def _settling_s(self, key: Key) -> float:
        return self._drained_since[key] + self.settle_s - self.clock.monotonic()


async def each(instances: Collection[Instance], target: Target | None = None) -> None:
    """Look at all at once, or make all at once hold the target."""
    async with asyncio.TaskGroup() as group:
        for instance in instances:
            group.create_task(instance.look() if target is None else instance.make(target))
