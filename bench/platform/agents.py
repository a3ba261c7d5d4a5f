"""An agent's pod, as a cluster runs it, with the platform's services or without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from bench.calls import Agent
from bench.meter import Meter
from bench.platform.servers import LOOPBACK, Rig, Server

from identities import AGENT, SCOPES
from ports import free_port
from recorded_rig import CALLFLEET, Program

SERVICES: Final = ("session-manager", "context-store", "banking")
FRESH_S: Final = 60.0
KEPT_WITHIN_S: Final = 60
KEPT: Final = """
SELECT count(DISTINCT s.session_id) FROM call_sessions s
JOIN conversation_contexts USING (session_id) JOIN banking_transactions USING (session_id)
"""
MANIFEST: Final = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {{name: card-line, namespace: bank}}
spec:
  banking: {{url: "{bank}"}}
  dialog: {{bankName: Example Bank}}
"""


@dataclass(frozen=True, slots=True)
class Pod:
    """Where its files are, and which ports its calls have."""

    rig: Rig
    name: str
    rtp_ports: str

    @property
    def folder(self) -> Path:
        """Its files."""
        return self.rig.folder / self.name

    def program(self, services: Server | None, sip_port: int) -> Program:
        """What is run: the same with services and without, but for their addresses."""
        tls = self.folder / "tls"
        self.rig.authority.issue(tls, AGENT)
        manifest = self.folder / "agent.yaml"
        manifest.write_text(MANIFEST.format(bank=self.rig.settings["bank_url"]))
        http_port = free_port()
        command = [
            *CALLFLEET, "serve", "agent", "--settings", str(manifest),
            "--bind", LOOPBACK, "--port", str(sip_port), "--rtp-ports", self.rtp_ports,
            "--http-port", str(http_port), "--control-port", str(free_port()),
            "--tls", str(tls), "--trust", "127.0.0.0/8",
        ]  # fmt: skip
        environment = {"POD_NAME": self.name, "POD_NAMESPACE": "bank", "POD_UID": self.name}
        if services is not None:
            self.fresh_tokens()
            address = f"localhost:{services.port}"
            names = (name.replace("-", "_").upper() for name in SERVICES)
            environment |= {f"CALLFLEET_{name}": address for name in names}
            environment["CALLFLEET_JOURNAL"] = str(self.folder / "journal")
        return Program(command, environment, self.folder / "log", http_port)

    def fresh_tokens(self) -> None:
        """As the operator writes them, which live for minutes."""
        mint = self.rig.tokens.mint(AGENT)
        for audience in SERVICES:
            path = self.folder / "tls" / f"token.{audience}"
            fresh = path.with_suffix(".new")
            fresh.write_text(mint.token([audience], SCOPES))
            fresh.replace(path)

    async def keep_fresh(self) -> None:
        """For as long as it runs."""
        while True:
            await asyncio.sleep(FRESH_S)
            self.fresh_tokens()


@asynccontextmanager
async def agent(pod: Pod, services: Server | None = None) -> AsyncIterator[Agent]:
    """It takes calls."""
    pod.folder.mkdir()
    port = free_port()
    program = pod.program(services, port)
    refreshing = asyncio.create_task(pod.keep_fresh()) if services else None
    try:
        await program.start()
        assert program.process is not None
        meter = Meter.of(program.process.pid)
        yield Agent(port, meter, services.meter if services else None)
    finally:
        program.kill()
        if refreshing is not None:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing


async def calls_kept(rig: Rig) -> int:
    """Calls with a context and a bank's transaction in the database, once no more come: the
    services were used."""
    connection = await asyncpg.connect(rig.settings["database_url"])
    found = before = 0
    try:
        for _ in range(KEPT_WITHIN_S):
            before, found = found, int(await connection.fetchval(KEPT))
            if found and found == before:
                break
            await asyncio.sleep(1)
        return found
    finally:
        await connection.close()
