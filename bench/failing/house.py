"""Two providers in a process of their own, the first with a fault; and engines that know them."""

import asyncio
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.failing.kinds import FIRST_S, GAP_S, HEARD, SAID, SLOW_S, SPEECH_S, Kind

from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_openai import OpenAISynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.providers.transcriber_openai import OpenAITranscriber
from callfleet_operator.model.engines import Stage
from fakes.listener import FakeListener
from fakes.model_server import FakeOpenAI, sine

ROOT: Final = Path(__file__).resolve().parents[2]
SERVE: Final = """
import asyncio, sys
sys.path[:0] = sys.argv[1:]
from bench.failing.house import serve
asyncio.run(serve())
"""
ENGINES: Final[dict[Stage, Any]] = {
    Stage.TTS: OpenAISynthesiser,
    Stage.LLM: OpenAIResponder,
    Stage.ASR: OpenAITranscriber,
}


@dataclass(frozen=True)
class Servers:
    """Where they are, and engines with open connections to them."""

    stage: Stage
    first: str
    second: str
    engines: tuple[Any, ...]


class House:
    """The process of the servers: each kind of fault gets a new pair of them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @asynccontextmanager
    async def serving(self, stage: Stage, kind: Kind) -> AsyncIterator[Servers]:
        """Servers with this fault."""
        bases = await self._told(pickle.dumps(kind).hex())
        engine = GrpcTranscriber if kind.streamed else ENGINES[stage]
        name = "whisper" if kind.streamed else "openai"
        engines = tuple(engine(EngineSettings(engine=name, endpoints=(base,))) for base in bases)
        await asyncio.gather(*(each.warm() for each in engines))
        try:
            yield Servers(stage, bases[0], bases[1], engines)
        finally:
            await asyncio.gather(*(each.stop() for each in engines))
            self._say("")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def _told(self, line: str) -> list[str]:
        self._say(line)
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().split()


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """Started, for all of a run."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(ROOT), str(ROOT / "tests"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield House(process)
    finally:
        process.kill()
        await process.wait()


async def serve() -> None:
    """The other process: a kind of fault in a line begins a pair, an empty line ends it."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        async with AsyncExitStack() as stack:
            print(*await _pair(stack, pickle.loads(bytes.fromhex(line))), flush=True)
            await asyncio.to_thread(sys.stdin.readline)


async def _pair(stack: AsyncExitStack, kind: Kind) -> Sequence[str]:
    first_s = SLOW_S if kind.slow else FIRST_S
    if kind.streamed:
        ears = [await stack.enter_async_context(FakeListener(HEARD)) for _ in range(2)]
        ears[0].trouble, ears[0].first_s, ears[1].first_s = kind.trouble, first_s, FIRST_S
        return [ear.url for ear in ears]
    servers = [
        await stack.enter_async_context(FakeOpenAI(" ".join(SAID), heard=HEARD)) for _ in range(2)
    ]
    for server in servers:
        server.speech, server.gap_s = sine(SPEECH_S, 24000), GAP_S
    servers[0].trouble, servers[0].first_s, servers[1].first_s = kind.trouble, first_s, FIRST_S
    bases = [server.base for server in servers]
    if kind.refused:
        await servers[0].stop()
    return bases
