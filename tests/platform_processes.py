"""The platform's services as processes of their own, with everything that they are started with."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from callfleet_agent.storage.sealing import make_keys
from identities import AGENT, CLIENT, ISSUER, SERVICE, Authority, Tokens
from ports import free_port
from stores import migrated

CALLFLEET = [sys.executable, "-m", "callfleet_agent.main"]


@dataclass
class Service:
    """`callfleet serve ROLE…`, which a test kills and starts again on the same port."""

    arguments: list[str]
    port: int
    http_port: int
    log: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*CALLFLEET, "serve", *self.arguments], stderr=log, stdout=log
            )
        deadline = time.monotonic() + 300  # workers load their models first
        while True:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.http_port}/readyz", timeout=60
                ):
                    return
            except (urllib.error.URLError, OSError):
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)

    def end(self, number: signal.Signals) -> int:
        """Its exit status."""
        assert self._process is not None
        os.kill(self._process.pid, number)
        status = self._process.wait(timeout=60)
        self._process = None
        return status

    def kill(self) -> None:
        """kill -9; may be called twice."""
        if self._process is not None:
            self.end(signal.SIGKILL)


class Installation:
    """Certificates, tokens and keys in a folder; and services that use them."""

    def __init__(self, folder: Path, database: str, redis: str, bank: str) -> None:
        self.folder = folder
        authority, self.tokens = Authority(), Tokens(folder / "jwks.json")
        self._server = authority.issue(folder / "server", SERVICE)
        self.agent = authority.issue(folder / "agent", AGENT)
        self.client = authority.issue(folder / "client", CLIENT)
        self.sealing = folder / "sealing"
        self._stores = ["--database-url", database, "--redis-url", redis, "--bank-url", bank]

    async def prepared(self, database: str) -> None:
        """The schema and a key."""
        await asyncio.to_thread(migrated, database)
        make_keys(self.sealing, "k1")

    @contextmanager
    def serving(self, *roles: str) -> Iterator[Service]:
        """A process with these roles; it is killed at the end if it still runs."""
        port, http_port = free_port(), free_port()
        arguments = [
            *roles, "--bind", "127.0.0.1", "--port", str(port), "--http-port", str(http_port),
            "--tls", str(self._server.certificate.parent), "--token-keys", str(self.tokens.path),
            "--token-issuer", ISSUER, "--sealing-keys", str(self.sealing), *self._stores,
            "--burst", "100000", "--per-minute", "600000", "--agents-per-minute", "600000",
        ]  # fmt: skip
        service = Service(arguments, port, http_port, self.folder / f"{port}.log")
        try:
            service.start()
            yield service
        finally:
            service.kill()
