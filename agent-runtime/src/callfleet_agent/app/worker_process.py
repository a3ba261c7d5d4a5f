"""A worker as an operating system process: `python -m callfleet_agent.main worker …`.

It says what it does first (`{"event": "starting", "step": "…"}`) and `{"event": "ready"}` on its
standard output once it takes calls. It leads a session of its
own, so that Ctrl-C at a terminal reaches the connector alone, which ends calls before workers; it
ends by itself when the connector is gone.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from callfleet_agent.app.errors import WorkerDiedError
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.app.supervisor import StartWorker
from callfleet_agent.at_work import work_of
from callfleet_agent.time_limit import at_most

STOP_LIMIT_S: Final = 3.0


@dataclass(slots=True)
class OsWorker:
    """A started worker process."""

    process: asyncio.subprocess.Process
    socket: Path
    step: str = "the program is loaded"

    def work(self) -> int | None:
        """What it and its children have done; they are a process group."""
        return work_of(self.process.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ready(self) -> None:
        """Return when it takes calls. Raises WorkerDiedError when it ended before that."""
        output = self.process.stdout
        while output is not None and (line := await output.readline()):
            event, step = _said(line)
            if event == "ready":
                return
            if event == "starting":
                self.step = step
        status = await self.process.wait()
        raise WorkerDiedError(f"the worker ended with status {status} before it was ready")

    async def wait(self) -> int:
        """Its exit status, when it has ended."""
        return await self.process.wait()

    def kill(self) -> None:
        """End it and its children at once; fine if it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, then insist."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            with contextlib.suppress(TimeoutError):
                async with at_most(STOP_LIMIT_S):
                    await self.process.wait()
        self.kill()
        await self.process.wait()
        self.socket.unlink(missing_ok=True)


def _said(line: bytes) -> tuple[str, str]:
    """An event and a step; what is no message is neither."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(message, dict):
        return "", ""
    return str(message.get("event", "")), str(message.get("step", ""))[:100]


def worker_arguments(settings: AgentSettings) -> list[str]:
    """What an agent's workers are told."""
    told = ["--settings", str(settings.worker_file)]
    banking, tls = settings.services.banking, settings.listen.tls_folder
    if banking and tls is not None:
        told += ["--banking-service", banking]
    if tls is not None:
        told += ["--tls", str(tls)]
    return told


def worker_starter(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> StartWorker:
    """Starts workers whose sockets lie in `folder`; `arguments` go to `callfleet worker`, in this
    `environment`, or our own."""

    async def start(number: int) -> OsWorker:
        socket = folder / f"worker-{number}.sock"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "callfleet_agent.main",
            "worker",
            "--socket",
            str(socket),
            "--parent",  # by the time it can look, it may be somebody else's
            str(os.getpid()),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=None if environment is None else dict(environment),
        )
        return OsWorker(process, socket)

    return start
