"""The workers of ai-voice-connector: the processes that hold an agent's phone calls in its pod.

They are told what an agent's manifest would tell them, and ask the bank through this process: they
have neither its credentials nor a store's.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from callfleet_agent.app.call_story import Story
from callfleet_agent.app.conversation import Conversation, Introduction, Observer
from callfleet_agent.app.errors import SettingsError, WorkerDiedError
from callfleet_agent.app.platform_metrics import WorkerMetrics
from callfleet_agent.app.stage_metrics import StageMetrics
from callfleet_agent.app.stream_media import StreamMedia
from callfleet_agent.app.stream_turns import StreamTurns
from callfleet_agent.app.supervisor import StartWorker, Supervisor
from callfleet_agent.app.traced_call import TracedCall
from callfleet_agent.app.worker_process import worker_starter
from callfleet_agent.dialog import DialogSettings
from callfleet_agent.providers.live import STAGES
from callfleet_agent.session import Call, WorkerState
from callfleet_agent.sip.dialog import Dialog
from callfleet_agent.time_limit import at_most
from callfleet_agent.transport.bank_socket import BankOf, BankSocket
from callfleet_operator.model import ManifestError, load_live_providers, load_voice_agent
from callfleet_operator.model.voiceagent import API_VERSION

STARTUP_S: Final = 600.0  # as long as one that is at work may take
# What of our environment is none of a worker's business.
WITHHELD: Final = frozenset(
    {"CALLFLEET_DATABASE_URL", "CALLFLEET_REDIS_URL", "CALLFLEET_SEALING_KEYS", "CALLFLEET_JOURNAL"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersWanted:
    """What the workers are: how many, for how many calls, with which conversation, as whom they ask
    providers, and the file with their chains of providers or those chains themselves."""

    workers: int
    calls: int
    dialog: DialogSettings
    identity: Path
    providers: Path | Mapping[str, Any]

    def manifest(self) -> dict[str, Any]:
        """What a worker reads.

        Raises:
            SettingsError: more calls than the workers can hold, or another value that cannot be.
        """
        spec = {
            "dialog": {
                "bankName": self.dialog.bank_name,
                "authentication": {
                    "method": self.dialog.method.value,
                    "digits": self.dialog.credential_digits,
                },
            },
            "capacity": {"callsPerPod": self.calls, "workers": self.workers},
        }
        data = {"apiVersion": API_VERSION, "kind": "VoiceAgent", "spec": spec}
        try:
            agent = load_voice_agent({**data, "metadata": {"name": "streams"}})
        except ManifestError as error:
            raise SettingsError(f"the workers: {error}") from None
        return agent.to_manifest()

    def pools(self) -> dict[str, list[str]]:
        """The pools of each stage as they are named now; of a file that cannot be read, none."""
        told = self.providers
        try:
            text = told.read_text(encoding="utf-8") if isinstance(told, Path) else told
            live = load_live_providers(text)
        except (OSError, UnicodeError, ManifestError):
            return {}
        return {stage.value: [one.pool for one in live.chain(stage)] for stage in STAGES}

    def told(self, folder: Path) -> list[str]:
        """Their arguments; what they read of ours is written into `folder`."""
        settings, providers = folder / "agent.json", self.providers
        settings.write_text(json.dumps(self.manifest()), encoding="utf-8")
        if not isinstance(providers, Path):
            chains = folder / "providers.json"
            chains.write_text(json.dumps(providers), encoding="utf-8")
            providers = chains
        return [
            "--settings", str(settings),
            "--providers", str(providers.absolute()),
            "--tls", str(self.identity.absolute()),
        ]  # fmt: skip


class StreamWorkers:
    """Workers, as the conversations of a process use them."""

    def __init__(
        self, supervisor: Supervisor, stages: StageMetrics, metrics: WorkerMetrics
    ) -> None:
        self.supervisor = supervisor
        self._stages = stages
        self._metrics = metrics

    @property
    def ready(self) -> bool:
        """Whether a conversation can begin now."""
        return self.supervisor.ready_workers > 0

    def converse(
        self,
        call: Call[Dialog],
        introduction: Introduction,
        media: StreamMedia,
        observer: Observer,
    ) -> Conversation:
        """The conversation on this media, not begun."""
        return Conversation(call, introduction, media, self.supervisor, observer)

    def observe(self, story: Story, trace: TracedCall) -> StreamTurns:
        """Whoever is told of a session's turns."""
        return StreamTurns(self._stages, story, trace, self._metrics.call_moved)


@asynccontextmanager
async def stream_workers(
    wanted: WorkersWanted,
    bank_of: BankOf,
    stages: StageMetrics,
    metrics: WorkerMetrics,
    start: Callable[[Path, list[str]], StartWorker] | None = None,
) -> AsyncIterator[StreamWorkers]:
    """Workers that are ready, kept alive within the block.

    Raises:
        SettingsError: they cannot be what is wanted.
        WorkerDiedError: they do not become ready.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="callfleet-streams-")))
        arguments = [*wanted.told(folder), "--bank-socket", str(folder / "bank.sock")]
        bank = BankSocket(folder / "bank.sock", bank_of)
        await bank.start()
        stack.push_async_callback(bank.close)

        def changed(states: dict[WorkerState, int]) -> None:
            metrics.workers_are(states)
            if stages.breakers is not None:
                stages.breakers.forget(frozenset(supervisor.pids.values()))

        supervisor = Supervisor(
            (start or _starter)(folder, arguments),
            wanted.workers,
            on_lost=metrics.worker_lost,
            on_change=changed,
        )
        running = asyncio.create_task(supervisor.run())
        stack.push_async_callback(_cancelled, running)
        try:
            async with at_most(STARTUP_S):
                await supervisor.until_ready(wanted.workers)
        except TimeoutError:
            raise WorkerDiedError(supervisor.last_error or "the workers are too slow") from None
        yield StreamWorkers(supervisor, stages, metrics)


def _starter(folder: Path, arguments: list[str]) -> StartWorker:
    ours = {name: value for name, value in os.environ.items() if name not in WITHHELD}
    return worker_starter(folder, arguments, ours)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
