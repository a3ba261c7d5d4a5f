"""The chains of a worker, as the live settings have them now. A worker follows changes without a
restart; a turn goes on with the line-up that it began with."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from callfleet_agent.chain import Budget, Limits, Member, MemberSettings
from callfleet_agent.providers.accounts import SharedLedger
from callfleet_agent.providers.engines import REMOTE, Adapters, adapter
from callfleet_agent.providers.errors import EngineError
from callfleet_agent.providers.lineup import Lineup, Seat
from callfleet_agent.providers.ports import Warmable
from callfleet_agent.providers.settings import EngineSettings, member_settings
from callfleet_operator.model import LiveProviders, ManifestError, load_live_providers
from callfleet_operator.model.engines import Engine, Hosting, Stage

POLL_S: Final = 1.0
WARM_S: Final = 20.0  # servers close what is idle after a minute or so
GRACE_S: Final = 60.0  # an engine that nobody names any more ends its turns
EMBEDDED_LIMITS: Final = Limits(connect_s=5.0, first_s=5.0, gap_s=5.0, total_s=20.0)
STAGES: Final = (Stage.ASR, Stage.LLM, Stage.TTS)
Start = Callable[[Stage, Any], Awaitable[None]]
_log = logging.getLogger(__name__)


class Providers:
    """Line-ups by stage. An empty chain is the engine inside the agent.

    `embedded` are the adapters of engines inside the agent; `start` loads an engine. The chains of
    other stages than `stages` stay empty. Budgets are counted in `accounts`, a folder that the
    workers of a pod share, or else by each of them. `identity` is the folder of our certificate.
    """

    def __init__(
        self,
        embedded: Adapters,
        defaults: Mapping[Stage, Engine],
        start: Start,
        stages: Sequence[Stage] = STAGES,
        accounts: Path | None = None,
        identity: Path | None = None,
    ) -> None:
        self._identity = identity
        self._accounts = accounts
        self._ledgers: dict[str, SharedLedger] = {}
        self._adapters: Adapters = {**REMOTE, **embedded}
        self._defaults = defaults
        self._start = start
        self._stages = frozenset(stages)
        self._seats: dict[tuple[Stage, EngineSettings, str], Seat[Any]] = {}
        self._lineups: dict[Stage, Lineup[Any]] = {stage: Lineup() for stage in STAGES}
        self._live: LiveProviders | None = None
        self._seen: tuple[int, int, int] | None = None
        self._leaving: dict[asyncio.Task[None], Seat[Any]] = {}
        self.rules_answer = True

    def lineup(self, stage: Stage) -> Callable[[], Lineup[Any]]:
        """A function that gives the line-up of a stage as it is when it is called."""
        return lambda: self._lineups[stage]

    async def apply(self, live: LiveProviders) -> None:
        """Takes new settings; returns when their engines have been started.

        Raises EngineError when one does not start; then everything is as it was.
        """
        wanted = {stage: self._wanted(stage, live) for stage in STAGES}
        seats: dict[tuple[Stage, EngineSettings, str], Seat[Any]] = {}
        fresh: list[tuple[Stage, Seat[Any]]] = []
        for stage, members in wanted.items():
            for told, settings, embedded in members:
                key = (stage, settings, told.name)
                known = self._seats.get(key)
                if known is None:
                    known = self._seat(stage, told, settings, embedded=embedded)
                    fresh.append((stage, known))
                seats[key] = known
        try:
            await asyncio.gather(*(self._start(stage, seat.engine) for stage, seat in fresh))
        except EngineError:
            await asyncio.gather(*(seat.engine.stop() for _, seat in fresh))
            raise
        gone = [seat for key, seat in self._seats.items() if key not in seats]
        for stage, members in wanted.items():
            for told, settings, _ in members:
                seats[stage, settings, told.name].member.follow(told)
            found = (seats[stage, settings, told.name] for told, settings, _ in members)
            self._lineups[stage] = Lineup(tuple(found))
        self._seats, self._live = seats, live
        self.rules_answer = not live.llm or any(m.engine is Engine.RULES for m in live.llm)
        for seat in gone:
            self._let_go(seat)

    async def read(self, path: Path) -> None:
        """Takes what is in the file; one that cannot be read changes nothing but the log.

        Raises EngineError for the first settings of all, when an engine does not start.
        """
        self._seen = _stamp(path)  # before the text: a change after this is seen
        live = await asyncio.to_thread(_load, path)
        if live is None:
            live = self._live or LiveProviders(generation=0)
        if self._live is not None and self._live.same_but_generation(live):
            return
        try:
            await self.apply(live)
        except EngineError as error:
            if self._live is None:
                raise
            _log.error("new providers were not taken", extra={"reason": str(error)})
            return
        _log.info("providers are taken", extra={"generation": live.generation})

    async def follow(self, path: Path, poll_s: float = POLL_S) -> None:
        """Reads the file whenever it has changed since it was read, until cancelled."""
        while True:
            await asyncio.sleep(poll_s)
            if _stamp(path) != self._seen:
                await self.read(path)

    async def warm(self) -> None:
        """Leaves open connections at all providers."""
        engines = (seat.engine for seat in self._seats.values())
        await asyncio.gather(*(each.warm() for each in engines if isinstance(each, Warmable)))

    async def keep_warm(self, busy: asyncio.Event, every_s: float = WARM_S) -> None:
        """Does so as long as somebody is `busy`, until cancelled: whoever takes over in the middle
        of an answer has a connection then."""
        while True:
            await busy.wait()
            await self.warm()
            await asyncio.sleep(every_s)

    async def close(self) -> None:
        """Ends all engines."""
        leaving, self._leaving = self._leaving, {}
        for task in leaving:
            task.cancel()
        seats = (*leaving.values(), *self._seats.values())
        await asyncio.gather(*leaving, return_exceptions=True)
        await asyncio.gather(*(seat.engine.stop() for seat in seats))
        for ledger in self._ledgers.values():
            ledger.close()

    def _wanted(
        self, stage: Stage, live: LiveProviders
    ) -> Sequence[tuple[MemberSettings, EngineSettings, bool]]:
        if stage not in self._stages:
            return []
        chain = live.chain(stage)
        if not chain and stage in self._defaults:
            engine = self._defaults[stage].value
            told = MemberSettings(name=engine, limits=EMBEDDED_LIMITS)
            return [(told, EngineSettings(engine=engine), True)]
        # Rules are no model: what they say to what no model answered is the dialog's own move.
        return [
            (
                member_settings(m),
                EngineSettings.of(m, self._identity),
                m.hosting is Hosting.EMBEDDED,
            )
            for m in chain
            if m.engine is not Engine.RULES
        ]

    def _seat(
        self,
        stage: Stage,
        told: MemberSettings,
        settings: EngineSettings,
        *,
        embedded: bool,
    ) -> Seat[Any]:
        offset = time.time() - asyncio.get_running_loop().time()
        engine = adapter(self._adapters, stage, settings)
        return Seat(
            Member(told, offset, budget=self._budget(stage, told)),
            engine,
            embedded,
            settings.engine,
            settings.voice or "",
            settings.language or "",
        )

    def _budget(self, stage: Stage, told: MemberSettings) -> Budget:
        if self._accounts is None:
            return Budget()
        name = f"{stage.value}.{told.name}"
        ledger = self._ledgers.setdefault(name, SharedLedger(self._accounts / name))
        return Budget(ledger=ledger)

    def _let_go(self, seat: Seat[Any]) -> None:
        async def later() -> None:
            await asyncio.sleep(GRACE_S)
            await seat.engine.stop()

        task = asyncio.get_running_loop().create_task(later())
        self._leaving[task] = seat
        task.add_done_callback(lambda done: self._leaving.pop(done, None))


def _load(path: Path) -> LiveProviders | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        _log.error("the live settings cannot be read", extra={"error": type(error).__name__})
        return None
    try:
        return load_live_providers(text)
    except ManifestError as error:
        _log.error("the live settings are wrong", extra={"reason": str(error)})
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
