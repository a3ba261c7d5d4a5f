"""A real connector on loopback whose workers are FakeWorkers, and a real phone to call it."""

import asyncio
import os
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from callfleet_agent.app.connector import Connector
from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.report import CallReport
from callfleet_agent.app.phone.transcript import Show
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.settings import AgentSettings, Listen, PodIdentity
from callfleet_agent.app.worker_process import OsWorker
from callfleet_operator.model import load_voice_agent

LOOPBACK = "127.0.0.1"
_DGRAM = socket.SOCK_DGRAM
TESTS = Path(__file__).parent.parent


def settings(**spec: Any) -> AgentSettings:
    """An agent on free ports of loopback."""
    agent = load_voice_agent(
        {
            "apiVersion": "callfleet.io/v1alpha1",
            "kind": "VoiceAgent",
            "metadata": {"name": "card-line"},
            "spec": {"banking": {"url": "http://127.0.0.1:9"}, **spec},
        }
    )
    first = _first_port()
    return AgentSettings(
        agent=agent,
        worker_file=Path("/nowhere"),
        listen=Listen(
            bind=LOOPBACK,
            sip_port=0,
            rtp_first=first,
            rtp_last=first + 199,
            http_bind=LOOPBACK,
            http_port=0,
            control_port=0,
            tls_folder=None,
        ),
        pod=PodIdentity(uid="uid-1"),
    )


def _first_port() -> int:
    """An even port that is free, with the next: below those that the system gives to whoever asks
    for any, and none of a phone's or of an agent that is told none, so that nobody takes it before
    it is used."""
    while True:
        first = random.randrange(21_000, 29_800, 2)
        with socket.socket(type=_DGRAM) as rtp, socket.socket(type=_DGRAM) as rtcp:
            try:
                rtp.bind((LOOPBACK, first))
                rtcp.bind((LOOPBACK, first + 1))
            except OSError:
                continue
            return first


def with_ports(given: AgentSettings, pairs: int) -> AgentSettings:
    """The same agent with so few pairs of RTP ports."""
    listen = given.listen
    return replace(given, listen=replace(listen, rtp_last=listen.rtp_first + 2 * pairs - 1))


@asynccontextmanager
async def running(
    given: AgentSettings | None = None,
    rtp_pairs: int | None = None,
    worker_arguments: Sequence[str] = (),
    program: Sequence[str] = ("fakes.worker",),
    may_start: asyncio.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Connector]:
    """A connector that takes calls; at the end it is stopped at once. `program`: another worker.
    While `may_start` is not set no worker is started."""
    with TemporaryDirectory() as folder:

        async def start(number: int) -> OsWorker:
            if may_start is not None:
                await may_start.wait()
            socket = Path(folder) / f"{number}.sock"
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *program,
                "--socket",
                str(socket),
                *worker_arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
            )
            return OsWorker(process, socket)

        wanted = given or settings()
        if rtp_pairs is not None:
            wanted = with_ports(wanted, rtp_pairs)
        connector = Connector(wanted, start_worker=start, clock=clock)
        up = asyncio.Event()
        process = asyncio.create_task(connector.run(lambda _: up.set()))
        ready = asyncio.create_task(up.wait())
        await asyncio.wait({process, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        try:
            if not process.done():
                yield connector
        finally:
            connector.stop_now()
            await process


async def call(connector: Connector, *turns: Turn, **options: Any) -> CallReport:
    """One call to the connector, without recognition of what is heard."""
    return await phone(connector, *turns, **options).run()


def phone(
    connector: Connector, *turns: Turn, show: Show = lambda _who, _text: None, **options: Any
) -> Phone:
    """A phone that is to call the connector. It waits for what the agent says for as long as a busy
    machine takes; `show` is told of a turn before it begins."""
    return Phone(
        PhoneSettings(
            uri=f"sip:+15550100@{LOOPBACK}:{connector.sip_port}",
            bind=LOOPBACK,
            turns=turns,
            **{
                "recognise": False,
                "answer_timeout_s": 60.0,
                "turn_timeout_s": 60.0,
                "agent_quiet_s": 0.2,
                **options,
            },
        ),
        show,
    )
