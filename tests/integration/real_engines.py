"""Real engines with tiny models for the tests, where hack/engines has installed them."""

import asyncio
import os
import signal
import site
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aiohttp
import pytest

from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
# A program that runs so dies with whoever started it, by whatever signal.
TIED = ("setpriv", "--pdeathsig", "KILL")


@cache
def engines() -> Path:
    """The folder of hack/engines; skips where it has not been run."""
    told = os.environ.get("CALLFLEET_ENGINES")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "callfleet"
    found = [Path(told)] if told else [done.parent for done in home.glob("engines-*/complete")]
    if not found:
        pytest.skip("no real engines are installed: run hack/engines")
    return max(found, key=lambda folder: folder.stat().st_mtime)


def python_of(name: str) -> Path:
    """The Python that has an engine's libraries."""
    return engines() / name / "bin" / "python"


def tiny_model(kind: str, folder: Path, *sentences: str) -> Path:
    """A model of a few kilobytes; of `recordings`, for sentences, a few megabytes."""
    python = python_of("piper" if kind in {"piper", "recordings"} else "recognition")
    command = [str(python), str(ROOT / "tests" / "tiny_models.py"), kind, str(folder), *sentences]
    subprocess.run(command, check=True, timeout=150)
    return folder


@dataclass
class EngineProcess:
    """A started server."""

    process: asyncio.subprocess.Process
    port: int
    http_port: int

    @property
    def endpoint(self) -> str:
        """What an adapter is told."""
        return f"grpc://{LOOPBACK}:{self.port}"

    def kill(self) -> None:
        """As a node that dies."""
        self.process.send_signal(signal.SIGKILL)


@asynccontextmanager
async def serving(*arguments: str, limit_s: float = 150) -> AsyncIterator[EngineProcess]:
    """`callfleet serve …`, when it says that it is ready."""
    port, http_port = free_port(LOOPBACK), free_port(LOOPBACK)
    # Our own packages come from this environment, the engines' from theirs.
    path = os.pathsep.join([*site.getsitepackages(), *(p for p in sys.path if "/src" in p)])
    process = await asyncio.create_subprocess_exec(
        *TIED, str(python_of("recognition")), "-m", "callfleet_agent.main", "serve", *arguments,
        "--listen", f"{LOOPBACK}:{port}", "--http", f"{LOOPBACK}:{http_port}",
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    server = EngineProcess(process, port, http_port)
    try:
        await _until_ready(server, limit_s)
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _until_ready(server: EngineProcess, limit_s: float) -> None:
    async with asyncio.timeout(limit_s), aiohttp.ClientSession() as session:
        while True:
            if server.process.returncode is not None:
                assert server.process.stderr is not None
                said = (await server.process.stderr.read()).decode()
                raise AssertionError(f"the server ended: {said[-2000:]}")
            try:
                url = f"http://{LOOPBACK}:{server.http_port}/readyz"
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
