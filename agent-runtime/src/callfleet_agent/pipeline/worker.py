"""The worker process: engines that are shared, made warm before it says so, and calls."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loguru import logger as pipecat_logger

from callfleet_agent.audio import Pcm8k
from callfleet_agent.banking import Bank, HttpBank
from callfleet_agent.pipeline.call import Engines, run_call
from callfleet_agent.pipeline.engines import engines_for, providers_for
from callfleet_agent.pipeline.ports import CallLink, ListenForCalls
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.voice_activity import VoiceActivity
from callfleet_agent.tracing import continued, traceparent_of
from callfleet_agent.tracing.correlation import correlated
from callfleet_operator.model import LiveProviders

PARENT_CHECK_S: Final = 0.5
_log = logging.getLogger(__name__)


def _nobody(_: str) -> None:
    """For those who do not watch a worker start."""


@dataclass(frozen=True, slots=True)
class Starter:
    """Who started a worker: a process, and whom it tells what it does until it is ready."""

    pid: int
    step: Callable[[str], None] = _nobody


async def worker_main(
    socket_path: Path,
    settings: WorkerSettings,
    listen: ListenForCalls,
    *,
    ready: Callable[[], None],
    starter: Starter | None = None,
    bank: Bank | None = None,
) -> None:
    """Takes calls on a Unix socket until cancelled, or until its parent is gone.

    `ready` is called when models are loaded, prompts are rendered and the socket listens. Without a
    `bank` the one of the settings is asked. Raises EngineError when an engine does not start.
    """
    starter = Starter(os.getppid()) if starter is None else starter
    step = starter.step
    _silence_pipecat()
    step("the voice activity model is loaded")
    providers = providers_for(settings)
    bank = HttpBank(settings.bank) if bank is None else bank
    engines = engines_for(providers, settings, bank)
    calls = _Calls(engines, settings)
    listener = listen(str(socket_path), calls.take)
    following = [asyncio.create_task(providers.keep_warm(calls.busy))]
    try:
        VoiceActivity(engines.model).feed(Pcm8k.silence(1600))
        step("the engines are started")
        if settings.live_file is None:
            await providers.apply(LiveProviders(generation=0))
        else:
            await providers.read(settings.live_file)
            following.append(asyncio.create_task(providers.follow(settings.live_file)))
        step("the socket is opened")
        await listener.start()
        ready()
        await _while_parent_lives(starter.pid)
    finally:
        await listener.stop()
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await asyncio.gather(providers.close(), bank.close())


class _Calls:
    """How many calls are here; one too many is refused."""

    def __init__(self, engines: Engines, settings: WorkerSettings) -> None:
        self._engines = engines
        self._settings = settings
        self._running = 0
        self.busy = asyncio.Event()

    async def take(self, link: CallLink) -> None:
        if self._running >= self._settings.calls:
            link.refuse("full")
            return
        self._running += 1
        self.busy.set()
        try:
            hello = link.hello
            with correlated(hello.correlation_id), continued(traceparent_of(hello.traceparent)):
                await run_call(link, self._engines, self._settings)
        finally:
            self._running -= 1
            if not self._running:
                self.busy.clear()


async def _while_parent_lives(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(PARENT_CHECK_S)
    _log.warning("the connector is gone, and so is this worker")


def _silence_pipecat() -> None:
    """Pipecat's log texts may hold what was said, so only where they come from is kept."""
    pipecat_logger.remove()

    def note(message: object) -> None:
        record = getattr(message, "record", {})
        where = f"{record.get('name')}:{record.get('line')}"
        _log.warning("pipecat gave a warning", extra={"where": where})

    with contextlib.suppress(ValueError):
        pipecat_logger.add(note, level="WARNING", format="{name}", catch=True)
