"""A real llama-server for the tests, started with the command line that pools give it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_operator.model import Engine, load_provider_pool
from callfleet_operator.resources.engines import SERVERS, Launch, Server
from integration.real_engines import LOOPBACK, tiny_model
from ports import free_port

SLOTS = 3
NAME = "small"


def program() -> str:
    """llama-server; skips where there is none."""
    found = os.environ.get("CALLFLEET_LLAMA_SERVER") or shutil.which("llama-server")
    if found is None:
        pytest.skip("no llama-server on PATH, nor in CALLFLEET_LLAMA_SERVER")
    return found


def built(model: Path, *extra: str) -> Server:
    """What the operator makes of a pool."""
    pool = load_provider_pool(
        {
            "apiVersion": "callfleet.io/v1alpha1",
            "kind": "ProviderPool",
            "metadata": {"name": NAME},
            "spec": {
                "engine": "llamacpp",
                "model": {"uri": "pvc://models/tiny.gguf"},
                "scaling": {"maxReplicas": 2, "targetConcurrency": SLOTS},
                "extraArgs": list(extra),
            },
        }
    )
    return SERVERS[Engine.LLAMACPP](Launch(spec=pool.spec, model=str(model), name=NAME))


@dataclass
class Llama:
    """A started server. `health` are the statuses that were seen while it loaded."""

    server: Server
    process: asyncio.subprocess.Process
    port: int
    log: Path
    health: list[int] = field(default_factory=list)

    @property
    def root(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def engine(self) -> OpenAIResponder:
        """As an agent talks to it."""
        return OpenAIResponder(
            EngineSettings(engine="llamacpp", model=NAME, endpoints=(f"{self.root}/v1",))
        )

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.root}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def until_healthy(self, limit_s: float = 120) -> None:
        async with asyncio.timeout(limit_s):
            while self.health[-1:] != [200]:
                if self.process.returncode is not None:
                    raise AssertionError(f"it ended: {self.log.read_text()[-2000:]}")
                try:
                    status, _ = await self.get(self.server.health)
                    self.health.append(status)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.005)  # it does not listen yet


@asynccontextmanager
async def serving(folder: Path, model: Path | None = None) -> AsyncIterator[Llama]:
    """With the builder's arguments and environment, on a port of its own; without a model one of a
    few kilobytes, which has no chat template of its own."""
    found = program()
    tiny = ("--threads", "1", "--chat-template", "chatml")
    made = tiny_model("llama", folder) / "tiny.gguf" if model is None else model
    server = built(made, *(tiny if model is None else ()))
    port, log = free_port(LOOPBACK), folder / "llama.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            found, *server.args, "--host", LOOPBACK, "--port", str(port),
            env={"PATH": os.environ["PATH"], **server.environment, "HOME": str(folder)},
            stdout=file, stderr=file,
        )  # fmt: skip
    llama = Llama(server, process, port, log)
    try:
        await llama.until_healthy()
        yield llama
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
