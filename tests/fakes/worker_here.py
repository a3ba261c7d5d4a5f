"""A worker in this process, with chains of providers that a test names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from callfleet_agent.audio import Pcm8k
from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.pipeline import WorkerSettings, worker_main
from callfleet_agent.transport.link_server import LinkServer
from fakes.bank import FakeBank
from fakes.line import FakeLine
from fakes.model_server import FakeOpenAI

# Longer than a busy machine takes: a provider that is given up for it would be another failure.
LIMITS = {"connectMs": 30_000, "firstByteMs": 30_000, "gapMs": 30_000, "totalMs": 120_000}
SHORT: dict[str, object] = {"limits": {**LIMITS, "firstByteMs": 1000}}  # for one that never begins
EARS: dict[str, object] = {"pool": "ears", "engine": "sphinx", "hosting": "embedded"}


def outside(pool: str, server: FakeOpenAI, engine: str = "openai") -> dict[str, object]:
    return {"pool": pool, "engine": engine, "hosting": "external", "endpoints": [server.base]}


def write(file: Path, generation: int, **chains: list[dict[str, object]]) -> None:
    """The live settings, swapped in as kubelet does."""
    told = {stage: [{"limits": LIMITS, **m} for m in chain] for stage, chain in chains.items()}
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"generation": generation, **told}))
    fresh.rename(file)


@asynccontextmanager
async def worker(folder: Path, **chains: list[dict[str, object]]) -> AsyncIterator[Path]:
    """A worker in this process with these chains."""
    live, socket = folder / "providers.yaml", folder / "worker.sock"
    write(live, 1, **chains)
    async with FakeBank() as bank:
        settings = WorkerSettings(
            bank=HttpBankSettings(url=bank.url),
            decoder_processes=1,
            decoders_in_each=1,
            live_file=live,
            accounts_dir=folder / "accounts",
        )
        ready = asyncio.Event()
        task = asyncio.create_task(worker_main(socket, settings, LinkServer, ready=ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield socket
        finally:
            task.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)


def times_heard(line: FakeLine, sound: Pcm8k) -> int:
    return bytes(line.recording).count(sound.data)


def faults(line: FakeLine) -> list[tuple[object, object]]:
    found = [event.fields for event in line.events if event.name == "provider_failed"]
    return [(fields["pool"], fields["fault"]) for fields in found]
