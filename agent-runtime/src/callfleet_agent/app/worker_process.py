"""A worker as an operating system process: `python -m callfleet_agent.main worker …`.

It says `{"event": "ready"}` on its standard output once it takes calls. It leads a session of its
own, so that Ctrl-C at a terminal reaches the connector alone, which ends calls before workers; it
ends by itself when the connector is gone.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from callfleet_agent.app.errors import WorkerDiedError
from callfleet_agent.app.supervisor import StartWorker

STOP_LIMIT_S: Final = 3.0


@dataclass(slots=True)
class OsWorker:
    """A started worker process."""

    process: asyncio.subprocess.Process
    socket: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ready(self) -> None:
        """Return when it takes calls. Raises WorkerDiedError when it ended before that."""
        output = self.process.stdout
        while output is not None and (line := await output.readline()):
            if _says_ready(line):
                return
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
                async with asyncio.timeout(STOP_LIMIT_S):
                    await self.process.wait()
        self.kill()
        await self.process.wait()
        self.socket.unlink(missing_ok=True)


def _says_ready(line: bytes) -> bool:
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(message, dict) and message.get("event") == "ready"


def worker_starter(folder: Path, arguments: Sequence[str]) -> StartWorker:
    """Starts workers whose sockets lie in `folder`; `arguments` go to `callfleet worker`."""

    async def start(number: int) -> OsWorker:
        socket = folder / f"worker-{number}.sock"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "callfleet_agent.main",
            "worker",
            "--socket",
            str(socket),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return OsWorker(process, socket)

    return start
